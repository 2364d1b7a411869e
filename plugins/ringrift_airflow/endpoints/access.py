"""Who may ask, and the loop that is asked.

A mounted app has no login of its own, so every route has `MAY_READ`; a test asks each of them without a token.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import requires_access_dag
from fastapi import Depends, Request
from fastapi.responses import JSONResponse
from sqlalchemy import Connection

from ringrift_airflow.settings import open_loop
from ringrift_loop.loop import Loop
from ringrift_loop.text import one_line, without_secrets

MAY_READ = Depends(requires_access_dag("GET", DagAccessEntity.RUN, param_dag_id="ringrift_data_sync"))
"""Whoever may see the runs of the loop's data sync may read everything here."""

_STEERED = "ringrift_selfplay"
MAY_STEER = Depends(requires_access_dag("PUT", param_dag_id=_STEERED))
"""Whoever may pause the DAG that keeps the hosts busy may halt the loop and limit its self-play."""

NOT_READY: dict[int | str, dict[str, Any]] = {503: {"description": "The ledger cannot be read; `detail` says why."}}


def may_steer(user: BaseUser) -> bool:
    """Whether `MAY_STEER` lets the user through: a page shows no button that would be refused."""
    return bool(get_auth_manager().is_authorized_dag(method="PUT", details=DagDetails(id=_STEERED), user=user))


@contextmanager
def reading() -> Iterator[tuple[Loop, Connection]]:
    """The loop as its files are now, and one state of its ledger; no connection outlives the answer."""
    loop = open_loop(with_credentials=False)
    try:
        with loop.ledger.read() as conn:
            yield loop, conn
    finally:
        loop.ledger.close()


@contextmanager
def changing() -> Iterator[tuple[Loop, Connection]]:
    """The same for one transaction that changes the ledger."""
    loop = open_loop(with_credentials=False)
    try:
        with loop.ledger.begin() as conn:
            yield loop, conn
    finally:
        loop.ledger.close()


def say_why(_request: Request, error: Exception) -> JSONResponse:
    """An answer with status 503 that says what went wrong, without a traceback."""
    return JSONResponse({"detail": without_secrets(one_line(str(error)))}, 503)
