"""The sync stage: games from the hosts into the ledger, figures from the ledger to StatsD."""

from __future__ import annotations

from typing import Any

from airflow.sdk import task

from ringrift_airflow.dag_defaults import HOSTS, SYNC_POOL, left_to_the_next_run
from ringrift_airflow.settings import open_loop


# The next cycle is the retry. A halt lets the games come in that the drained workers leave.
@task(pool=SYNC_POOL, execution_timeout=HOSTS, retries=0, pre_execute=None)
def sync_hosts() -> dict[str, Any]:
    """One round to every host: heartbeats and sealed segments in, replayed and checked, gauges out.

    Before it, candidates that have waited long enough become champions, and so go out with it. After it, every ten
    minutes, the hosts' games are compared with each other.
    """
    from ringrift_loop.cluster.sync.cycle import sync_once
    from ringrift_loop.cluster.sync.suspicion import watch_hosts
    from ringrift_loop.promotion.promote import promote_waiting
    from ringrift_loop.status.gauges import note_alive, publish_gauges
    from ringrift_loop.training.claim import reap_stuck
    from ringrift_loop.views.learning import note_learning

    loop = open_loop()
    note_alive(loop)
    promote_waiting(loop)
    with left_to_the_next_run():
        report = sync_once(loop)
    watch_hosts(loop)
    reap_stuck(loop)
    publish_gauges(loop)
    note_learning(loop)
    return report.as_json()
