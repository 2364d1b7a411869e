"""From a pulled segment to games in the ledger: check, replay, then one transaction for the games and the segment.

Many segments may share a transaction. A record that does not replay is quarantined with its reason, alone. A segment
that is damaged as a whole is quarantined as a whole. Doing it again changes nothing, so any step may be killed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
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


@dataclass(frozen=True)
class CheckedSegment:
    """A pulled segment whose games were replayed; nothing is written yet."""

    host: str
    path: Path
    sha256: str
    size_bytes: int
    good: tuple[GameRow, ...]
    refused: tuple[QuarantineRow, ...]  # single records, or one row for the whole of a damaged segment
    quarantined: int  # records that these rows stand for


def check_segment(host: str, path: Path, *, at: float, replayer: Replayer) -> CheckedSegment:
    """Read and replay a pulled segment.

    Args:
        host: the inventory's name of the host that it was pulled from, whatever the records say.
        path: the segment, complete, under its own name.
        at: UTC seconds.
        replayer: what checks a game.

    Raises:
        UnknownVersionError: it was written by another version.
        DataError: its name is none of a segment.
    """
    name = SegmentName.parse(path.name)
    data = path.read_bytes()
    sha256, size = hashlib.sha256(data).hexdigest(), len(data)
    del data
    try:
        good, bad = _check_games(read_segment(path), host, path.name, at, replayer)
    except UnknownVersionError:
        raise
    except DataError as error:
        whole = QuarantineRow(host, path.name, None, None, str(error), None, at)
        return CheckedSegment(host, path, sha256, size, (), (whole,), name.records)
    return CheckedSegment(host, path, sha256, size, tuple(good), tuple(bad), len(bad))


def ingest_checked(
    ledger: Ledger, directory: RunDirectory, checked: Sequence[CheckedSegment], *, at: float
) -> list[Ingested]:
    """Take checked segments into the ledger in one transaction, and their files into the run directory.

    A transaction's price, a sync of the disk, is that of many segments; each of them is in it with all of its games. A
    segment that the ledger has already is dropped.
    """
    done: dict[int, Ingested] = {}
    with ledger.begin() as conn:
        taken = []
        for place, segment in enumerate(checked):
            if segments.get(conn, segment.host, segment.path.name) is not None:
                segment.path.unlink()
                done[place] = Ingested(segment.path.name, segment.size_bytes, repeated=True)
            else:
                taken.append((place, segment))
        rows = games.new_among(conn, [row for _, segment in taken for row in segment.good])
        new: dict[tuple[str, str], list[GameRow]] = {}
        for row in rows:
            new.setdefault((row.host, row.segment), []).append(row)
        # The files stand at their places before the rows that point to them are committed.
        _move_all(directory, [segment for _, segment in taken])
        for place, segment in taken:
            mine = new.get((segment.host, segment.path.name), [])
            known = len(segment.good) - len(mine)
            by_variant, played_at = Counter(row.variant for row in mine), tuple(row.played_at for row in mine)
            done[place] = Ingested(
                segment.path.name, segment.size_bytes, len(mine), known, segment.quarantined, by_variant, played_at
            )
        segments.add(conn, *(_segment_row(segment, done[place], at) for place, segment in taken))
        games.add(conn, rows)
        for _, segment in taken:
            for refused in segment.refused:
                quarantine.add(conn, refused)
    return [done[place] for place in range(len(checked))]


def ingest_segment(
    ledger: Ledger, directory: RunDirectory, host: str, path: Path, *, at: float, replayer: Replayer | None = None
) -> Ingested:
    """Check one pulled segment and take it in; the file at `path` is moved into the run directory.

    Raises:
        UnknownVersionError: it was written by another version; it is left where it is.
        DataError: its name is none of a segment.
    """
    checked = check_segment(host, path, at=at, replayer=replayer or EngineReplayer())
    return ingest_checked(ledger, directory, [checked], at=at)[0]


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


def _segment_row(segment: CheckedSegment, ingested: Ingested, at: float) -> SegmentRow:
    name = SegmentName.parse(segment.path.name)
    return SegmentRow(
        host=segment.host,
        name=segment.path.name,
        sha256=segment.sha256,
        epoch=name.epoch,
        seq=name.seq,
        records=name.records,
        games_new=ingested.new,
        games_known=ingested.known,
        games_quarantined=ingested.quarantined,
        size_bytes=segment.size_bytes,
        ingested_at=at,
    )


def _move_all(directory: RunDirectory, moved: Sequence[CheckedSegment]) -> None:
    folders = set()
    for segment in moved:
        target = segment_path(directory, segment.host, segment.path.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        segment.path.rename(target)
        folders.add(target.parent)
    for path in folders:
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)  # the host deletes its copy on the strength of ours
        finally:
            os.close(folder)
