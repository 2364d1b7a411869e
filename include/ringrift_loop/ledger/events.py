"""The append-only history for people: games synced, trainings, verdicts, promotions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, func, insert, select

from ringrift_loop.json_value import JsonValue
from ringrift_loop.ledger.schema import events
from ringrift_loop.text import one_line

_MOST = 200
_MESSAGE_LENGTH = 2000


@dataclass(frozen=True)
class Event:
    """One line of the history."""

    id: int
    at: float
    kind: str  # "sync", "training", "gate", "promotion", "worker", "host", ...
    variant: str | None
    message: str
    data: dict[str, JsonValue]


def record(
    conn: Connection,
    kind: str,
    message: str,
    *,
    at: float,
    variant: str | None = None,
    data: Mapping[str, JsonValue] | None = None,
) -> None:
    """Append an event; its message becomes one printable line."""
    line = one_line(message, _MESSAGE_LENGTH)
    conn.execute(insert(events).values(at=at, kind=kind, variant=variant, message=line, data=dict(data or {})))


def after(conn: Connection, event_id: int) -> list[Event]:
    """The events with a higher id, oldest first; 200 at most."""
    rows = conn.execute(select(events).where(events.c.id > event_id).order_by(events.c.id).limit(_MOST))
    return [Event(**row._mapping) for row in rows]


def latest(conn: Connection, *, kind: str | None = None, limit: int = 50) -> list[Event]:
    """The newest events, newest first, of one kind or of all."""
    query = select(events).order_by(events.c.id.desc()).limit(limit)
    if kind is not None:
        query = query.where(events.c.kind == kind)
    return [Event(**row._mapping) for row in conn.execute(query)]


def since(conn: Connection, at: float, *, kind: str) -> list[Event]:
    """The newest 200 events of one kind that happened after a time, newest first."""
    query = select(events).where(events.c.kind == kind, events.c.at > at)
    # By time, not by id: the index on it then leaves out the years before.
    return [Event(**row._mapping) for row in conn.execute(query.order_by(events.c.at.desc()).limit(_MOST))]


def last_id(conn: Connection) -> int:
    """The id of the newest event; 0 when there is none."""
    newest: int | None = conn.execute(select(func.max(events.c.id))).scalar_one()
    return newest or 0
