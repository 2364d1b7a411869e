from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from judged import VARIANT, champion_of, judge
from ledger_rows import rows
from ringrift_loop.errors import GateError, LedgerError
from ringrift_loop.ledger import events, gates, models, promotions, state
from ringrift_loop.ledger.promotions import Promotion
from ringrift_loop.loop import Loop
from ringrift_loop.promotion.promote import promote, promote_waiting, rollback
from ringrift_loop.promotion.rules import ContestOutdated

A, B, C = ("a" * 64, "b" * 64, "c" * 64)


def _register(loop: Loop, *digests: str) -> None:
    with loop.ledger.begin() as conn:
        for digest in digests:
            models.add(conn, digest, VARIANT, parent_digest=None, training_run=None, manifest={}, at=1.0)
            gates.add(conn, VARIANT, digest, gates.REGRESSION, passed=True, report={"tests": []}, at=1.0)


def _with_champions(loop: Loop, *digests: str) -> None:
    _register(loop, *digests)
    for digest, before in zip(digests, (None, *digests), strict=False):
        if before is not None:
            judge(loop.ledger, digest, before)
        assert promote(loop, digest).status == "promoted"
        loop.clock.now += 1000.0  # type: ignore[attr-defined]


def test_the_pointer_and_its_history_move_together(open_loop: Callable[..., Loop]) -> None:
    loop = open_loop()
    _with_champions(loop, A, B)
    assert champion_of(loop.ledger) == B
    with loop.ledger.read() as conn:
        first, second = rows(conn, Promotion)
        assert promotions.champion(conn, VARIANT).generation == 2  # type: ignore[union-attr]
    assert (first.model_digest, first.previous_digest, first.status) == (A, None, "promoted")
    assert (second.model_digest, second.previous_digest, second.elo_gain, second.games) == (B, A, 45.0, 400)


def test_promoting_again_changes_nothing(open_loop: Callable[..., Loop]) -> None:
    loop = open_loop()
    _with_champions(loop, A)
    assert promote(loop, A).status == "kept"
    with loop.ledger.read() as conn:
        assert len(rows(conn, Promotion)) == 1


def test_a_crash_after_the_pointer_moved_leaves_the_old_champion(
    open_loop: Callable[..., Loop], monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = open_loop()
    _with_champions(loop, A)
    _register(loop, B)
    judge(loop.ledger, B, A)

    def crash(*_args: object, **_kwargs: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(events, "record", crash)
    with pytest.raises(OSError, match="disk full"):
        promote(loop, B)
    assert champion_of(loop.ledger) == A
    with loop.ledger.read() as conn:
        assert len(rows(conn, Promotion)) == 1


def test_a_restart_forgets_neither_cool_down_nor_daily_maximum(open_loop: Callable[..., Loop]) -> None:
    loop = open_loop(promotion={"max_promotions_per_day": 2})
    _with_champions(loop, A, B)
    _register(loop, C)
    judge(loop.ledger, C, B)
    restarted = replace(open_loop(promotion={"max_promotions_per_day": 2}), clock=loop.clock)
    record = promote(restarted, C)
    assert record.status == "deferred"
    assert "2 promotions in 24 hours" in record.reason
    loop.clock.now = record.retry_at + 1.0  # type: ignore[attr-defined,operator]
    assert promote(restarted, C).status == "promoted"


def test_a_deferred_candidate_is_not_recorded_as_rejected(open_loop: Callable[..., Loop]) -> None:
    loop = open_loop()
    _with_champions(loop, A)
    loop.clock.now -= 900.0  # type: ignore[attr-defined]
    _register(loop, B)
    judge(loop.ledger, B, A)
    record = promote(loop, B)
    assert (record.status, record.retry_at) == ("deferred", loop.clock() + 800.0)
    with loop.ledger.read() as conn:
        assert promotions.of_model(conn, B) == []


def test_a_rejection_is_recorded_once_with_its_reason(open_loop: Callable[..., Loop]) -> None:
    loop = open_loop()
    _with_champions(loop, A)
    _register(loop, B)
    judge(loop.ledger, B, A, gain=12.0)
    assert [promote(loop, B).status for _ in range(2)] == ["rejected", "rejected"]
    with loop.ledger.read() as conn:
        (row,) = promotions.of_model(conn, B)
    assert row.reason == "Elo gain +12.0, promotion.elo_threshold asks for 20"
    assert champion_of(loop.ledger) == A


def test_a_rollback_that_is_asked_for_again_goes_back_no_further(open_loop: Callable[..., Loop]) -> None:
    loop = open_loop()
    _with_champions(loop, A, B, C)
    assert rollback(loop, VARIANT, "weaker", key="run 1").model_digest == B
    assert rollback(loop, VARIANT, "weaker", key="run 1").status == "kept"
    assert champion_of(loop.ledger) == B
    assert rollback(loop, VARIANT, "weaker too", key="run 2").model_digest == A


def test_a_candidate_that_waits_is_told_of_once(open_loop: Callable[..., Loop]) -> None:
    loop = open_loop()
    _with_champions(loop, A)
    loop.clock.now -= 900.0  # type: ignore[attr-defined]
    _register(loop, B)
    judge(loop.ledger, B, A)
    for _ in range(3):
        assert promote(loop, B).status == "deferred"
        loop.clock.now += 60.0  # type: ignore[attr-defined]
    with loop.ledger.read() as conn:
        told = [event.message for event in events.latest(conn, kind="promotion") if "deferred" in event.message]
    assert len(told) == 1


def test_a_candidate_judged_against_a_former_champion_is_to_be_judged_again(open_loop: Callable[..., Loop]) -> None:
    loop = open_loop()
    _with_champions(loop, A, B)
    _register(loop, C)
    judge(loop.ledger, C, A)
    with pytest.raises(ContestOutdated, match="champion is now bbbb") as caught:
        promote(loop, C)
    assert caught.value.variant == VARIANT
    judge(loop.ledger, C, B)
    assert promote(loop, C).status == "promoted"


def test_auto_promote_off_leaves_it_to_a_person(open_loop: Callable[..., Loop]) -> None:
    loop = open_loop(promotion={"auto_promote": False})
    _register(loop, A)
    assert promote(loop, A).status == "deferred"
    assert promote(loop, A, by_hand=True).status == "promoted"


def test_two_rollbacks_lead_two_champions_back(open_loop: Callable[..., Loop]) -> None:
    loop = open_loop()
    _with_champions(loop, A, B, C)
    assert rollback(loop, VARIANT, "weaker in the field").model_digest == B
    record = rollback(loop, VARIANT, "weaker too")
    assert (record.model_digest, record.previous_digest, record.generation) == (A, B, 5)
    with pytest.raises(GateError, match="none to go back to"):
        rollback(loop, VARIANT, "and again")


def test_a_model_that_nobody_registered_cannot_be_promoted(open_loop: Callable[..., Loop]) -> None:
    with pytest.raises(LedgerError, match="registered"):
        promote(open_loop(), A)


def _with_a_waiting_candidate(open_loop: Callable[..., Loop], **promotion: int) -> Loop:
    """A is champion since now; B has beaten it and has to wait."""
    loop = open_loop(promotion=promotion)
    _register(loop, A, B, C)
    promote(loop, A)
    judge(loop.ledger, B, A)
    assert promote(loop, B).status == "deferred"
    assert promote_waiting(loop) == []
    return loop


@pytest.mark.parametrize(
    ("promotion", "wait_s"),
    [({"cooldown_seconds": 7200}, 7200), ({"cooldown_seconds": 0, "max_promotions_per_day": 1}, 86_400)],
)
def test_a_candidate_waits_as_long_as_it_must_and_is_promoted_then(
    open_loop: Callable[..., Loop], promotion: dict[str, int], wait_s: int
) -> None:
    loop = _with_a_waiting_candidate(open_loop, **promotion)
    loop.clock.now += wait_s - 1  # type: ignore[attr-defined]
    assert promote_waiting(loop) == []
    loop.clock.now += 2  # type: ignore[attr-defined]
    assert [(record.model_digest, record.status) for record in promote_waiting(loop)] == [(B, "promoted")]
    assert promote_waiting(loop) == []


def test_of_two_candidates_that_wait_the_later_one_becomes_champion_and_the_earlier_one_waits_no_longer(
    open_loop: Callable[..., Loop],
) -> None:
    loop = _with_a_waiting_candidate(open_loop)
    judge(loop.ledger, C, A)
    assert promote(loop, C).status == "deferred"
    loop.clock.now += 1000.0  # type: ignore[attr-defined]
    assert [record.model_digest for record in promote_waiting(loop)] == [C]
    loop.clock.now += 1000.0  # type: ignore[attr-defined]
    assert promote_waiting(loop) == []
    assert champion_of(loop.ledger) == C


def test_a_rejected_candidate_leaves_the_one_that_waits(open_loop: Callable[..., Loop]) -> None:
    loop = _with_a_waiting_candidate(open_loop)
    judge(loop.ledger, C, A, gain=1.0)
    assert promote(loop, C).status == "rejected"
    loop.clock.now += 1000.0  # type: ignore[attr-defined]
    assert [record.model_digest for record in promote_waiting(loop)] == [B]


def test_nobody_is_promoted_in_a_halt_nor_after_a_rollback(open_loop: Callable[..., Loop]) -> None:
    loop = _with_a_waiting_candidate(open_loop)
    loop.clock.now += 1000.0  # type: ignore[attr-defined]
    with loop.ledger.begin() as conn:
        state.set_halt(conn, True, at=loop.clock())
    assert promote_waiting(loop) == []
    with loop.ledger.begin() as conn:
        state.set_halt(conn, False, at=loop.clock())
    judge(loop.ledger, C, A)
    promote(loop, C, by_hand=True)
    judge(loop.ledger, B, C)
    assert promote(loop, B).status == "deferred"
    rollback(loop, VARIANT, "a bad champion")
    loop.clock.now += 1000.0  # type: ignore[attr-defined]
    assert promote_waiting(loop) == []
    assert champion_of(loop.ledger) == A


def test_a_candidate_that_waits_and_is_judged_anew_by_a_gate_against_another_champion_is_given_up(
    open_loop: Callable[..., Loop],
) -> None:
    loop = _with_a_waiting_candidate(open_loop)
    judge(loop.ledger, B, C)
    assert promote_waiting(loop) == []
    judge(loop.ledger, B, A)
    loop.clock.now += 1000.0  # type: ignore[attr-defined]
    assert promote_waiting(loop) == []
