"""Reading trace files: recorded games with every state's digest and every legal move list.

One game a line, as JSON, plain or gzipped. docs/3-rules.md 19 lists the keys. `traces.py` compares an engine with them.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from ringrift_loop.checked_json import File, parse
from ringrift_loop.engine.rules import VARIANTS, Variant
from ringrift_loop.errors import DataError

VERSION = 1
RECOMMENDED = "recommended"
LPS_ROUNDS = 3

_Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{16}\Z")]
_PLY_KEYS = {
    "phase": "ph",
    "seat": "p",
    "digest": "d",
    "legal_count": "n",
    "legal_digest": "ld",
    "listed": "l",
    "move": "m",
    "state": "s",
    "notes": "q",
}


class TracePly(msgspec.Struct, frozen=True, rename=_PLY_KEYS):
    """One recorded ply: the state before the move, what was legal there, and the move."""

    phase: str  # two-letter code
    seat: int  # to move, from 1
    digest: _Digest  # of the state text
    legal_count: int  # distinct legal moves
    legal_digest: _Digest  # of their sorted list, joined by spaces
    move: str
    listed: str | None = None  # that list; None where only its digest was recorded
    state: str | None = None  # the state text, where it was recorded
    lps: str | None = None  # the last-player-standing tracker, where it was recorded
    notes: tuple[str, ...] = ()  # moves that only the reference's quirks allow: SPX, PLX:<cell>x<k>, FEX, TFX:<move>

    def __post_init__(self) -> None:
        """What was recorded fits its digests."""
        if self.state is not None:
            _check_state(self.state, self.digest)
        moves = self.legal
        if moves is not None and (len(moves), text_digest(" ".join(moves))) != (self.legal_count, self.legal_digest):
            raise ValueError(f"n or ld does not fit the list l, which has {len(moves)} moves")

    @property
    def legal(self) -> tuple[str, ...] | None:
        """The legal moves, where they were recorded."""
        return None if self.listed is None else tuple(self.listed.split(" "))


class TraceResult(msgspec.Struct, frozen=True):
    """How a recorded game ended; counters are lists by seat."""

    truncated: bool
    type: str
    elim: list[int]
    terr: list[int]
    hand: list[int]
    plies: int
    d: _Digest
    s: str
    winner: int | None = None

    def __post_init__(self) -> None:
        """The digest is the state text's."""
        _check_state(self.s, self.d)


class TraceGame(File, frozen=True, forbid_unknown_fields=False):
    """One recorded game, and the numbers of its variant as its writer knew them."""

    board: str
    players: int
    rings: int
    line: int
    elim: int
    terr: int
    lpsr: int
    swap: bool  # the pie rule
    policy: str
    seed: int
    plies: tuple[TracePly, ...]
    result: TraceResult
    # Of "reference" games docs/3-rules.md 19 has the comparison rules; the others are exact.
    rules: Literal["reference", "recommended"] = "reference"
    init: str | None = None  # state text that the game starts from; None for the usual start

    def __post_init__(self) -> None:
        """The variant is there, with these numbers."""
        name = f"{self.board}_{self.players}p"
        if name not in VARIANTS:
            raise ValueError(f"no variant {name}, known are {' '.join(VARIANTS)}")
        variant = self.variant
        expected = {
            "rings": variant.rings_per_seat,
            "line": variant.line_length,
            "elim": variant.elimination_target,
            "terr": variant.territory_target,
            "lpsr": LPS_ROUNDS,
        }
        for key, value in expected.items():
            if getattr(self, key) != value:
                raise ValueError(f"{key} is {getattr(self, key)}, but {name} has {value}")

    @property
    def variant(self) -> Variant:
        """What was played."""
        return VARIANTS[f"{self.board}_{self.players}p"]


def text_digest(text: str) -> str:
    """Blake2b of the text, 8 bytes in hex."""
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def read_games(path: Path) -> Iterator[tuple[int, TraceGame]]:
    """Read the games of a trace file one by one, each with the number of its line.

    Raises:
        DataError: the file cannot be read, or a line is not a game of this format; names the file and the line.
    """
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
        with path.open("rb") as raw, io.TextIOWrapper(gzip.GzipFile(fileobj=raw) if packed else raw, "utf-8") as lines:
            for number, text in enumerate(lines, start=1):
                yield number, parse(text, TraceGame, f"{path}, line {number}")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as a trace file: {error}") from error


def _check_state(text: str, digest: str) -> None:
    if text_digest(text) != digest:
        raise ValueError(f"digest d is {digest}, but the state text s has {text_digest(text)}")
