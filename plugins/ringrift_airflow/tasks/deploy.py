"""The deployment of this version to the hosts, as a person asked for it."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from airflow.sdk import get_current_context, task

from ringrift_airflow.dag_defaults import SUPERVISION_POOL
from ringrift_airflow.settings import open_loop
from ringrift_loop.errors import RemoteJobFailed

_log = logging.getLogger(__name__)

# A training host fetches some gigabytes.
_LIMIT = timedelta(hours=2)


@task(pool=SUPERVISION_POOL, execution_timeout=_LIMIT, retries=0)  # a person started it, and looks
def deploy_hosts(
    scope: str, hosts: list[str], install_systemd: bool, restart: bool, dry_run: bool, hot_reload: bool
) -> dict[str, Any]:
    """Plan for every host, tell it in the log, and unless it is a dry run carry it out.

    When a host failed the task fails, and the record lies in XCom under `report`.
    """
    from ringrift_loop.deployment.plan import Wish
    from ringrift_loop.deployment.project import deploy_project

    loop = open_loop()
    report = deploy_project(
        loop.inventory,
        loop.config,
        Wish(install_systemd, restart, hot_reload),
        say=_log.info,
        scope=scope,
        names=hosts,
        dry_run=dry_run,
    )
    if report.results:
        _log.info("%s", report.table())
    if report.failed:
        get_current_context()["ti"].xcom_push(key="report", value=report.as_json())
        raise RemoteJobFailed(f"failed: {', '.join(report.failed)}; the others are done")
    return report.as_json()
