"""Worker slots: which should play, and what each one's worker last reported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select, update

from ringrift_loop.json_value import JsonValue
from ringrift_loop.ledger.schema import workers


@dataclass(frozen=True)
class WorkerRow:
    """One slot of a host."""

    host: str
    slot: int
    assigned_at: float
    heartbeat: dict[str, JsonValue] | None  # as the worker wrote it
    heartbeat_at: float | None  # when the coordinator read it


def all_workers(conn: Connection) -> list[WorkerRow]:
    """Every slot, by host and number."""
    rows = conn.execute(select(workers).order_by(workers.c.host, workers.c.slot))
    return [WorkerRow(**row._mapping) for row in rows]


def assign(conn: Connection, host: str, slot: int, *, at: float) -> None:
    """Say that a slot should play; the time is that of the first call."""
    here = (workers.c.host == host) & (workers.c.slot == slot)
    if conn.execute(select(workers.c.slot).where(here)).first() is None:
        conn.execute(insert(workers).values(host=host, slot=slot, assigned_at=at))


def unassign(conn: Connection, host: str, slot: int) -> None:
    """Forget a slot that is no longer used."""
    conn.execute(delete(workers).where(workers.c.host == host, workers.c.slot == slot))


def report(conn: Connection, host: str, slot: int, heartbeat: Mapping[str, JsonValue], *, at: float) -> bool:
    """Keep the heartbeat that a slot's worker wrote; returns whether the slot is assigned at all."""
    here = (workers.c.host == host) & (workers.c.slot == slot)
    values = {"heartbeat": dict(heartbeat), "heartbeat_at": at}
    return conn.execute(update(workers).where(here).values(values)).rowcount == 1


def heartbeat(conn: Connection, host: str, slot: int) -> dict[str, JsonValue] | None:
    """The last heartbeat that was read of a slot."""
    query = select(workers.c.heartbeat).where((workers.c.host == host) & (workers.c.slot == slot))
    return conn.execute(query).scalar_one_or_none()
