"""# Retention

Once a day: files that nothing refers to any more and that are too old or too much, as the configuration's section
`retention` says. Until `retention.apply` is true it is a dry run, which only tells. By hand, to delete once:
`airflow dags trigger ringrift_retention --conf '{"dry_run": false}'`.

1. **check_ledger**: audits the ledger as `ringrift-loop ledger verify` does; when that finds something, the run ends
   here and deletes nothing
2. **delete_old_files**: segments, training runs with their checkpoints, models, what crashes have left of matches on
   hosts, and task logs; what the ledger refers to stays, whatever its age
3. **clean_airflow_tables**: old runs and tasks in Airflow's own database, by `airflow db clean`

If it fails: docs/5-operations.md#retention
"""

from __future__ import annotations

from airflow.sdk import dag

from ringrift_airflow.dag_defaults import DAG_DEFAULTS, TAG, every
from ringrift_airflow.params import RETENTION_PARAMS
from ringrift_airflow.tasks.retention import check_ledger, clean_airflow_tables, delete_old_files

INTERVAL_S = 86_400.0


@dag(
    schedule=every(INTERVAL_S, "ringrift_retention"),
    params=RETENTION_PARAMS,
    tags=[TAG],
    doc_md=__doc__,
    **DAG_DEFAULTS,
)
def ringrift_retention() -> None:
    deleted = delete_old_files("{{ not params.dry_run }}")
    check_ledger() >> deleted
    clean_airflow_tables(deleted)


ringrift_retention()
