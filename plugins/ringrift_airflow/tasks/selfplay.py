"""The self-play stage: the workers on the hosts are what the inventory, weights and leases call for."""

from __future__ import annotations

from typing import Any

from airflow.sdk import task

from ringrift_airflow.dag_defaults import HOSTS, SUPERVISION_POOL
from ringrift_airflow.settings import open_loop


# The next cycle is the retry. A halt is carried out by this very task: it drains the workers.
@task(pool=SUPERVISION_POOL, execution_timeout=HOSTS, retries=0, pre_execute=None)
def reconcile_workers() -> dict[str, Any]:
    """Start what is missing, drain what is too much, restart what died; by recorded pid and start time only."""
    from ringrift_loop.cluster.selfplay.supervise import reconcile

    return reconcile(open_loop()).as_json()
