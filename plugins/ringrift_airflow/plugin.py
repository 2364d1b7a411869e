"""The one list of what is registered with Airflow.

Airflow imports this module in every process of every task, so it imports little; named in the `airflow.plugins`
entry point and nowhere else (`plugins/.airflowignore` keeps the folder scan out).
"""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from ringrift_airflow.links import HostResultsLink, RollbackLink, TrainingLink, VerdictLink, WorkersLink
from ringrift_airflow.listeners import run_events
from ringrift_airflow.page_hosts import known_hosts_only
from ringrift_airflow.timetables import AgainTimetable, OffsetTimetable


class RingRiftPlugin(AirflowPlugin):
    """Timetables, listener, links and the guard of the page of the improvement loop."""

    name = "ringrift"
    timetables: list[Any] = [OffsetTimetable, AgainTimetable]  # noqa: RUF012 - Airflow's own attribute is a mutable class variable
    # Shown on Airflow's plugin page; the operators themselves say which of them they have.
    operator_extra_links: list[Any] = [  # noqa: RUF012 - as above
        HostResultsLink(),
        RollbackLink(),
        TrainingLink(),
        VerdictLink(),
        WorkersLink(),
    ]
    fastapi_root_middlewares: list[Any] = [  # noqa: RUF012 - as above
        {"name": "known hosts only", "middleware": known_hosts_only}
    ]
    listeners: list[Any] = [run_events]  # noqa: RUF012 - as above
