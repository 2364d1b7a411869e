"""The page Hosts: load against the band, workers, failures and what to do about them, jobs with their logs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Query

from ringrift_airflow.endpoints.access import NOT_READY, reading
from ringrift_loop.errors import ConfigError
from ringrift_loop.launcher.leftovers import has_ended
from ringrift_loop.views.hosts import (
    HostsView,
    MachineLoad,
    WorkerLine,
    read_hosts,
    read_job_log,
    read_load,
    read_workers,
)

_UNKNOWN: dict[int | str, dict[str, Any]] = {**NOT_READY, 404: {"description": "There is none of that name."}}

router = APIRouter()


@dataclass(frozen=True)
class LogTail:
    """The end of what was heard of a job's log."""

    text: str | None
    """Whole lines, at most 16 KiB; None: nothing came since `after`."""
    token: str
    """To be sent as `after` with the next question."""
    changed_at: float | None
    """When something was last heard, UTC seconds; None: nothing yet."""


@router.get("/hosts", summary="Machines, hosts and jobs", responses=NOT_READY)
def hosts() -> HostsView:
    """As the ledger last saw them; contacts none."""
    with reading() as (loop, conn):
        stopped = has_ended(loop.directory)
        return read_hosts(conn, loop.config, loop.inventory, now=loop.clock(), stopped=stopped)


@router.get("/hosts/load", summary="The last hour of each machine", responses=NOT_READY)
def load() -> list[MachineLoad]:
    """A point a minute."""
    with reading() as (loop, conn):
        return list(read_load(conn, now=loop.clock()))


@router.get("/hosts/{name}/workers", summary="The worker slots of a host", responses=_UNKNOWN)
def workers(name: Annotated[str, Path(max_length=64)]) -> list[WorkerLine]:
    """As their last heartbeats tell."""
    with reading() as (loop, conn):
        if name not in loop.inventory.hosts:
            raise HTTPException(404, f"the inventory has no host {name!r}")
        stopped = has_ended(loop.directory)
        return list(read_workers(conn, loop.config, name, now=loop.clock(), stopped=stopped))


@router.get("/jobs/{job_id}/log", summary="The end of a job's log", responses=_UNKNOWN)
def job_log(
    job_id: Annotated[str, Path(max_length=64)],
    after: Annotated[str, Query(max_length=64, description="the token of the last answer")] = "",
) -> LogTail:
    """What whoever follows the job has heard of it."""
    with reading() as (loop, _):
        try:
            tail = read_job_log(loop.directory, job_id, after=after)
        except ConfigError as error:
            raise HTTPException(404, str(error)) from error
    return LogTail(tail.text, tail.token, tail.changed_at)
