"""Self-play games: what came in, what waits for training, which run consumed it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from sqlalchemy import Connection, func, insert, select, update

from ringrift_loop.config.schema import Training
from ringrift_loop.json_value import JsonValue
from ringrift_loop.ledger.schema import games, hosts

_PART = 500  # ids per query, below SQLite's and PostgreSQL's limits on parameters
TRUSTED = games.c.host.not_in(select(hosts.c.name).where(hosts.c.suspected_at.is_not(None)))
"""The games that training may use: those of a host under suspicion are held back (hosts.py)."""
_FREE = games.c.training_run.is_(None) & TRUSTED


@dataclass(frozen=True)
class GameRow:
    """One game that replayed through the engine; its moves stand in its segment."""

    id: str
    move_hash: str
    variant: str
    host: str
    segment: str  # name of the segment; `segment_path` finds its file
    position: int  # record number within the segment, from 0
    plies: int
    rows: int  # plies that were searched; in games of earlier programs the random opening counts too
    winner: int | None  # seat 1..4; None when cut off
    result: str
    player: str
    search: dict[str, JsonValue]
    engine_version: str
    played_at: float
    ingested_at: float
    training_run: str | None = None
    started_at: float | None = None
    value_error: float | None = None
    value_spread: float | None = None


def new_among(conn: Connection, rows: Sequence[GameRow]) -> tuple[list[GameRow], list[GameRow]]:
    """The rows that the ledger should take, each game once, and those whose id it knows for other moves.

    What is in neither list is known: its moves are in the ledger, or come earlier among the rows. In a write
    transaction nothing comes between this look and `add`.
    """
    hash_of: dict[str, str] = {}
    hashes: set[str] = set()
    for first in range(0, len(rows), _PART):
        part = rows[first : first + _PART]
        same_id = games.c.id.in_([row.id for row in part])
        hash_of.update(conn.execute(select(games.c.id, games.c.move_hash).where(same_id)).all())
        query = select(games.c.move_hash).where(games.c.move_hash.in_([row.move_hash for row in part]))
        hashes.update(conn.execute(query).scalars())
    new, changed = [], []
    for row in rows:
        if hash_of.get(row.id, row.move_hash) != row.move_hash:
            changed.append(row)
        elif row.move_hash not in hashes:
            hash_of[row.id] = row.move_hash
            hashes.add(row.move_hash)
            new.append(row)
    return new, changed


def add(conn: Connection, rows: Sequence[GameRow]) -> None:
    """Write games that `new_among` returned; their segment's row comes before them."""
    if rows:
        conn.execute(insert(games), [dict(vars(row)) for row in rows])


def count(conn: Connection, variant: str | None = None) -> int:
    """The number of games, of one variant or of all."""
    query = select(func.count()).select_from(games)
    return conn.execute(query if variant is None else query.where(games.c.variant == variant)).scalar_one()


def count_since(conn: Connection, variant: str, since: float) -> int:
    """Games of a variant taken in at or after a time."""
    query = select(func.count()).where(games.c.variant == variant, games.c.ingested_at >= since)
    return conn.execute(query.select_from(games)).scalar_one()


def first_ingested_at(conn: Connection, variant: str) -> float | None:
    """When the variant's oldest game was taken in."""
    at: float | None = conn.execute(select(func.min(games.c.ingested_at)).where(games.c.variant == variant)).scalar()
    return at


def last_ingested_at(conn: Connection, variant: str) -> float | None:
    """When the variant's newest game was taken in."""
    at: float | None = conn.execute(select(func.max(games.c.ingested_at)).where(games.c.variant == variant)).scalar()
    return at


def count_by_variant(conn: Connection, *, since: float = 0.0) -> dict[str, int]:
    """Games per variant taken in at or after `since`."""
    query = select(games.c.variant, func.count()).where(games.c.ingested_at >= since).group_by(games.c.variant)
    return dict(conn.execute(query).all())


def pending(conn: Connection, variant: str) -> int:
    """Games of a variant that no training run has consumed and none has to leave alone."""
    query = select(func.count()).where(games.c.variant == variant, _FREE)
    return conn.execute(query.select_from(games)).scalar_one()


def pending_by_variant(conn: Connection) -> dict[str, int]:
    """Unconsumed games per variant; variants without any are absent."""
    query = select(games.c.variant, func.count()).where(_FREE).group_by(games.c.variant)
    return dict(conn.execute(query).all())


def wanted(conn: Connection, variant: str, settings: Training) -> int:
    """With how many unconsumed games the variant is trained: the configured number, or as few as hold enough rows.

    As long as there are none, the configured number.
    """
    query = select(func.count(), func.coalesce(func.sum(games.c.rows), 0))
    number, rows = conn.execute(query.where(games.c.variant == variant, _FREE)).one()
    if rows == 0:
        return settings.trigger_threshold_games
    by_rows = ceil(settings.trigger_threshold_rows * int(number) / int(rows))
    return min(settings.trigger_threshold_games, by_rows)


def pending_since(conn: Connection, variant: str, number: int) -> float | None:
    """When the variant had `number` unconsumed games, counted from 1; None while it has fewer."""
    query = select(games.c.ingested_at).where(games.c.variant == variant, _FREE)
    # "+ 0" keeps SQLite from walking by time through all the consumed games before them.
    at: float | None = conn.execute(query.order_by(games.c.ingested_at + 0).offset(number - 1).limit(1)).scalar()
    return at


def claim(conn: Connection, variant: str, run_id: str) -> int:
    """Give every unconsumed game of the variant to a training run; returns how many."""
    free = (games.c.variant == variant) & _FREE
    return conn.execute(update(games).where(free).values(training_run=run_id)).rowcount


def release(conn: Connection, run_id: str) -> int:
    """Take back the games of a run that failed, so that they count as unconsumed again."""
    return conn.execute(update(games).where(games.c.training_run == run_id).values(training_run=None)).rowcount
