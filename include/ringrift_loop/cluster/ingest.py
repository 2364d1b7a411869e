"""From a pulled segment to games in the ledger: check, replay, then one transaction for the games and the segment.

A record that does not replay is quarantined with its reason, alone. A segment that is damaged as a whole is quarantined
as a whole. Doing it again changes nothing, so any step may be killed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ringrift_loop.errors import DataError, IllegalMoveError
from ringrift_loop.layout import RunDirectory
from ringrift_loop.ledger import games, quarantine, segments
from ringrift_loop.ledger.database import Ledger
from ringrift_loop.ledger.games import GameRow
from ringrift_loop.ledger.quarantine import QuarantineRow
from ringrift_loop.ledger.segments import SegmentRow
from ringrift_loop.selfplay.segments import SegmentName, UnknownVersionError, read_segment, segment_path

if TYPE_CHECKING:
    # At run time it is imported with the first game: it brings the rules engine, which an idle cycle does not need.
    from ringrift_loop.selfplay.records import GameRecord


@dataclass(frozen=True)
class Ingested:
    """What became of one segment."""

    name: str
    size_bytes: int
    new: int = 0
    known: int = 0
    quarantined: int = 0
    new_by_variant: Mapping[str, int] = field(default_factory=dict)
    played_at: tuple[float, ...] = ()  # of the new games, by the host's clock
    repeated: bool = False  # the ledger had this segment already


Replayer: TypeAlias = "Callable[[GameRecord], int]"
"""Plays a record through the engine and returns its plies with a choice; raises DataError or IllegalMoveError."""


def ingest_segment(
    ledger: Ledger, directory: RunDirectory, host: str, path: Path, *, at: float, replayer: Replayer | None = None
) -> Ingested:
    """Take a pulled segment into the ledger and into the run directory; the file at `path` is moved there.

    Args:
        ledger: the ledger; the host has its row.
        directory: the run directory.
        host: the inventory's name of the host that it was pulled from, whatever the records say.
        path: the segment, complete, under its own name.
        at: UTC seconds.
        replayer: what checks a game; by default the rules engine.

    Raises:
        UnknownVersionError: it was written by another version; it is left where it is.
        DataError: its name is none of a segment.
    """
    name = SegmentName.parse(path.name)
    data = path.read_bytes()
    sha256, size = hashlib.sha256(data).hexdigest(), len(data)
    del data
    try:
        good, bad = _check_games(read_segment(path), host, path.name, at, replayer or EngineReplayer())
    except UnknownVersionError:
        raise
    except DataError as error:
        return _quarantine_whole(ledger, directory, host, path, sha256, str(error), at)
    target = segment_path(directory, host, path.name)
    with ledger.begin() as conn:
        if segments.get(conn, host, path.name) is not None:
            path.unlink()
            return Ingested(path.name, size, repeated=True)
        new = games.new_among(conn, good)
        # The file stands at its place before the row that points to it is committed.
        _move(path, target)
        known = len(good) - len(new)
        row = SegmentRow(
            host, path.name, sha256, name.epoch, name.seq, name.records, len(new), known, len(bad), size, at
        )
        segments.add(conn, row)
        games.add(conn, new)
        for refused in bad:
            quarantine.add(conn, refused)
    by_variant = Counter(row.variant for row in new)
    return Ingested(path.name, size, len(new), known, len(bad), by_variant, tuple(row.played_at for row in new))


class EngineReplayer:
    """Replays games through the rules engine; keeps the scratch memory of each variant."""

    def __init__(self) -> None:
        self._scratch: dict[tuple[str, bool], tuple[Any, Any]] = {}

    def __call__(self, record: GameRecord) -> int:
        """The game's plies with a choice; raises DataError or IllegalMoveError."""
        from ringrift_loop.engine.rules import rules_for
        from ringrift_loop.engine.work import make_work
        from ringrift_loop.selfplay.records import replay

        key = (record.variant, record.pie_rule)
        if key not in self._scratch:
            rules = rules_for(record.variant, pie_rule=record.pie_rule)
            self._scratch[key] = (rules, make_work(rules))
        rules, work = self._scratch[key]
        return int((replay(record, rules, work).choices >= 2).sum())


def _check_games(
    payloads: list[bytes], host: str, segment: str, at: float, replayer: Replayer
) -> tuple[list[GameRow], list[QuarantineRow]]:
    from ringrift_loop.selfplay.records import GameRecord

    good: list[GameRow] = []
    bad: list[QuarantineRow] = []
    for position, payload in enumerate(payloads):
        game_id = None
        try:
            record = GameRecord.from_json(payload)
            game_id = record.id
            good.append(_game_row(record, replayer(record), host, segment, position, at))
        except (DataError, IllegalMoveError) as error:
            text = payload.decode("utf-8", "replace")
            bad.append(QuarantineRow(host, segment, position, game_id, str(error), text, at))
    return good, bad


def _game_row(record: GameRecord, rows: int, host: str, segment: str, position: int, at: float) -> GameRow:
    from ringrift_loop.selfplay.records import move_hash

    try:
        json.dumps(record.search, allow_nan=False)
    except (ValueError, RecursionError) as error:
        raise DataError(f"game {record.id}: its search settings cannot be kept: {error}") from error
    return GameRow(
        id=record.id,
        move_hash=move_hash(record),
        variant=record.variant,
        host=host,
        segment=segment,
        position=position,
        plies=record.plies,
        rows=rows,
        winner=record.winner,
        result=record.result,
        player=record.player,
        search=record.search,
        engine_version=record.engine,
        played_at=record.finished_at,
        ingested_at=at,
    )


def _quarantine_whole(
    ledger: Ledger, directory: RunDirectory, host: str, path: Path, sha256: str, reason: str, at: float
) -> Ingested:
    """Count all records of a damaged segment as quarantined and keep the file for a person to look at."""
    name, size = SegmentName.parse(path.name), path.stat().st_size
    with ledger.begin() as conn:
        if segments.get(conn, host, path.name) is not None:
            path.unlink()
            return Ingested(path.name, size, repeated=True)
        _move(path, segment_path(directory, host, path.name))
        row = SegmentRow(host, path.name, sha256, name.epoch, name.seq, name.records, 0, 0, name.records, size, at)
        segments.add(conn, row)
        quarantine.add(conn, QuarantineRow(host, path.name, None, None, reason, None, at))
    return Ingested(path.name, size, quarantined=name.records)


def _move(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    path.rename(target)
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)  # the host deletes its copy on the strength of ours
    finally:
        os.close(folder)
