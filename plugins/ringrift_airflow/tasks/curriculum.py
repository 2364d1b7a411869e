"""The curriculum: variants that fall behind get a larger share of self-play and training."""

from __future__ import annotations

from airflow.sdk import get_current_context, task

from ringrift_airflow.dag_defaults import LEDGER_POOL, SHORT
from ringrift_airflow.settings import open_loop


@task(pool=LEDGER_POOL, execution_timeout=SHORT)
def rebalance_weights() -> dict[str, float]:
    """New weights from the ratings in the ledger; workers follow at the next reconcile. A retry changes nothing."""
    from ringrift_loop.curriculum.weights import rebalance

    return rebalance(open_loop(), key=get_current_context()["run_id"])
