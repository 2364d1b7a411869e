from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.standard.operators import hitl
from airflow.sdk.exceptions import AirflowSkipException, TaskAwaitingInput

from judged import CANDIDATE, CHAMPION, FORMER, VARIANT, champion_of, judge, with_candidate
from ringrift_airflow.operators import promote_model
from ringrift_airflow.operators.approve_move import ApproveMoveOperator
from ringrift_airflow.operators.promote_model import PromoteModelOperator
from ringrift_airflow.settings import open_loop
from ringrift_loop.ledger import promotions
from ringrift_loop.ledger.database import Ledger
from ringrift_loop.promotion.promote import rollback


@pytest.fixture
def ledger(run_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    """A candidate that has beaten the champion, where each move needs an approval."""
    monkeypatch.setenv("RINGRIFT__PROMOTION__REQUIRE_APPROVAL", "true")
    with with_candidate(run_home) as ledger:
        judge(ledger, CANDIDATE, CHAMPION)
        yield ledger


def _context(run_id: str = "manual") -> Any:
    run = SimpleNamespace(dag_id="ringrift_promote", triggering_user_name="ann")
    instance = SimpleNamespace(id="an id", dag_id=run.dag_id)
    return {"dag_run": run, "run_id": run_id, "ti": instance, "task_instance": instance}


def _ask(operator: ApproveMoveOperator, monkeypatch: pytest.MonkeyPatch, run_id: str = "manual") -> dict[str, Any]:
    """The question as Airflow would keep it: its own part is not what is tested here."""
    asked: dict[str, Any] = {}
    monkeypatch.setattr(hitl, "upsert_hitl_detail", lambda **detail: asked.update(detail))
    with pytest.raises(TaskAwaitingInput) as parked:
        operator.execute(_context(run_id))
    assert parked.value.timeout is not None and parked.value.timeout.total_seconds() == 86_400.0
    return asked


def _answer(chosen: str, why: str = "") -> dict[str, Any]:
    return {
        "chosen_options": [chosen],
        "params_input": {"why": why},
        "responded_at": datetime(2026, 1, 1, tzinfo=UTC),
        "responded_by_user": {"id": "7", "name": "bob"},
    }


def _promote() -> dict[str, Any]:
    return PromoteModelOperator(task_id="promote", model=CANDIDATE).execute(_context())


def test_it_goes_on_at_once_where_no_approval_is_required(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RINGRIFT__PROMOTION__REQUIRE_APPROVAL", "false")
    assert ApproveMoveOperator(task_id="approve", model=CANDIDATE).execute(_context()) is None
    assert ApproveMoveOperator(task_id="approve", variant=VARIANT, reason="why").execute(_context()) is None
    assert _promote()["status"] == "promoted"


def test_a_person_is_asked_with_the_figures_and_a_yes_lets_the_promotion_through(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = _ask(ApproveMoveOperator(task_id="approve", model=CANDIDATE), monkeypatch)
    assert asked["subject"] == f"Make generation 3 ({CANDIDATE[:12]}) the champion of {VARIANT}?"
    assert "+45 ± 30 Elo" in asked["body"]
    assert asked["options"] == ["Approve", "Reject"]
    assert asked["params"]["why"]["schema"]["maxLength"] == 500
    with pytest.raises(AirflowSkipException, match="no person has approved it"):
        _promote()
    # The task goes on in a process of its own.
    ApproveMoveOperator(task_id="approve", model=CANDIDATE).execute_complete(_context(), _answer("Approve", "strong"))
    assert _promote()["reason"].endswith("approved by bob: strong")
    assert champion_of(ledger) == CANDIDATE


def test_a_no_is_recorded_and_lets_nothing_through(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    _ask(ApproveMoveOperator(task_id="approve", model=CANDIDATE), monkeypatch)
    ApproveMoveOperator(task_id="approve", model=CANDIDATE).execute_complete(_context(), _answer("Reject", "it stalls"))
    with pytest.raises(AirflowSkipException):
        _promote()
    with ledger.read() as conn:
        assert promotions.of_model(conn, CANDIDATE)[0].reason == "not approved by bob: it stalls"


def test_a_question_that_nobody_answers_is_withdrawn(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    _ask(ApproveMoveOperator(task_id="approve", model=CANDIDATE), monkeypatch)
    late = {"error": "The response timeout has passed.", "error_type": "timeout"}
    with pytest.raises(AirflowSkipException, match=r"nobody answered within 1 day.* ringrift_promote asks again"):
        ApproveMoveOperator(task_id="approve", model=CANDIDATE).execute_complete(_context(), late)
    with ledger.read() as conn:
        assert promotions.approval(conn, VARIANT) is None


def test_an_answer_to_a_question_that_was_replaced_counts_nothing(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    _ask(ApproveMoveOperator(task_id="approve", model=CANDIDATE), monkeypatch, "first")
    _ask(ApproveMoveOperator(task_id="approve", model=CANDIDATE, by_hand=True), monkeypatch, "second")
    with pytest.raises(AirflowSkipException, match="another one took its place"):
        ApproveMoveOperator(task_id="approve", model=CANDIDATE).execute_complete(_context("first"), _answer("Approve"))
    with pytest.raises(AirflowSkipException, match="no person has approved it"):
        _promote()


def test_a_champion_that_changed_while_the_question_waited_makes_the_answer_worthless(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    _ask(ApproveMoveOperator(task_id="approve", model=CANDIDATE), monkeypatch)
    approve_back(ledger)
    ApproveMoveOperator(task_id="approve", model=CANDIDATE).execute_complete(_context(), _answer("Approve"))
    # The champion gate is held again, against the champion of now; what was approved is another contest.
    monkeypatch.setattr(promote_model, "run_command", lambda *_words, verdict: judge(ledger, CANDIDATE, FORMER))
    with pytest.raises(AirflowSkipException, match="a person has to approve anew"):
        _promote()
    assert champion_of(ledger) == FORMER


def approve_back(ledger: Ledger) -> None:
    """The former champion takes over again while a question is open."""
    with ledger.begin() as conn:
        promotions.promote(
            conn, VARIANT, FORMER, reason="", elo_gain=None, games=0, at=3.0, status=promotions.ROLLED_BACK
        )


def test_a_candidate_is_asked_about_after_a_gate_against_the_present_champion(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    approve_back(ledger)
    monkeypatch.setattr(promote_model, "run_command", lambda *_words, verdict: judge(ledger, CANDIDATE, FORMER))
    asked = _ask(ApproveMoveOperator(task_id="approve", model=CANDIDATE, by_hand=True), monkeypatch)
    assert f"It replaces generation 1 ({FORMER[:12]})." in asked["body"]


def test_a_rollback_is_asked_about_with_its_reason(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    operator = ApproveMoveOperator(task_id="approve", variant=VARIANT, reason="it stalls")
    assert "it stalls" in _ask(operator, monkeypatch)["body"]
    operator.execute_complete(_context(), _answer("Approve"))
    assert rollback(open_loop(), VARIANT, "it stalls").reason == "it stalls (approved by bob)"
    assert champion_of(ledger) == FORMER
