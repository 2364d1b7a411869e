from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException
from airflow.utils.types import DagRunType

from new_ledger import new_ledger
from ringrift_loop.ledger import state
from ringrift_loop.ledger.database import Ledger

GOES_ON = {"sync_hosts", "reconcile_workers", "wait_for_games", "train", "settle_claim", "confirm_reload"}


@pytest.fixture
def ledger(run_home: Path) -> Iterator[Ledger]:
    url = f"sqlite:///{run_home / 'ledger.db'}"
    new_ledger(url)
    ledger = Ledger.open(url)
    yield ledger
    ledger.close()


def _held_back(dag: Any, run_type: DagRunType) -> set[str]:
    """The tasks whose check, as Airflow calls it before them, skips them."""
    held = set()
    for task in dag.tasks:
        hook = task.partial_kwargs.get("pre_execute") if task.is_mapped else task._pre_execute_hook
        try:
            if hook is not None:
                hook({"dag_run": SimpleNamespace(run_type=run_type)})
        except AirflowSkipException as reason:
            assert "the loop is halted; run `ringrift-loop workers resume`" in str(reason)
            held.add(task.task_id)
    return held


def test_a_halt_holds_back_every_task_but_those_that_bring_the_loop_to_rest(
    ledger: Ledger, dags: dict[str, Any]
) -> None:
    with ledger.begin() as connection:
        state.set_halt(connection, True, at=1.0)
    for dag in dags.values():
        assert _held_back(dag, DagRunType.SCHEDULED) == {task.task_id for task in dag.tasks} - GOES_ON, dag.dag_id


def test_what_a_person_starts_runs_in_a_halt_and_everything_runs_without_one(
    ledger: Ledger, dags: dict[str, Any]
) -> None:
    for dag in dags.values():
        assert _held_back(dag, DagRunType.ASSET_TRIGGERED) == set()
    with ledger.begin() as connection:
        state.set_halt(connection, True, at=1.0)
    for dag in dags.values():
        assert _held_back(dag, DagRunType.MANUAL) == set()
