"""Resource control: how much of their time the workers of each machine compute."""

from __future__ import annotations

from typing import Any

from airflow.sdk import task

from ringrift_airflow.dag_defaults import HOSTS, SUPERVISION_POOL
from ringrift_airflow.settings import open_loop


@task(pool=SUPERVISION_POOL, execution_timeout=HOSTS, retries=0)  # the next cycle is the retry
def rebalance_resources() -> dict[str, Any]:
    """Decide on each machine by its newest sample, and tell the hosts whose workers have another duty."""
    from ringrift_loop.cluster.selfplay.pacing import rebalance_and_tell

    return rebalance_and_tell(open_loop()).as_json()
