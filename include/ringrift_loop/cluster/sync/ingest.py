"""From a pulled segment to games in the ledger: check, replay, then one transaction for the games and the segment.

Many segments may share a transaction. A record that does not replay is quarantined with its reason, alone, whatever it
makes go wrong. A segment that is damaged as a whole is quarantined as a whole. Doing it again changes nothing, so any
step may be killed.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from sqlalchemy import Connection

from ringrift_loop.cluster.sync.budget import BUDGET, Account, Budget
from ringrift_loop.cluster.transport.turns import host_failure, sentence
from ringrift_loop.errors import DataError
from ringrift_loop.json_value import JsonValue
from ringrift_loop.layout import RunDirectory
from ringrift_loop.ledger import games, quarantine, segments
from ringrift_loop.ledger.database import Ledger
from ringrift_loop.ledger.games import GameRow
from ringrift_loop.ledger.quarantine import QuarantineRow
from ringrift_loop.ledger.segments import SegmentRow
from ringrift_loop.machine.files import sync_folder
from ringrift_loop.selfplay.segments import SegmentName, UnknownVersionError, read_segment, segment_path
from ringrift_loop.text import counted

if TYPE_CHECKING:
    # At run time it is imported with the first game: it brings the rules engine, which an idle cycle does not need.
    from ringrift_loop.selfplay.records import GameRecord, ValueFigures


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


# One worker's games have one, after a restart another; each may take 100 KiB of memory until it is written.
_MAX_SEARCHES = 64
_OURS = (OSError, MemoryError)  # no fault of what was sent: tried again


class Replayed(NamedTuple):
    """What the ledger keeps of a game that replayed."""

    rows: int  # plies that were searched
    values: ValueFigures | None = None


Replayer: TypeAlias = "Callable[[GameRecord], Replayed]"
"""Plays a record through the engine; raises DataError or IllegalMoveError."""


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


def check_segment(
    host: str, path: Path, *, at: float, replayer: Replayer, account: Account | None = None
) -> CheckedSegment:
    """Read and replay a pulled segment.

    Args:
        host: the inventory's name of the host that it was pulled from, whatever the records say.
        path: the segment, complete, under its own name.
        at: UTC seconds.
        replayer: what checks a game.
        account: what the host may use; a new one when left out.

    Raises:
        UnknownVersionError: it was written by another version.
        DataError: its name is none of a segment.
        OverBudgetError: the host has used up its budget before the segment was checked.
    """
    account = account or Account(host)
    account.begin()
    try:
        payloads = read_segment(path)
    except (UnknownVersionError, *_OURS):
        raise
    except Exception as error:  # noqa: BLE001 - see _check_games
        account.quarantine_bytes += path.stat().st_size
        return refuse_segment(host, path, sentence(host_failure(host, error)), at=at)
    good, bad = _check_games(payloads, host, path.name, at, replayer, account)
    account.check()
    return CheckedSegment(host, path, *_digest_and_size(path), tuple(good), tuple(bad), len(bad))


def refuse_segment(host: str, path: Path, reason: str, *, at: float) -> CheckedSegment:
    """A pulled segment that is quarantined as a whole."""
    whole = QuarantineRow(host, path.name, None, None, reason, None, at)
    records = SegmentName.parse(path.name).records
    return CheckedSegment(host, path, *_digest_and_size(path), (), (whole,), records)


def ingest_checked(
    ledger: Ledger, directory: RunDirectory, checked: Sequence[CheckedSegment], *, at: float, budget: Budget = BUDGET
) -> list[Ingested]:
    """Take checked segments into the ledger in one transaction, and their files into the run directory.

    A transaction's price, a sync of the disk, is that of many segments; each of them is in it with all of its games. A
    segment that the ledger has already is dropped, and so is one that comes twice. Once a host has filled its share of
    the quarantine, a segment's refused games leave one line, and its file stays only for games that count.
    """
    done: dict[int, Ingested] = {}
    with ledger.begin() as conn:
        taken: dict[tuple[str, str], tuple[int, CheckedSegment]] = {}
        for place, segment in enumerate(checked):
            key = (segment.host, segment.path.name)
            if key in taken or segments.get(conn, *key) is not None:
                if key not in taken:
                    segment.path.unlink(missing_ok=True)
                done[place] = Ingested(segment.path.name, segment.size_bytes, repeated=True)
            else:
                taken[key] = (place, segment)
        rows, changed = games.new_among(conn, [row for _, segment in taken.values() for row in segment.good])
        new: dict[tuple[str, str], list[GameRow]] = {key: [] for key in taken}
        for row in rows:
            new[row.host, row.segment].append(row)
        refused = {key: list(segment.refused) for key, (_, segment) in taken.items()}
        other_moves: Counter[tuple[str, str]] = Counter()
        for row in changed:
            reason = f"another game with the id {row.id} is in the ledger, with other moves"
            other_moves[row.host, row.segment] += 1
            refused[row.host, row.segment].append(
                QuarantineRow(row.host, row.segment, row.position, row.id, reason, None, at)
            )
        for key, (place, segment) in taken.items():
            done[place] = Ingested(
                name=segment.path.name,
                size_bytes=segment.size_bytes,
                new=len(new[key]),
                known=len(segment.good) - len(new[key]) - other_moves[key],
                quarantined=segment.quarantined + other_moves[key],
                new_by_variant=Counter(row.variant for row in new[key]),
                played_at=tuple(row.played_at for row in new[key]),
            )
        over = _beyond(conn, refused, {key: done[place] for key, (place, _) in taken.items()}, budget)
        for key in over:
            refused[key] = [_one_line_of(refused[key], done[taken[key][0]], budget)]
            if not new[key]:
                taken[key][1].path.unlink(missing_ok=True)
        # The files stand at their places before the rows that point to them are committed.
        _move_all(directory, [segment for _, segment in taken.values()])
        segments.add(conn, *(_segment_row(segment, done[place], at) for place, segment in taken.values()))
        games.add(conn, rows)
        for refusal in chain.from_iterable(refused.values()):
            quarantine.add(conn, refusal)
    return [done[place] for place in range(len(checked))]


class EngineReplayer:
    """Replays games through the rules engine; keeps the scratch memory of each variant."""

    def __init__(self) -> None:
        self._scratch: dict[tuple[str, bool], tuple[Any, Any]] = {}
        self._loaded = False

    def load(self) -> None:
        """Load the engine's kernels once, or compile them where that was left out: at no host's expense."""
        from ringrift_loop.engine.warmup import compile_kernels

        if not self._loaded:
            compile_kernels()
            self._loaded = True

    def __call__(self, record: GameRecord) -> Replayed:
        """What the ledger keeps of the game; raises DataError or IllegalMoveError."""
        from ringrift_loop.engine.rules import rules_for
        from ringrift_loop.engine.work import make_work
        from ringrift_loop.selfplay.records import replay, value_figures

        key = (record.variant, record.pie_rule)
        if key not in self._scratch:
            rules = rules_for(record.variant, pie_rule=record.pie_rule)
            self._scratch[key] = (rules, make_work(rules))
        rules, work = self._scratch[key]
        replayed = replay(record, rules, work)
        return Replayed(len(replayed.targets), value_figures(replayed, rules.players))


def _check_games(
    payloads: list[bytes], host: str, segment: str, at: float, replayer: Replayer, account: Account
) -> tuple[list[GameRow], list[QuarantineRow]]:
    from ringrift_loop.selfplay.records import GameRecord

    good: list[GameRow] = []
    bad: list[QuarantineRow] = []
    searches: dict[str, dict[str, JsonValue]] = {}
    for position, payload in enumerate(payloads):
        game_id = None
        try:
            record = GameRecord.from_json(payload)
            game_id = record.id
            search = _search_of(record, searches)
            good.append(_game_row(record, search, replayer(record), host, segment, position, at))
        except _OURS:
            raise
        except Exception as error:  # noqa: BLE001 - it would come again at every try, and hold back all later games
            # Cut here: thousands of them are in memory until they are written.
            text = payload[: quarantine.PAYLOAD_LIMIT].decode("utf-8", "replace")
            row = QuarantineRow(host, segment, position, game_id, sentence(host_failure(host, error)), text, at)
            bad.append(row)
            account.refused += 1
            account.quarantine_bytes += len(text)
        account.check()
    return good, bad


def _search_of(record: GameRecord, known: dict[str, dict[str, JsonValue]]) -> dict[str, JsonValue]:
    """The game's search settings, one object for all games of a segment that have the same."""
    text = json.dumps(record.search)
    if len(known) >= _MAX_SEARCHES and text not in known:
        raise DataError(f"game {record.id} is of more than {_MAX_SEARCHES} search settings in one segment")
    return known.setdefault(text, record.search)


def _game_row(
    record: GameRecord,
    search: dict[str, JsonValue],
    replayed: Replayed,
    host: str,
    segment: str,
    position: int,
    at: float,
) -> GameRow:
    from ringrift_loop.selfplay.records import move_hash

    return GameRow(
        id=record.id,
        move_hash=move_hash(record),
        variant=record.variant,
        host=host,
        segment=segment,
        position=position,
        plies=record.plies,
        rows=replayed.rows,
        winner=record.winner,
        result=record.result,
        player=record.player,
        search=search,
        engine_version=record.engine,
        played_at=record.finished_at,
        ingested_at=at,
        started_at=record.started_at,
        value_error=None if replayed.values is None else replayed.values.error,
        value_spread=None if replayed.values is None else replayed.values.spread,
    )


def _beyond(
    conn: Connection,
    refused: Mapping[tuple[str, str], Sequence[QuarantineRow]],
    done: Mapping[tuple[str, str], Ingested],
    budget: Budget,
) -> list[tuple[str, str]]:
    """The segments of whose refused games nothing more can be kept, for their host has filled its share."""
    kept: dict[str, int] = {}
    over = []
    for (host, name), rows in refused.items():
        if not rows:
            continue
        if host not in kept:
            kept[host] = quarantine.kept(conn, host)
        one = done[host, name]
        size = sum(row.size for row in rows) + (0 if one.new else one.size_bytes)
        if kept[host] + size > budget.quarantine_total_bytes:
            over.append((host, name))
        else:
            kept[host] += size
    return over


def _one_line_of(rows: Sequence[QuarantineRow], ingested: Ingested, budget: Budget) -> QuarantineRow:
    """What is kept of a segment's refused games where their texts are not."""
    first = rows[0]
    reason = (
        f"{counted(ingested.quarantined, 'record')} refused and not kept, for {first.host} has filled its "
        f"{budget.quarantine_total_bytes} bytes of quarantine; the first: {first.reason}"
    )
    return replace(first, position=None, game_id=None, payload=None, reason=reason)


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
        if segment.path.exists():  # a transaction that failed after this has moved it already
            segment.path.rename(target)
        folders.add(target.parent)
    for path in folders:
        sync_folder(path)  # the host deletes its copy on the strength of ours


def _digest_and_size(path: Path) -> tuple[str, int]:
    data = path.read_bytes()
    return hashlib.sha256(data).hexdigest(), len(data)
