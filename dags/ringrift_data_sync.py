"""# Data sync

New games from every host into the ledger, every `data_ingestion.poll_interval_seconds`.

1. **sync_hosts**: one round to all hosts at once: heartbeats and sealed segments come in, every game is replayed
   through the rules engine and counted once, gauges go out to StatsD. Candidates that have waited for their cool-down
   or the daily maximum become champions, and go out

A host that does not answer is retried after growing pauses; the others go on.

If it fails: docs/5-operations.md#data-sync
"""

from __future__ import annotations

from airflow.sdk import dag

from ringrift_airflow.dag_defaults import DAG_DEFAULTS, TAG, every
from ringrift_airflow.settings import loop_config
from ringrift_airflow.tasks.data_sync import sync_hosts

CONFIG = loop_config()


@dag(
    schedule=every(CONFIG.data_ingestion.poll_interval_seconds, "ringrift_data_sync"),
    tags=[TAG, "games"],
    doc_md=__doc__,
    **DAG_DEFAULTS,
)
def ringrift_data_sync() -> None:
    sync_hosts()


ringrift_data_sync()
