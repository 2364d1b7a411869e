"""# Waiting for games

Watches the ledger until a variant is due for training, wakes `ringrift_training`, and watches again.

1. **wait_for_games**: until a variant has `training.trigger_threshold_games` unconsumed games, or fewer that hold
   `training.trigger_threshold_rows` rows, its `training.min_interval_seconds` have passed, its last candidate is
   through the gates and there is a place for another training; deferred, so it costs no worker slot. Its log shows how
   far each variant is: "square8_2p: 212 of 300 games"

It is a separate DAG because it starts itself again: `ringrift_training` is open to as many runs as there are variants
and to manual ones.

If it fails: docs/5-operations.md#training
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import dag

from ringrift_airflow.dag_defaults import DAG_DEFAULTS, LEDGER_POOL, SHORT, TAG
from ringrift_airflow.sensors.new_games import NewGamesSensor
from ringrift_airflow.timetables import AgainTimetable

POLL_S = 15.0


@dag(schedule=AgainTimetable(), tags=[TAG, "models"], doc_md=__doc__, **DAG_DEFAULTS)
def ringrift_training_wait() -> None:
    NewGamesSensor(
        task_id="wait_for_games",
        for_training=True,
        poll_s=POLL_S,
        pool=LEDGER_POOL,
        execution_timeout=SHORT,
        pre_execute=None,  # a halted variant is not due; skipped, this DAG would start again at once, and again
        # The next run starts at once: without patience a broken ledger would leave a trail of them.
        retries=10,
        retry_delay=timedelta(minutes=1),
    )


ringrift_training_wait()
