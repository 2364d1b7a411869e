from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from new_ledger import new_ledger
from ringrift_airflow.listeners import run_events
from ringrift_loop.errors import ConfigError, HostUnreachable, NoCapacity
from ringrift_loop.ledger import events
from ringrift_loop.ledger.database import Ledger
from ringrift_loop.metrics.names import LABEL_VALUES

AWAY = HostUnreachable("local_b does not answer")


def failed(dag_id: str, state: str = "failed", error: Exception = AWAY) -> None:
    task = SimpleNamespace(dag_id=dag_id, task_id="sync_hosts", run_id="r1", try_number=1, state=state)
    run_events.on_task_instance_failed(None, task, error)


def test_a_failed_task_becomes_a_line_of_the_history(run_home: Path) -> None:
    url = f"sqlite:///{run_home / 'ledger.db'}"
    new_ledger(url)
    failed("ringrift_data_sync")
    with Ledger.open(url).read() as connection:
        (event,) = events.latest(connection, kind="task_failed")
    assert event.message == "ringrift_data_sync.sync_hosts failed: local_b does not answer"
    assert event.data["error"] == "HostUnreachable"


def test_a_repeated_try_is_told_as_such_and_waiting_for_a_lease_not_at_all(run_home: Path) -> None:
    url = f"sqlite:///{run_home / 'ledger.db'}"
    new_ledger(url)
    failed("ringrift_data_sync", state="up_for_retry")
    failed("ringrift_training", state="up_for_retry", error=NoCapacity("lease held"))
    failed("ringrift_training", error=NoCapacity("lease held to the end"))
    with Ledger.open(url).read() as connection:
        told = [event.message.partition(" ")[2] for event in events.after(connection, 0)]
    assert told == ["failed and will be retried: local_b does not answer", "failed: lease held to the end"]


def test_other_peoples_tasks_are_not_written_down(run_home: Path) -> None:
    url = f"sqlite:///{run_home / 'ledger.db'}"
    new_ledger(url)
    failed("payroll")
    with Ledger.open(url).read() as connection:
        assert events.last_id(connection) == 0


def test_a_ledger_that_is_away_does_not_disturb_the_task(run_home: Path, caplog: pytest.LogCaptureFixture) -> None:
    failed("ringrift_data_sync")
    assert "could not be written to the ledger" in caplog.text


@pytest.mark.parametrize(
    "inventory", ["standard_hosts:\n  a: {ssh_host: 192.0.2.1, connection: missing}\n", "standard_hosts: nonsense"]
)
def test_a_failure_by_the_inventory_is_written_down_all_the_same(
    run_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inventory: str
) -> None:
    url = f"sqlite:///{run_home / 'ledger.db'}"
    new_ledger(url)
    (tmp_path / "hosts.yaml").write_text(inventory)
    monkeypatch.setenv("RINGRIFT_HOSTS", str(tmp_path / "hosts.yaml"))
    failed("ringrift_data_sync", error=ConfigError("the inventory is wrong"))
    with Ledger.open(url).read() as connection:
        (event,) = events.latest(connection, kind="task_failed")
    assert event.message == "ringrift_data_sync.sync_hosts failed: the inventory is wrong"


def test_every_dag_that_is_counted_has_a_label_that_the_registry_knows() -> None:
    assert set(run_events.LOOPS.values()) == set(LABEL_VALUES["ringrift_loop_cycles_total", "loop"])
    assert set(run_events.LOOPS.values()) == set(LABEL_VALUES["ringrift_loop_errors_total", "loop"])


def ended(dag_id: str, *states: str) -> SimpleNamespace:
    return SimpleNamespace(dag_id=dag_id, task_instances=[SimpleNamespace(state=state) for state in states])


def test_finished_and_failed_runs_are_counted_by_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[str, str]] = []
    metrics = SimpleNamespace(incr=lambda name, loop: sent.append((name, loop)))
    monkeypatch.setattr(run_events, "_metrics", lambda: metrics)
    run_events.on_dag_run_success(ended("ringrift_data_sync", "success"), "")
    run_events.on_dag_run_failed(ended("ringrift_training", "success", "failed"), "")
    run_events.on_dag_run_success(ended("payroll", "success"), "")
    assert sent == [("ringrift_loop_cycles_total", "data_sync"), ("ringrift_loop_errors_total", "training")]


def test_a_run_that_a_halt_skipped_is_no_cycle(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    monkeypatch.setattr(run_events, "_metrics", lambda: SimpleNamespace(incr=lambda name, loop: sent.append(loop)))
    run_events.on_dag_run_success(ended("ringrift_curriculum_rebalance", "skipped"), "")
    run_events.on_dag_run_success(ended("ringrift_shadow_tournament", "skipped", "skipped"), "")
    run_events.on_dag_run_success(ended("ringrift_training", "success", "skipped"), "")
    assert sent == ["training"]


def started(dag_id: str, *, late_s: float = 1.5, run_type: str = "scheduled", **changes: object) -> SimpleNamespace:
    """A task that has just started, so long after its run was due."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    run = SimpleNamespace(run_type=run_type, run_after=at - timedelta(seconds=late_s))
    given: dict[str, object] = {
        "dag_id": dag_id,
        "start_date": at,
        "try_number": 1,
        "task": SimpleNamespace(upstream_task_ids=set()),
        "get_template_context": lambda: {"dag_run": run},
    }
    return SimpleNamespace(**given | changes)


def test_each_start_of_a_task_is_told_and_how_late_a_scheduled_run_was(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[str, float, str | None]] = []
    metrics = SimpleNamespace(
        gauge=lambda name, value: sent.append((name, value, None)),
        observe=lambda name, value, loop: sent.append((name, value, loop)),
    )
    monkeypatch.setattr(run_events, "_metrics", lambda: metrics)
    start, latency = "ringrift_last_task_start_timestamp_seconds", "ringrift_scheduling_latency_seconds"
    at = datetime(2026, 1, 1, tzinfo=UTC).timestamp()

    def told(task: SimpleNamespace) -> list[tuple[str, float, str | None]]:
        sent.clear()
        run_events.on_task_instance_running(None, task)
        return list(sent)

    assert told(started("ringrift_data_sync")) == [(start, at, None), (latency, 1.5, "data_sync")]
    assert told(started("ringrift_deploy")) == [(start, at, None)]
    assert told(started("ringrift_data_sync", run_type="manual")) == [(start, at, None)]
    assert told(started("ringrift_data_sync", try_number=2)) == [(start, at, None)]
    later = SimpleNamespace(upstream_task_ids={"sync_hosts"})
    assert told(started("ringrift_data_sync", task=later)) == [(start, at, None)]
    assert told(started("payroll")) == []
