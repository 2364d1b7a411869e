"""Health, status, ratings and hosts as JSON: what a dashboard or a script reads. Read-only."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Response

from ringrift_airflow.endpoints.access import NOT_READY, reading
from ringrift_loop.config.schema import VARIANT_NAMES
from ringrift_loop.launcher.leftovers import has_ended
from ringrift_loop.status.health import UNHEALTHY, Health, read_health
from ringrift_loop.status.overview import Overview, read_overview
from ringrift_loop.status.tables import EloRow, NodeRow, Source, elo_table, node_table

_UNHEALTHY: dict[int | str, dict[str, Any]] = {
    503: {"model": Health, "description": "A part is unhealthy, or the ledger cannot be read."}
}

Variant = Annotated[
    str | None, Query(alias="config", description="one variant", json_schema_extra={"enum": list(VARIANT_NAMES)})
]

router = APIRouter()


@router.get("/health", summary="Does each part do its work?", responses=_UNHEALTHY)
def health(response: Response) -> Health:
    """As the deployment guide's `/health`: 503 when a part is unhealthy, otherwise 200."""
    with reading() as (loop, conn):
        found = read_health(conn, loop.config, now=loop.clock(), stopped=has_ended(loop.directory))
    response.status_code = 503 if found.status == UNHEALTHY else 200
    return found


@router.get("/status", summary="The loop at a glance", responses=NOT_READY)
def status() -> Overview:
    """What `ringrift-loop status --json` prints."""
    with reading() as (loop, conn):
        hosts = [host.name for host in loop.inventory.enabled]
        return read_overview(conn, loop.config, hosts, now=loop.clock(), stopped=has_ended(loop.directory))


@router.get("/elo/table", summary="Ratings, a row a participant", responses=NOT_READY)
def elo(source: Source = "all", variant: Variant = None) -> list[EloRow]:
    """The ratings as last fitted, strongest first, variant by variant."""
    if variant is not None and variant not in VARIANT_NAMES:
        raise HTTPException(422, f"config must be one of {', '.join(VARIANT_NAMES)}, got {variant[:80]!r}")
    with reading() as (loop, conn):
        return elo_table(conn, loop.config, source=source, variant=variant)


@router.get("/nodes/table", summary="Hosts, a row a host", responses=NOT_READY)
def nodes() -> list[NodeRow]:
    """Every host of the inventory as the ledger last saw it; contacts none."""
    with reading() as (loop, conn):
        stopped = has_ended(loop.directory)
        return node_table(conn, loop.config, loop.inventory, now=loop.clock(), stopped=stopped)
