"""The loop's state over HTTP, below `/ringrift` of Airflow's page: health, overview, ratings and hosts as JSON.

Read-only, and behind Airflow's login: whoever may see the runs of the loop's sync may read this. A mounted app has no
login of its own, so every route here has the dependency; a test asks each of them without a token.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import requires_access_dag
from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from ringrift_airflow.settings import open_loop
from ringrift_loop import __version__
from ringrift_loop.config.schema import VARIANT_NAMES
from ringrift_loop.errors import LoopError
from ringrift_loop.launcher.leftovers import has_ended
from ringrift_loop.loop import Loop
from ringrift_loop.status.health import UNHEALTHY, Health, read_health
from ringrift_loop.status.overview import Overview, read_overview
from ringrift_loop.status.tables import EloRow, NodeRow, Source, elo_table, node_table
from ringrift_loop.text import one_line, without_secrets

_MAY_READ = Depends(requires_access_dag("GET", DagAccessEntity.RUN, param_dag_id="ringrift_data_sync"))
_NOT_READY: dict[int | str, dict[str, Any]] = {503: {"description": "The ledger cannot be read; `detail` says why."}}
_UNHEALTHY: dict[int | str, dict[str, Any]] = {
    503: {"model": Health, "description": "A part is unhealthy, or the ledger cannot be read."}
}

Variant = Annotated[
    str | None, Query(alias="config", description="one variant", json_schema_extra={"enum": list(VARIANT_NAMES)})
]


def make_app() -> FastAPI:
    """The app that the plugin mounts; `/openapi.json` is its contract."""
    app = FastAPI(
        title="RingRift improvement loop",
        version=__version__,
        description="Read-only. Log in as for Airflow's own API: `Authorization: Bearer TOKEN` from `/auth/token`.",
        dependencies=[_MAY_READ],
        servers=[{"url": "."}],
        openapi_url=None,  # Airflow's default would serve it without a login
        docs_url=None,
        redoc_url=None,
    )
    app.add_api_route("/health", health, summary="Does each part do its work?", responses=_UNHEALTHY)
    app.add_api_route("/status", status, summary="The loop at a glance", responses=_NOT_READY)
    app.add_api_route("/elo/table", elo, summary="Ratings, a row a participant", responses=_NOT_READY)
    app.add_api_route("/nodes/table", nodes, summary="Hosts, a row a host", responses=_NOT_READY)
    app.add_exception_handler(LoopError, _say_why)
    app.add_exception_handler(SQLAlchemyError, _say_why)

    def contract() -> dict[str, Any]:
        return app.openapi()

    app.add_api_route("/openapi.json", contract, include_in_schema=False)
    return app


def health(response: Response) -> Health:
    """As the deployment guide's `/health`: 503 when a part is unhealthy, otherwise 200."""
    with _reading() as (loop, conn):
        found = read_health(conn, loop.config, now=loop.clock(), stopped=has_ended(loop.directory))
    response.status_code = 503 if found.status == UNHEALTHY else 200
    return found


def status() -> Overview:
    """What `ringrift-loop status --json` prints."""
    with _reading() as (loop, conn):
        hosts = [host.name for host in loop.inventory.enabled]
        return read_overview(conn, loop.config, hosts, now=loop.clock(), stopped=has_ended(loop.directory))


def elo(source: Source = "all", variant: Variant = None) -> list[EloRow]:
    """The ratings as last fitted, strongest first, variant by variant."""
    if variant is not None and variant not in VARIANT_NAMES:
        raise HTTPException(422, f"config must be one of {', '.join(VARIANT_NAMES)}, got {variant[:80]!r}")
    with _reading() as (loop, conn):
        return elo_table(conn, loop.config, source=source, variant=variant)


def nodes() -> list[NodeRow]:
    """Every host of the inventory as the ledger last saw it; contacts none."""
    with _reading() as (loop, conn):
        stopped = has_ended(loop.directory)
        return node_table(conn, loop.config, loop.inventory, now=loop.clock(), stopped=stopped)


@contextmanager
def _reading() -> Iterator[tuple[Loop, Connection]]:
    """The loop as its files are now, and one state of its ledger; no connection outlives the answer."""
    loop = open_loop(with_credentials=False)
    try:
        with loop.ledger.read() as conn:
            yield loop, conn
    finally:
        loop.ledger.close()


def _say_why(_request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": without_secrets(one_line(str(error)))}, 503)
