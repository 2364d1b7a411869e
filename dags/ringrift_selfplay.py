"""# Self-play

Keeps the hosts busy: every minute, the workers that run are compared with those that should.

1. **reconcile_workers**: tell the hosts each variant's weight where it has changed; start missing workers, drain
   surplus ones, restart dead ones, by recorded pid and start time only

The workers keep running whatever Airflow does; their games come in with `ringrift_data_sync`.

If it fails: docs/5-operations.md#self-play
"""

from __future__ import annotations

from airflow.sdk import dag

from ringrift_airflow.dag_defaults import DAG_DEFAULTS, TAG, every
from ringrift_airflow.tasks.selfplay import reconcile_workers

INTERVAL_S = 60.0


@dag(schedule=every(INTERVAL_S, "ringrift_selfplay"), tags=[TAG, "games"], doc_md=__doc__, **DAG_DEFAULTS)
def ringrift_selfplay() -> None:
    reconcile_workers()


ringrift_selfplay()
