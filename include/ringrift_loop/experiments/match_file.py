"""Games of a match log in a file, so that every figure made of them can be computed again by anyone.

`matches.jsonl.zst` holds one row of the match log a line (`ledger.matches.MatchRow`). Reading believes none of it: each
game is played through the rules engine again, and its winner and places are what the engine makes of the moves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import zstandard

from ringrift_loop.engine.kernels import make_work, places
from ringrift_loop.engine.rules import VARIANTS, rules_for
from ringrift_loop.engine.warmup import compile_kernels
from ringrift_loop.errors import DataError
from ringrift_loop.ledger.matches import MatchRow
from ringrift_loop.machine.files import read_plain, write_whole
from ringrift_loop.selfplay.records import MAX_BYTES, check_end, play_through
from ringrift_loop.tournament.blocks import BlockPlan
from ringrift_loop.tournament.store import Shelf

MATCHES: Final = "matches.jsonl.zst"
_LEVEL = 19
_MAX_FILE_BYTES = 256 << 20
_MAX_GAMES = 1_000_000
_CHUNK = 1 << 20


class MatchFile(Shelf):
    """A shelf whose blocks lie in one file; it is written anew with each portion of games."""

    def __init__(self, path: Path) -> None:
        """Open a file, or begin one.

        Raises:
            DataError: the file is damaged.
        """
        self._path = path
        self._blocks: dict[str, list[MatchRow]] = {}
        if path.exists():
            self._add(read_matches(path, replay=False))

    @property
    def rows(self) -> list[MatchRow]:
        """All games."""
        return [row for rows in self._blocks.values() for row in rows]

    def load(self, plans: Sequence[BlockPlan]) -> dict[str, list[MatchRow]]:
        """See Shelf."""
        return {plan.id: self._blocks[plan.id] for plan in plans if plan.id in self._blocks}

    def keep(self, rows: Sequence[MatchRow]) -> int:
        """See Shelf."""
        self._add(rows)
        write_matches(self._path, self.rows)
        return len(rows)

    def _add(self, rows: Iterable[MatchRow]) -> None:
        for row in rows:
            self._blocks.setdefault(row.block, []).append(row)


def write_matches(path: Path, rows: Sequence[MatchRow]) -> None:
    """Replace a file of games."""
    lines = b"".join(msgspec.json.encode(row) + b"\n" for row in rows)
    write_whole(path, zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compress(lines))
    path.chmod(0o644)


def read_matches(path: Path, *, replay: bool = True) -> list[MatchRow]:
    """Read a file of games.

    Args:
        path: the file; it may be anybody's.
        replay: play each game through the rules engine, and refuse one that did not go as it says.

    Raises:
        DataError: the file is missing or damaged, or a game is not what it says.
    """
    packed = read_plain(path, _MAX_FILE_BYTES)
    if replay:
        compile_kernels()
    rows: list[MatchRow] = []
    for number, line in enumerate(_lines(path, packed), start=1):
        try:
            row = msgspec.json.decode(line, type=MatchRow)
            if replay:
                _check(row)
        except (msgspec.DecodeError, ValueError, DataError) as error:
            raise DataError(f"{path}, game {number}: {error}") from error
        rows.append(row)
    if len({row.id for row in rows}) != len(rows):
        raise DataError(f"{path} has a game twice")
    return rows


def _lines(path: Path, packed: bytes) -> Iterator[bytes]:
    """The lines of a compressed file, each of bounded length."""
    unpacker = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj()
    rest, number = b"", 0
    try:
        for at in range(0, len(packed), _CHUNK):
            *whole, rest = (rest + unpacker.decompress(packed[at : at + _CHUNK])).split(b"\n")
            number += len(whole)
            if number > _MAX_GAMES or len(rest) > 2 * MAX_BYTES:
                raise DataError(f"{path} has more than {_MAX_GAMES} games, or one of more than {2 * MAX_BYTES} bytes")
            yield from whole
    except zstandard.ZstdError as error:
        raise DataError(f"{path} is damaged: {error}") from error
    if rest or (packed and not unpacker.eof):
        raise DataError(f"{path} is damaged: it ends in the middle of a line")


def _check(row: MatchRow) -> None:
    """Return when the game went as its row says."""
    if row.variant not in VARIANTS:
        raise DataError(f"no variant named {row.variant[:40]!r}")
    rules = rules_for(row.variant)
    if len(row.seats) != rules.players:
        raise DataError(f"{row.variant} has {rules.players} seats, got {len(row.seats)}")
    if not f"{row.moves} ".startswith(f"{row.opening} "):
        raise DataError(f"game {row.id} does not begin with its opening {row.opening[:80]!r}")
    work = make_work(rules)
    _, states, _ = play_through(rules, row.moves.split(" "), work, f"game {row.id}")
    check_end(rules, states, row.winner, row.result, f"game {row.id}")
    standing = np.ones(rules.players, np.int64)
    if row.winner is not None:
        places(rules, states[-1], standing)
    if standing.tolist() != row.places:
        raise DataError(f"game {row.id} ended with the places {standing.tolist()}, its row says {row.places}")
