"""Games in segments and in the ledger, as a sync leaves them, for tests of what reads them."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ringrift_loop.engine.game import Game
from ringrift_loop.engine.version import ENGINE_VERSION
from ringrift_loop.layout import HostDirectory, RunDirectory
from ringrift_loop.ledger import games, hosts, segments
from ringrift_loop.ledger.database import Ledger
from ringrift_loop.ledger.games import GameRow
from ringrift_loop.ledger.segments import SegmentRow
from ringrift_loop.selfplay.records import GameRecord, move_hash
from ringrift_loop.selfplay.segments import SegmentName, SegmentWriter, segment_path
from ringrift_loop.selfplay.targets import SearchTarget, pack_targets


def record_of(game: Game, number: int, **changes: Any) -> GameRecord:
    """A finished game as a self-play record, with the value of a search at its first ply."""
    shares = np.full(game.rules.players, 1 / game.rules.players, np.float16)
    nothing = np.empty(0, np.uint16)
    targets = pack_targets([SearchTarget(0, False, nothing, nothing, shares)])
    fields: dict[str, Any] = {
        "id": f"{number:032x}",
        "variant": game.variant,
        "pie_rule": False,
        "seed": number,
        "moves": " ".join(game.moves),
        "plies": len(game.moves),
        "winner": game.winner,
        "result": game.result,
        "player": "heuristic-search",
        "search": {},
        "engine": ENGINE_VERSION,
        "started_at": 1.0,
        "finished_at": 2.0,
        "host": "local_a",
        "worker": "0-1",
        "targets": base64.b64encode(targets).decode(),
    }
    return GameRecord(**(fields | changes))


def store(directory: RunDirectory, ledger: Ledger, records: Sequence[GameRecord], *, host: str, at: float) -> str:
    """Put records into one segment of a host and into the ledger; the segment's name."""
    with tempfile.TemporaryDirectory() as folder:
        there = HostDirectory(Path(folder))
        writer = SegmentWriter(there, 0, len(records) + 1, 3600.0)
        for record in records:
            writer.append(record.to_json())
        name = writer.seal()
        writer.close()
        assert name is not None
        target = segment_path(directory, host, name)
        target.parent.mkdir(parents=True, exist_ok=True)
        data = (there.sealed_segments / name).read_bytes()
        target.write_bytes(data)
    parsed = SegmentName.parse(name)
    row = SegmentRow(
        host, name, parsed.sha16 * 4, parsed.epoch, parsed.seq, len(records), len(records), 0, 0, len(data), at
    )
    with ledger.begin() as conn:
        hosts.ensure(conn, [host])
        segments.add(conn, row)
        games.add(conn, [_row(record, name, place, host, at) for place, record in enumerate(records)])
    return name


def _row(record: GameRecord, segment: str, position: int, host: str, at: float) -> GameRow:
    return GameRow(
        id=record.id,
        move_hash=move_hash(record),
        variant=record.variant,
        host=host,
        segment=segment,
        position=position,
        plies=record.plies,
        rows=record.plies // 2,
        winner=record.winner,
        result=record.result,
        player=record.player,
        search={},
        engine_version=record.engine,
        played_at=record.finished_at,
        ingested_at=at,
    )
