"""Cluster policy: what a task needs to get into the DAG list, what a run must name, and who goes first in a pool.

Loaded by every process of Airflow's through the `airflow.policy` entry point; DAGs of other people on the same Airflow
are left alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow import settings
from airflow.exceptions import AirflowClusterPolicyViolation, ParamValidationError
from airflow.policies import hookimpl
from sqlalchemy import event
from sqlalchemy.orm import Session

from ringrift_airflow.params import BY_ITSELF, filled_in

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.sdk import BaseOperator

DAG_PREFIX = "ringrift_"
_DEFAULT_OWNER = "airflow"
_DEFAULT_POOL = "default_pool"


@hookimpl
def task_policy(task: BaseOperator) -> None:
    """Refuse a task of the loop that lacks an owner, an execution timeout or a named pool.

    Raises:
        AirflowClusterPolicyViolation: names the DAG, the task and everything that is missing.
    """
    if not task.dag_id.startswith(DAG_PREFIX):
        return
    missing = []
    if task.owner == _DEFAULT_OWNER:
        missing.append("an owner (default_args from dag_defaults.py)")
    if task.execution_timeout is None:
        missing.append("an execution_timeout")
    if task.pool == _DEFAULT_POOL:
        missing.append("a pool of config/pools.json")
    if missing:
        raise AirflowClusterPolicyViolation(f"{task.dag_id}.{task.task_id} lacks {', '.join(missing)}")


# Airflow 3.3 asks the hook below about a new run's tasks only where there is a module airflow_local_settings.
settings.task_instance_mutation_hook.is_noop = False  # type: ignore[attr-defined]


@hookimpl
def task_instance_mutation_hook(task_instance: TaskInstance, dag_run: DagRun | None) -> None:
    """In the loop's pools, whoever's DAG it is, the older of two runs goes first when their tasks have one priority."""
    from ringrift_airflow.dag_defaults import POOLS, oldest_first

    if dag_run is not None and task_instance.pool in POOLS:
        task_instance.priority_weight = oldest_first(task_instance.priority_weight or 0, dag_run.run_after)


# Airflow 3.3 adds a key that a DAG does not know to its params and goes on, and offers no hook where a run is made. The
# page, the API, the command line and other DAGs all make runs by writing one to the database, so this is where we look.
@event.listens_for(Session, "before_flush")
def check_new_runs(session: Session, *_: object) -> None:
    """Refuse a new run of the loop's DAGs whose `conf` has unknown keys, or lacks what must be chosen."""
    for made in session.new:
        if type(made).__name__ == "DagRun" and made.dag_id.startswith(DAG_PREFIX):
            _check(made)


def _check(run: DagRun) -> None:
    if run.created_dag_version is None or run.run_type in BY_ITSELF:
        return
    params = run.created_dag_version.serialized_dag.dag.params
    try:
        run.conf = filled_in({name: params.get_param(name).schema for name in params}, run.conf or {})
    except ValueError as error:
        raise ParamValidationError(f"{run.dag_id}: {error}") from None
    params.deep_merge(run.conf).validate()
