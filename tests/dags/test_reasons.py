"""What a person writes as the reason of a move is kept as it was written: these DAGs render native objects."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from judged import CANDIDATE, CHAMPION, FORMER, VARIANT, champion_of, judge, with_candidate
from ringrift_airflow.tasks import promotion
from ringrift_loop.ledger import promotions
from ringrift_loop.ledger.database import Ledger

REASONS = ("...", "4711", "None", "'a' 'b'", "{'a': 1}", "it stalls")


@pytest.fixture
def ledger(run_home: Path) -> Iterator[Ledger]:
    with with_candidate(run_home) as ledger:
        judge(ledger, CANDIDATE, CHAMPION)
        yield ledger


def execute(dag: Any, task_id: str, monkeypatch: pytest.MonkeyPatch, **form: Any) -> Any:
    """Run one task of a DAG as Airflow does, its templates rendered first."""
    task = dag.get_task(task_id)
    fields = {name: getattr(task, name) for name in task.template_fields}
    run = SimpleNamespace(dag_id=dag.dag_id, triggering_user_name="ann")
    context: Any = {"params": form, "run_id": "manual", "dag_run": run}
    monkeypatch.setattr(promotion, "get_current_context", lambda: context)
    try:
        task.render_template_fields(context)
        return task.execute(context)
    finally:
        for name, value in fields.items():
            setattr(task, name, value)


@pytest.mark.parametrize("reason", REASONS)
def test_of_a_rollback(ledger: Ledger, dags: dict[str, Any], monkeypatch: pytest.MonkeyPatch, reason: str) -> None:
    record = execute(dags["ringrift_rollback"], "roll_back", monkeypatch, variant=VARIANT, reason=reason)
    assert (record["reason"], champion_of(ledger)) == (reason, FORMER)


@pytest.mark.parametrize("reason", REASONS)
def test_of_a_promotion(ledger: Ledger, dags: dict[str, Any], monkeypatch: pytest.MonkeyPatch, reason: str) -> None:
    execute(dags["ringrift_promote"], "promote", monkeypatch, model=CANDIDATE, variant=VARIANT, reason=reason)
    with ledger.read() as conn:
        assert promotions.of_model(conn, CANDIDATE)[0].reason.endswith(f"by hand (ann: {reason})")


@pytest.mark.parametrize("reason", REASONS)
def test_of_a_question(ledger: Ledger, dags: dict[str, Any], monkeypatch: pytest.MonkeyPatch, reason: str) -> None:
    asked: list[str] = []
    monkeypatch.setattr(
        "ringrift_loop.promotion.approval.ask_rollback", lambda _loop, _variant, why, **_rest: asked.append(why)
    )
    execute(dags["ringrift_rollback"], "approve", monkeypatch, variant=VARIANT, reason=reason)
    assert asked == [reason]
