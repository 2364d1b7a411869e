"""Cluster policy: a task of ours without an owner, a time limit or a pool of its own does not get into the DAG list.

Loaded through the `airflow.policy` entry point; DAGs of other people on the same Airflow are left alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.exceptions import AirflowClusterPolicyViolation
from airflow.policies import hookimpl

if TYPE_CHECKING:
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
