"""The page Games: finding games in the ledger, page by page, and reading one from its segment.

Every query walks an index from the newest game backwards and looks at a bounded number of games, so that its time does
not grow with the ledger: what is rare comes in several pages, and an empty page says how far it has looked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, or_, select

from ringrift_loop.errors import DataError
from ringrift_loop.layout import RunDirectory
from ringrift_loop.ledger.schema import games, models, segments
from ringrift_loop.selfplay.segments import read_segment, segment_path

PAGE = 50
"""Games of one answer."""
LOOKED_AT = 10_000
"""Games that one answer looks at: some 50 ms of SQLite among a million games (benchmarks/endpoints.py)."""

_CURSOR = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)-(\S{1,64})")


@dataclass(frozen=True)
class Wanted:
    """Which games; what is None does not matter."""

    variant: str | None = None
    player: str | None = None
    """A model's digest or its first digits (4 or more), or a baseline's name."""
    generation: int | None = None
    """Of the model that played, with `variant`."""
    host: str | None = None
    result: str | None = None
    """How it ended, one of `engine.game.RESULT_NAMES`."""
    winner: int | None = None
    """Seat from 1; 0: nobody, the game was cut off."""
    plies_from: int | None = None
    plies_to: int | None = None
    since: float | None = None
    """Taken in at or after, UTC seconds."""
    until: float | None = None
    """Taken in before."""


@dataclass(frozen=True)
class GameLine:
    """One game of the list."""

    id: str
    variant: str
    host: str
    player: str
    """Digest of the model that played all seats, or a baseline's name."""
    generation: int | None
    """Of that model within its own variant; None for a baseline or a model that is not in the ledger."""
    plies: int
    winner: int | None
    result: str
    played_at: float
    ingested_at: float
    training_run: str | None
    kept: bool
    """Whether its segment is still there, so that it can be replayed."""


@dataclass(frozen=True)
class GamePage:
    """Games from the newest to the oldest."""

    games: list[GameLine]
    older: str | None
    """Where the next page begins; None at the end."""
    looked_back_to: float | None
    """Time of the oldest game that was looked at, when the page is not full and there are older ones."""


def find_games(conn: Connection, wanted: Wanted, *, before: str | None = None, page: int = PAGE) -> GamePage:
    """The newest games that are as wanted.

    Args:
        conn: the ledger.
        wanted: which games.
        before: `older` of the page before this one.
        page: most games of the answer.

    Raises:
        ValueError: `before` is no such place, or `generation` comes without a variant.
    """
    column = games.c
    indexed, other = _conditions(conn, wanted)
    if before is not None:
        at, last_id = _place(before)
        indexed.append(or_(column.ingested_at < at, and_(column.ingested_at == at, column.id < last_id)))
        # Said again in a form by which both databases begin at the right place of the index.
        indexed.append(column.ingested_at <= at)
    columns = [column[name] for name in _COLUMNS]
    newest = select(*columns).where(*indexed).order_by(column.ingested_at.desc(), column.id.desc()).limit(LOOKED_AT)
    found: list[Row[Any]] = []
    if not other:
        found = list(conn.execute(newest.limit(page + 1)))
        more = len(found) > page
        found = found[:page]
        older = _cursor(found[-1].ingested_at, found[-1].id) if more else None
        return GamePage(_lines(conn, found), older, None)
    looked = newest.subquery()
    matching = [condition(looked.c) for condition in other]
    query = select(looked).where(*matching).order_by(looked.c.ingested_at.desc(), looked.c.id.desc())
    found = list(conn.execute(query.limit(page + 1)))
    if len(found) > page:
        found = found[:page]
        return GamePage(_lines(conn, found), _cursor(found[-1].ingested_at, found[-1].id), None)
    last = conn.execute(
        select(column.ingested_at, column.id)
        .where(*indexed)
        .order_by(column.ingested_at.desc(), column.id.desc())
        .offset(LOOKED_AT - 1)
        .limit(1)
    ).first()
    if last is None:
        return GamePage(_lines(conn, found), None, None)
    return GamePage(_lines(conn, found), _cursor(last.ingested_at, last.id), last.ingested_at)


def read_game(conn: Connection, directory: RunDirectory, game_id: str) -> tuple[GameLine, bytes] | None:
    """A game and its record as it came, one line of JSON; None when the ledger has no such game.

    Raises:
        DataError: its segment is not there any more, or is damaged.
    """
    row = conn.execute(select(*[games.c[name] for name in _COLUMNS]).where(games.c.id == game_id)).first()
    if row is None:
        return None
    line = _lines(conn, [row])[0]
    if not line.kept:
        raise DataError(
            f"the moves of game {game_id} are gone: its segment was given up by retention (docs/5-operations.md)"
        )
    path = segment_path(directory, row.host, row.segment)
    try:
        records = read_segment(path)
    except FileNotFoundError as error:
        raise DataError(f"the moves of game {game_id} are gone: {path} is missing") from error
    if row.position >= len(records):
        raise DataError(f"{path.name} holds {len(records)} records and not number {row.position}, game {game_id}")
    return line, records[row.position]


def hosts_of_games(conn: Connection) -> list[str]:
    """The hosts that games came from, by name."""
    return list(conn.execute(select(segments.c.host).distinct().order_by(segments.c.host)).scalars())


_COLUMNS = (
    "id", "variant", "host", "segment", "position", "player", "plies", "winner", "result", "played_at", "ingested_at",
    "training_run",
)  # fmt: skip


def _conditions(conn: Connection, wanted: Wanted) -> tuple[list[ColumnElement[bool]], list[Any]]:
    """What an index helps with, and what has to be looked at game by game."""
    column = games.c
    indexed: list[ColumnElement[bool]] = []
    other: list[Any] = []
    player = wanted.player
    if wanted.generation is not None:
        if wanted.variant is None:
            raise ValueError("a generation is one of a variant's: name the variant as well")
        query = select(models.c.digest).where(
            models.c.variant == wanted.variant, models.c.generation == wanted.generation
        )
        player = conn.execute(query).scalar() or "-"
    if player is not None:
        indexed.append(_player_is(conn, player))
    if wanted.variant is not None and wanted.generation is None:
        variant = wanted.variant
        # One index at a time: a player's or a host's games are walked by theirs.
        if player is None and wanted.host is None:
            indexed.append(column.variant == variant)
        else:
            other.append(lambda looked: looked.variant == variant)
    if wanted.host is not None:
        host = wanted.host
        if player is None:
            indexed.append(column.host == host)
        else:
            other.append(lambda looked: looked.host == host)
    if wanted.since is not None:
        indexed.append(column.ingested_at >= wanted.since)
    if wanted.until is not None:
        indexed.append(column.ingested_at < wanted.until)
    if wanted.result is not None:
        other.append(lambda looked: looked.result == wanted.result)
    if wanted.winner is not None:
        winner = wanted.winner
        other.append(lambda looked: looked.winner.is_(None) if winner == 0 else looked.winner == winner)
    if wanted.plies_from is not None:
        other.append(lambda looked: looked.plies >= wanted.plies_from)
    if wanted.plies_to is not None:
        other.append(lambda looked: looked.plies <= wanted.plies_to)
    return indexed, other


def _player_is(conn: Connection, player: str) -> ColumnElement[bool]:
    if len(player) == 64 or not re.fullmatch(r"[0-9a-f]{4,63}", player):
        return games.c.player == player
    digests = conn.execute(
        select(models.c.digest).where(models.c.digest >= player, models.c.digest < player + "g").limit(2)
    ).scalars()
    found = list(digests)
    if len(found) > 1:
        raise ValueError(f"several models have a digest that begins with {player}: give more of it")
    return games.c.player == (found[0] if found else player)


def _lines(conn: Connection, rows: Sequence[Row[Any]]) -> list[GameLine]:
    digests = {row.player for row in rows}
    generations: dict[str, int] = dict(
        conn.execute(select(models.c.digest, models.c.generation).where(models.c.digest.in_(digests))).all()
    )
    places = {(row.host, row.segment) for row in rows}
    gone: set[tuple[str, str]] = set()
    if places:
        names = {segment for _, segment in places}
        query = select(segments.c.host, segments.c.name).where(
            segments.c.host.in_({host for host, _ in places}),
            segments.c.name.in_(names),
            segments.c.pruned_at.is_not(None),
        )
        gone = {(row.host, row.name) for row in conn.execute(query)}
    return [
        GameLine(
            id=row.id,
            variant=row.variant,
            host=row.host,
            player=row.player,
            generation=generations.get(row.player),
            plies=row.plies,
            winner=row.winner,
            result=row.result,
            played_at=row.played_at,
            ingested_at=row.ingested_at,
            training_run=row.training_run,
            kept=(row.host, row.segment) not in gone,
        )
        for row in rows
    ]


def _cursor(at: float, game_id: str) -> str:
    return f"{at!r}-{game_id}"


def _place(cursor: str) -> tuple[float, str]:
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        raise ValueError(f"a place in the list is what `older` says, got {cursor[:80]!r}")
    return float(match[1]), match[2]
