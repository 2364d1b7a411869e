"""What Airflow does with the loop's runs, as the loop's own metrics and history.

Runs are counted by stage; a failed task becomes a line of the ledger's history, so that whoever watches the terminal
sees it too. Airflow counts task states for StatsD itself (`airflow.ti.finish`); that is not repeated here.
"""

from __future__ import annotations

import functools
import logging
import time
from types import MappingProxyType
from typing import TYPE_CHECKING

from airflow.listeners import hookimpl
from airflow.sdk import TaskInstanceState
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm.exc import DetachedInstanceError

from ringrift_airflow.policies import DAG_PREFIX
from ringrift_loop.errors import LoopError, NoCapacity

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    from ringrift_loop.json_value import JsonValue
    from ringrift_loop.metrics.emit import Metrics

_log = logging.getLogger(__name__)
_MAX_MESSAGE = 500

# DAG to the label `loop` of the metrics; waiting for games is no cycle of its own.
LOOPS = MappingProxyType(
    {
        "ringrift_data_sync": "data_sync",
        "ringrift_selfplay": "selfplay",
        "ringrift_shadow_tournament": "shadow_tournament",
        "ringrift_full_tournament": "full_tournament",
        "ringrift_training": "training",
        "ringrift_regression_gate": "regression_gate",
        "ringrift_curriculum_rebalance": "curriculum",
    }
)


@hookimpl
def on_dag_run_success(dag_run: DagRun, msg: str) -> None:
    """Count a cycle, unless a halt skipped all of it; called in the scheduler, so it does as little as it can."""
    if dag_run.dag_id in LOOPS and _did_something(dag_run):
        _metrics().incr("ringrift_loop_cycles_total", loop=LOOPS[dag_run.dag_id])


def _did_something(dag_run: DagRun) -> bool:
    try:
        # In the scheduler's own session: another one of its thread would commit what the scheduler has not done yet.
        return any(task.state == TaskInstanceState.SUCCESS for task in dag_run.task_instances)
    except DetachedInstanceError:  # `dag.test()`: a person runs it, and no halt holds it back
        return True


@hookimpl
def on_dag_run_failed(dag_run: DagRun, msg: str) -> None:
    """Count a failed cycle; called in the scheduler as well."""
    if dag_run.dag_id in LOOPS:
        _metrics().incr("ringrift_loop_errors_total", loop=LOOPS[dag_run.dag_id])


@hookimpl
def on_task_instance_running(previous_state: object, task_instance: RuntimeTaskInstance) -> None:
    """Tell that Airflow starts tasks, and for the first one of a scheduled run how late it is."""
    if not task_instance.dag_id.startswith(DAG_PREFIX):
        return
    started_at = task_instance.start_date.timestamp()
    _metrics().gauge("ringrift_last_task_start_timestamp_seconds", started_at)
    is_first = task_instance.try_number == 1 and not task_instance.task.upstream_task_ids
    if task_instance.dag_id in LOOPS and is_first:
        run = task_instance.get_template_context()["dag_run"]
        if run.run_type == "scheduled":
            late_s = max(0.0, started_at - run.run_after.timestamp())
            _metrics().observe("ringrift_scheduling_latency_seconds", late_s, loop=LOOPS[task_instance.dag_id])


@hookimpl
def on_task_instance_failed(
    previous_state: object, task_instance: RuntimeTaskInstance, error: str | BaseException | None
) -> None:
    """Write the failure down; a ledger that is away loses the line, never the task's own state.

    Airflow calls this for a try that is going to be repeated, too. Waiting for a lease or a place is no failure.
    """
    is_repeated = task_instance.state == TaskInstanceState.UP_FOR_RETRY
    if not task_instance.dag_id.startswith(DAG_PREFIX) or (is_repeated and isinstance(error, NoCapacity)):
        return
    from ringrift_airflow.settings import open_ledger
    from ringrift_loop.ledger import events

    reason = str(error) or type(error).__name__
    verb = "failed and will be retried" if is_repeated else "failed"
    message = f"{task_instance.dag_id}.{task_instance.task_id} {verb}: {reason}"[:_MAX_MESSAGE]
    data: dict[str, JsonValue] = {
        "dag_id": task_instance.dag_id,
        "task_id": task_instance.task_id,
        "run_id": task_instance.run_id,
        "try_number": task_instance.try_number,
        "error": type(error).__name__,
        "will_be_retried": is_repeated,
    }
    try:
        with open_ledger().begin() as connection:
            events.record(connection, "task_failed", message, at=time.time(), data=data)
    except (LoopError, SQLAlchemyError) as problem:
        _log.warning("the failure could not be written to the ledger: %s", problem)


@functools.cache
def _metrics() -> Metrics:
    """One emitter a process: it opens its socket once."""
    from ringrift_airflow.settings import open_metrics

    return open_metrics()
