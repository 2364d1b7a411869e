from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from judged import VARIANT, champion_of, judge
from ledger_rows import rows
from ringrift_loop.errors import ConfigError, GateError
from ringrift_loop.ledger import events, gates, models, promotions
from ringrift_loop.ledger.promotions import Promotion
from ringrift_loop.loop import Loop
from ringrift_loop.promotion import approval
from ringrift_loop.promotion.promote import promote, promote_waiting, rollback
from ringrift_loop.promotion.rules import ContestOutdated

A, B, C, D = ("a" * 64, "b" * 64, "c" * 64, "d" * 64)
RUN, OTHER = "ringrift_training/one", "ringrift_promote/two"


def _told(loop: Loop) -> list[str]:
    with loop.ledger.read() as conn:
        return [event.message for event in events.latest(conn, kind="approval")][::-1]


@pytest.fixture
def loop(open_loop: Callable[..., Loop]) -> Loop:
    """A has been followed by B; C and D have beaten B; each move asks a person."""
    loop = open_loop(promotion={"require_approval": True, "cooldown_seconds": 0})
    with loop.ledger.begin() as conn:
        for digest in (A, B, C, D):
            models.add(conn, digest, VARIANT, parent_digest=None, training_run=None, manifest={}, at=1.0)
            gates.add(conn, VARIANT, digest, gates.REGRESSION, passed=True, report={"tests": []}, at=1.0)
        for digest in (A, B):
            promotions.promote(conn, VARIANT, digest, reason="", elo_gain=None, games=0, at=1.0)
    judge(loop.ledger, C, B)
    judge(loop.ledger, D, B)
    return loop


def _ask(loop: Loop, digest: str = C, run: str = RUN, **options: Any) -> approval.Question | None:
    return approval.ask_promotion(loop, digest, run=run, wait_s=3600.0, **options)


def _answer(loop: Loop, approved: bool = True, run: str = RUN) -> None:
    approval.answer(loop, VARIANT, run=run, approved=approved, by="ann", why="looks good")


def test_nothing_is_asked_unless_the_configuration_says_so(open_loop: Callable[..., Loop], loop: Loop) -> None:
    free = open_loop(promotion={"cooldown_seconds": 0})
    assert _ask(free) is None
    assert approval.ask_rollback(free, VARIANT, "why", key="k", run=RUN, wait_s=60.0) is None
    assert promote(free, C).status == "promoted"
    assert rollback(free, VARIANT, "why").model_digest == B


def test_no_champion_moves_without_an_approval(loop: Loop) -> None:
    assert promote(loop, C).status == "deferred"
    assert promote(loop, C, by_hand=True).status == "deferred"
    with pytest.raises(GateError, match=r"no person has approved going back from b{12} to a{12}"):
        rollback(loop, VARIANT, "why")
    assert champion_of(loop.ledger) == B


def test_an_approved_candidate_becomes_the_champion_and_its_history_says_by_whom(loop: Loop) -> None:
    question = _ask(loop)
    assert question is not None
    assert question.subject == f"Make generation 3 ({C[:12]}) the champion of {VARIANT}?"
    assert f"It replaces generation 2 ({B[:12]})." in question.body and "+45 ± 30 Elo" in question.body
    assert promote(loop, C).status == "deferred"  # a question is no answer
    _answer(loop)
    record = promote(loop, C)
    assert (record.status, champion_of(loop.ledger)) == ("promoted", C)
    assert record.reason.endswith("approved by ann: looks good")
    assert _told(loop)[-1] == f"{VARIANT}: ann approved the promotion of {C[:12]}: looks good"


def test_a_no_is_a_rejection_with_its_reason(loop: Loop) -> None:
    _ask(loop)
    _answer(loop, approved=False)
    assert promote(loop, C).status == "deferred"
    with loop.ledger.read() as conn:
        (rejected,) = rows(conn, Promotion, status=promotions.REJECTED)
    assert (rejected.model_digest, rejected.reason) == (C, "not approved by ann: looks good")


def test_an_approval_counts_no_more_when_the_champion_has_changed(loop: Loop) -> None:
    _ask(loop)
    _answer(loop)
    with loop.ledger.begin() as conn:
        promotions.promote(conn, VARIANT, D, reason="", elo_gain=None, games=0, at=3.0)
    with pytest.raises(ContestOutdated):
        promote(loop, C)
    judge(loop.ledger, C, D)  # the gate is held again: it is not what was approved
    record = promote(loop, C)
    assert (record.status, champion_of(loop.ledger)) == ("deferred", D)
    assert "a person has to approve anew" in record.reason


def test_an_approval_counts_no_more_when_a_gate_has_judged_again(loop: Loop) -> None:
    _ask(loop)
    _answer(loop)
    with loop.ledger.begin() as conn:
        gates.add(conn, VARIANT, C, gates.REGRESSION, passed=True, report={"tests": [1]}, at=3.0)
    assert promote(loop, C).status == "deferred"


def test_an_approval_of_one_candidate_is_none_of_another(loop: Loop) -> None:
    _ask(loop)
    _answer(loop)
    assert promote(loop, D).status == "deferred"


def test_an_approval_is_used_up_by_the_promotion(loop: Loop) -> None:
    _ask(loop)
    _answer(loop)
    promote(loop, C)
    with loop.ledger.read() as conn:
        assert promotions.approval(conn, VARIANT) is None
    approval.approve_rollback_by_hand(loop, VARIANT, by="bob")
    rollback(loop, VARIANT, "no good")
    assert promote(loop, C, by_hand=True).status == "deferred"


def test_a_candidate_that_is_approved_during_a_cool_down_is_promoted_at_its_end(
    open_loop: Callable[..., Loop], loop: Loop
) -> None:
    slow = open_loop(promotion={"require_approval": True, "cooldown_seconds": 900})
    slow.clock.now = 500.0  # type: ignore[attr-defined]
    assert _ask(slow) is not None
    assert promote_waiting(slow) == []
    _answer(slow)
    assert promote(slow, C).retry_at == 901.0
    slow.clock.now = 901.0  # type: ignore[attr-defined]
    (record,) = promote_waiting(slow)
    assert (record.status, record.model_digest) == ("promoted", C)


def test_a_later_candidate_does_not_cancel_the_approval_of_one_that_waits(
    open_loop: Callable[..., Loop], loop: Loop
) -> None:
    slow = open_loop(promotion={"require_approval": True, "cooldown_seconds": 900})
    slow.clock.now = 500.0  # type: ignore[attr-defined]
    _ask(slow)
    _answer(slow)
    assert promote(slow, C).status == "deferred"
    assert _ask(slow, D, run="ringrift_training/later") is None
    slow.clock.now = 901.0  # type: ignore[attr-defined]
    (record,) = promote_waiting(slow)
    assert (record.status, record.model_digest) == ("promoted", C)
    judge(slow.ledger, D, C)
    assert _ask(slow, D, run="ringrift_training/later") is not None


@pytest.mark.parametrize("judged_again", [False, True])
def test_an_approval_that_nothing_will_come_of_keeps_nobody_from_being_asked_about(
    open_loop: Callable[..., Loop], loop: Loop, judged_again: bool
) -> None:
    slow = open_loop(promotion={"require_approval": True, "cooldown_seconds": 900})
    slow.clock.now = 500.0  # type: ignore[attr-defined]
    _ask(slow)
    _answer(slow)
    if judged_again:  # it waits, and is not what was approved any more; else it does not even wait
        assert promote(slow, C).status == "deferred"
        judge(slow.ledger, C, B)
    assert _ask(slow, D, run="ringrift_training/later") is not None


def test_nobody_is_asked_about_a_candidate_that_the_rules_keep_back(open_loop: Callable[..., Loop], loop: Loop) -> None:
    with loop.ledger.begin() as conn:
        gates.add(conn, VARIANT, C, gates.REGRESSION, passed=False, report={"tests": []}, at=3.0)
    assert _ask(loop) is None
    assert promote(loop, C).status == "rejected"
    assert _ask(loop, B) is None  # it is the champion
    manual = open_loop(promotion={"require_approval": True, "auto_promote": False})
    assert _ask(manual, D) is None
    assert _ask(manual, D, by_hand=True) is not None
    with pytest.raises(ConfigError, match="is of square8_2p, not of hex8_2p"):
        _ask(loop, D, variant="hex8_2p")


def test_of_a_variant_one_question_is_open_and_a_person_may_put_another_in_its_place(loop: Loop) -> None:
    assert _ask(loop, C) is not None
    assert _ask(loop, C) is not None  # the task is repeated
    assert _ask(loop, D, run="ringrift_training/later") is None
    assert _ask(loop, D, run=OTHER, by_hand=True) is not None
    with pytest.raises(GateError, match="another one took its place"):
        _answer(loop, run=RUN)
    _answer(loop, run=OTHER)
    assert promote(loop, C).status == "deferred"
    assert promote(loop, D).status == "promoted"


def test_a_question_that_nobody_answers_makes_room_for_the_next(loop: Loop) -> None:
    _ask(loop, C)
    loop.clock.now += 3601.0  # type: ignore[attr-defined]
    assert _ask(loop, D, run=OTHER) is not None
    approval.withdraw(loop, VARIANT, run=RUN)  # too late: it is another's
    with loop.ledger.read() as conn:
        assert promotions.approval(conn, VARIANT) is not None
    approval.withdraw(loop, VARIANT, run=OTHER)
    with loop.ledger.read() as conn:
        assert promotions.approval(conn, VARIANT) is None
    with pytest.raises(GateError):
        _answer(loop, run=OTHER)


def test_a_rollback_needs_an_approval_of_this_very_step(loop: Loop) -> None:
    question = approval.ask_rollback(loop, VARIANT, "it stalls", key="k", run=RUN, wait_s=60.0)
    assert question is not None
    assert question.subject == f"Roll {VARIANT} back from generation 2 ({B[:12]}) to generation 1 ({A[:12]})?"
    _answer(loop)
    with loop.ledger.begin() as conn:
        promotions.promote(conn, VARIANT, D, reason="", elo_gain=None, games=0, at=3.0)
    with pytest.raises(GateError, match=r"no person has approved going back from d{12} to b{12}"):
        rollback(loop, VARIANT, "it stalls", key="k")
    assert champion_of(loop.ledger) == D
    approval.ask_rollback(loop, VARIANT, "it stalls", key="k", run=RUN, wait_s=60.0)
    _answer(loop)
    record = rollback(loop, VARIANT, "it stalls", key="k")
    assert (record.status, record.model_digest) == ("rolled_back", B)
    assert record.reason == "it stalls (approved by ann: looks good)"
    # Asked again with the same key, it is done.
    assert approval.ask_rollback(loop, VARIANT, "it stalls", key="k", run=RUN, wait_s=60.0) is None
    assert rollback(loop, VARIANT, "it stalls", key="k").status == "kept"


def test_an_approval_of_a_promotion_is_none_of_a_rollback_to_the_same_model(loop: Loop) -> None:
    judge(loop.ledger, A, B)
    assert _ask(loop, A, by_hand=True) is not None
    _answer(loop)
    with pytest.raises(GateError, match="no person has approved"):
        rollback(loop, VARIANT, "why")


def test_a_promotion_by_hand_on_the_command_line_is_its_own_approval(loop: Loop) -> None:
    approval.approve_promotion_by_hand(loop, C, variant=VARIANT, by="bob")
    record = promote(loop, C, by_hand=True)
    assert record.status == "promoted"
    assert record.reason.endswith("by hand, approved by bob: on the command line")
    assert _told(loop) == [f"{VARIANT}: bob approved the promotion of {C[:12]} on the command line"]


def test_an_answer_that_is_written_twice_is_told_once(loop: Loop) -> None:
    _ask(loop)
    _answer(loop)
    _answer(loop)
    assert len([line for line in _told(loop) if "approved" in line]) == 1
