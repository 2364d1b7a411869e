"""The first page: the state of the loop in one sentence, and the figures behind it."""

from __future__ import annotations

from fastapi import APIRouter

from ringrift_airflow.endpoints.access import NOT_READY, reading
from ringrift_loop.launcher.leftovers import has_ended
from ringrift_loop.views.overview import LoopState, read_state

router = APIRouter()


@router.get("/overview", summary="What the page Overview shows", responses=NOT_READY)
def overview() -> LoopState:
    """The state of the loop as the ledger tells it now."""
    with reading() as (loop, conn):
        hosts = [host.name for host in loop.inventory.enabled]
        return read_state(conn, loop.config, hosts, now=loop.clock(), stopped=has_ended(loop.directory))
