"""The one list of what is registered with Airflow.

Airflow imports this module in every process of every task, so it imports little; named in the `airflow.plugins`
entry point and nowhere else (`plugins/.airflowignore` keeps the folder scan out).
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from airflow.plugins_manager import AirflowPlugin

from ringrift_airflow.deadlines import RunMade
from ringrift_airflow.links import (
    HostResultsLink,
    JobLink,
    ModelLink,
    ProgressLink,
    ReportLink,
    RollbackLink,
    TrainingLink,
    VerdictLink,
    WorkersLink,
)
from ringrift_airflow.listeners import run_events
from ringrift_airflow.page_hosts import known_hosts_only
from ringrift_airflow.timetables import AgainTimetable, OffsetTimetable

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.types import Receive, Scope, Send

PAGES: dict[str, Any] = {
    "name": "RingRift",
    "bundle_url": "ringrift/ui/ringrift.js",
    "icon": "ringrift/ui/icon.svg",
}
TABS = ("dag", "dag_run", "task", "task_instance")
"""Where the same app is a tab besides: it shows what fits the ids that Airflow gives it."""


async def endpoints(scope: Scope, receive: Receive, send: Send) -> None:
    """What is mounted at `/ringrift`; made at the first request, because only the API server has use for it."""
    await _endpoints()(scope, receive, send)


@functools.cache
def _endpoints() -> FastAPI:
    from ringrift_airflow.endpoints.app import make_app

    return make_app()


class RingRiftPlugin(AirflowPlugin):
    """Timetables, deadlines, listener, links, endpoints, pages and the guard of the page of the improvement loop."""

    name = "ringrift"
    timetables: list[Any] = [OffsetTimetable, AgainTimetable]  # noqa: RUF012 - Airflow's own attribute is a mutable class variable
    deadline_references: list[Any] = [RunMade]  # noqa: RUF012 - as above
    # Shown on Airflow's plugin page; the operators themselves say which of them they have.
    operator_extra_links: list[Any] = [  # noqa: RUF012 - as above
        HostResultsLink(),
        JobLink(),
        ModelLink(),
        ProgressLink(),
        ReportLink(),
        RollbackLink(),
        TrainingLink(),
        VerdictLink(),
        WorkersLink(),
    ]
    fastapi_root_middlewares: list[Any] = [  # noqa: RUF012 - as above
        {"name": "known hosts only", "middleware": known_hosts_only}
    ]
    fastapi_apps: list[Any] = [  # noqa: RUF012 - as above
        {"name": "RingRift endpoints", "url_prefix": "/ringrift", "app": endpoints}
    ]
    react_apps: list[Any] = [  # noqa: RUF012 - as above
        PAGES | {"destination": "nav", "nav_top_level": True, "url_route": "ringrift"},
        *(PAGES | {"destination": place, "url_route": f"ringrift-{place}"} for place in TABS),
    ]
    listeners: list[Any] = [run_events]  # noqa: RUF012 - as above
