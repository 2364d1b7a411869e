"""Sealed segments taken in: which ones, from where, and which of them the host may still hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, insert, select, update

from ringrift_loop.ledger.schema import segments

_PART = 500  # names per query, below SQLite's and PostgreSQL's limits on parameters


@dataclass(frozen=True)
class SegmentRow:
    """One segment taken in; `records` = new + known + quarantined."""

    host: str
    name: str
    sha256: str  # of the file as pulled
    epoch: str
    seq: int
    records: int
    games_new: int
    games_known: int
    games_quarantined: int
    size_bytes: int
    ingested_at: float
    released_at: float | None = None  # when the host was first seen without it
    pruned_at: float | None = None  # when its file was given up here


@dataclass(frozen=True)
class HeldSegment:
    """A segment taken in that its host may still hold."""

    name: str
    epoch: str
    ingested_at: float


def add(conn: Connection, *rows: SegmentRow) -> None:
    """Write the rows; belongs into the transaction that writes the segments' games, before them."""
    if rows:
        conn.execute(insert(segments), [dict(vars(row)) for row in rows])


def get(conn: Connection, host: str, name: str) -> SegmentRow | None:
    """One segment, if it was taken in."""
    row = conn.execute(select(segments).where(segments.c.host == host, segments.c.name == name)).first()
    return None if row is None else SegmentRow(**row._mapping)


def known_names(conn: Connection, host: str, names: Iterable[str]) -> set[str]:
    """Those of `names` that were taken in from the host."""
    wanted = sorted(set(names))
    known: set[str] = set()
    for first in range(0, len(wanted), _PART):
        part = segments.c.name.in_(wanted[first : first + _PART])
        known.update(conn.execute(select(segments.c.name).where(segments.c.host == host, part)).scalars())
    return known


def held(conn: Connection, names: Sequence[str]) -> dict[str, list[HeldSegment]]:
    """By host: the segments taken in that it may still hold, by epoch and seq; hosts without any are absent."""
    found: dict[str, list[HeldSegment]] = {}
    columns = (segments.c.host, segments.c.name, segments.c.epoch, segments.c.ingested_at)
    for first in range(0, len(names), _PART):
        here = segments.c.host.in_(names[first : first + _PART]) & segments.c.released_at.is_(None)
        query = select(*columns).where(here).order_by(segments.c.host, segments.c.epoch, segments.c.seq)
        for host, *rest in conn.execute(query):
            found.setdefault(host, []).append(HeldSegment(*rest))
    return found


def games_by_host(conn: Connection) -> dict[str, int]:
    """Games that came in from each host; hosts without any are absent."""
    query = select(segments.c.host, func.sum(segments.c.games_new)).group_by(segments.c.host)
    return {host: int(number) for host, number in conn.execute(query) if number}


def release(conn: Connection, host: str, names: Sequence[str], *, at: float) -> None:
    """Note that the host no longer holds these segments."""
    for first in range(0, len(names), _PART):
        part = segments.c.name.in_(names[first : first + _PART])
        conn.execute(update(segments).where(segments.c.host == host, part).values(released_at=at))


def reappeared(conn: Connection, host: str, names: Sequence[str]) -> None:
    """Note that the host holds these segments after all, as after a visit without its data disk: it may delete them."""
    columns = segments.c
    for first in range(0, len(names), _PART):
        part = (columns.host == host) & columns.name.in_(names[first : first + _PART])
        conn.execute(update(segments).where(part, columns.released_at.is_not(None)).values(released_at=None))


def prune(conn: Connection, host: str, name: str, *, at: float) -> None:
    """Note that the segment's file is given up here; its games count as before, and no replay window has them."""
    conn.execute(update(segments).where(segments.c.host == host, segments.c.name == name).values(pruned_at=at))
