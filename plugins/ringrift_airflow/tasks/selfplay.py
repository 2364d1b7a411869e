"""The self-play stage: the workers on the hosts are what the inventory, weights and leases call for."""

from __future__ import annotations

from typing import Any

from airflow.sdk import task

from ringrift_airflow.dag_defaults import HOSTS, SUPERVISION_POOL
from ringrift_airflow.settings import open_loop


@task(pool=SUPERVISION_POOL, execution_timeout=HOSTS, retries=0)  # the next cycle is the retry
def reconcile_workers() -> dict[str, Any]:
    """Start what is missing, drain what is too much, restart what died; by recorded pid and start time only."""
    from ringrift_loop.cluster.selfplay.supervise import reconcile

    return reconcile(open_loop()).as_json()
