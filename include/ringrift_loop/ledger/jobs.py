"""Detached jobs on hosts: where each was placed, how it stands, and which GPUs are taken by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select, update

from ringrift_loop.errors import LedgerError
from ringrift_loop.ledger.schema import jobs

PLACED, RUNNING, UNREACHABLE = "placed", "running", "unreachable"
SUCCEEDED, FAILED, CANCELLED = "succeeded", "failed", "cancelled"
ACTIVE = (PLACED, RUNNING, UNREACHABLE)
# Beyond the fence: what the job takes to end, how late a contact is written down, and for how long the network may
# still deliver what was said on a connection that was given up.
MARGIN_S = 120.0


@dataclass(frozen=True)
class JobRow:
    """One job; `attempt` counts its placements."""

    id: str
    command_digest: str
    role: str
    host: str
    gpus: list[int]
    fence_s: float
    state: str
    attempt: int
    placed_at: float
    last_contact_at: float
    ended_at: float | None
    log_offset: int
    failure: dict[str, Any] | None

    @property
    def active(self) -> bool:
        """Whether it may run, so that its host is asked before anything else is done."""
        return self.state in ACTIVE

    def surely_over(self, at: float) -> bool:
        """Whether a job whose host does not answer has ended by itself by now."""
        return self.state == UNREACHABLE and at > self.last_contact_at + self.fence_s + MARGIN_S


@dataclass(frozen=True)
class Placement:
    """Where a job shall run, and what that takes."""

    command_digest: str
    role: str
    host: str
    gpus: Sequence[int]
    fence_s: float


def get(conn: Connection, job_id: str) -> JobRow | None:
    """One job."""
    row = conn.execute(select(jobs).where(jobs.c.id == job_id)).first()
    return None if row is None else JobRow(**row._mapping)


def all_jobs(conn: Connection, *, limit: int = 100) -> list[JobRow]:
    """The newest jobs, the last placed first."""
    return [JobRow(**row._mapping) for row in conn.execute(select(jobs).order_by(jobs.c.placed_at.desc()).limit(limit))]


def active(conn: Connection) -> list[JobRow]:
    """Every job that may run."""
    return [JobRow(**row._mapping) for row in conn.execute(select(jobs).where(jobs.c.state.in_(ACTIVE)))]


def place(conn: Connection, job_id: str, wanted: Placement, *, at: float) -> JobRow:
    """Write a placement; from now on its GPUs are taken.

    Raises:
        LedgerError: the job may still run, or one of the GPUs is another job's; nothing is changed.
    """
    old = get(conn, job_id)
    if old is not None and old.active and not old.surely_over(at):
        raise LedgerError(f"job {job_id} was placed on {old.host} and may run there")
    for other in active(conn):
        shared = set(other.gpus) & set(wanted.gpus)
        if other.id != job_id and other.host == wanted.host and shared and not other.surely_over(at):
            raise LedgerError(f"GPU {min(shared)} of {wanted.host} was given to job {other.id} meanwhile")
    values = {
        "command_digest": wanted.command_digest,
        "role": wanted.role,
        "host": wanted.host,
        "gpus": list(wanted.gpus),
        "fence_s": wanted.fence_s,
        "state": PLACED,
        "attempt": 1 if old is None else old.attempt + 1,
        "placed_at": at,
        "last_contact_at": at,
        "ended_at": None,
        "log_offset": 0,
        "failure": None,
    }
    if old is None:
        conn.execute(insert(jobs).values(id=job_id, **values))
    else:
        conn.execute(update(jobs).where(jobs.c.id == job_id).values(values))
    return JobRow(id=job_id, **values)  # type: ignore[arg-type]


def contact(
    conn: Connection, row: JobRow, *, at: float, log_offset: int | None = None, command_digest: str | None = None
) -> bool:
    """Note that the host of an attempt answered; False when the attempt is over by now."""
    values: dict[str, Any] = {"state": RUNNING, "last_contact_at": at}
    if log_offset is not None:
        values["log_offset"] = log_offset
    if command_digest is not None:
        values["command_digest"] = command_digest
    return conn.execute(update(jobs).where(*_attempt(row)).values(values)).rowcount == 1


def lose_sight(conn: Connection, row: JobRow, *, contact_at: float | None) -> None:
    """Note that the host of an attempt does not answer.

    Args:
        conn: a write transaction.
        row: the attempt.
        contact_at: now, when the host may have heard a question whose answer was lost; None when it heard nothing.
    """
    values: dict[str, Any] = {"state": UNREACHABLE}
    if contact_at is not None:
        values["last_contact_at"] = contact_at
    conn.execute(update(jobs).where(*_attempt(row)).values(values))


def end(conn: Connection, row: JobRow, state: str, *, at: float, failure: dict[str, Any] | None = None) -> bool:
    """Write an attempt's outcome and free its GPUs; False when that was done before."""
    values = {"state": state, "ended_at": at, "last_contact_at": at, "failure": failure}
    return conn.execute(update(jobs).where(*_attempt(row)).values(values)).rowcount == 1


def _attempt(row: JobRow) -> tuple[Any, ...]:
    return jobs.c.id == row.id, jobs.c.attempt == row.attempt, jobs.c.state.in_(ACTIVE)
