"""What nothing refers to any more goes, once the configuration says so."""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import conf, task

from ringrift_airflow.dag_defaults import LEDGER_POOL
from ringrift_airflow.settings import open_loop

_log = logging.getLogger(__name__)
_LIMIT = timedelta(hours=1)


@task(pool=LEDGER_POOL, execution_timeout=_LIMIT)
def check_ledger() -> None:
    """The audit of `ringrift-loop ledger verify`; nothing is deleted while it finds something."""
    from ringrift_loop.retention import retain

    retain.check_ledger(open_loop(with_credentials=False))


@task(pool=LEDGER_POOL, execution_timeout=_LIMIT, retries=0)  # tomorrow's run is the retry
def delete_old_files(apply: bool) -> dict[str, Any]:
    """Segments, trainings, models, matches and task logs; `apply`, or `retention.apply`, or else it is a dry run."""
    from ringrift_loop.retention.retain import retain

    loop = open_loop(with_credentials=False)
    folder = Path(conf.get_mandatory_value("logging", "base_log_folder"))
    return retain(loop, apply=apply or loop.config.retention.apply, log_folders=[folder], say=_log.info).as_json()


@task(pool=LEDGER_POOL, execution_timeout=_LIMIT, retries=0)  # as above
def clean_airflow_tables(report: dict[str, Any]) -> None:
    """Old rows of Airflow's own database, with its own command."""
    from ringrift_loop.launcher.airflow_tables import clean_airflow
    from ringrift_loop.retention.plan import DAY_S

    loop = open_loop(with_credentials=False)
    before = loop.clock() - loop.config.retention.airflow_days * DAY_S
    _log.info("%s", clean_airflow(loop.directory, before=before, apply=report["applied"]))
