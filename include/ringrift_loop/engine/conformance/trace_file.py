"""Reading and writing trace files: recorded games with every state's digest and every legal move list.

One game a line, as JSON, plain or gzipped. docs/3-rules.md 19 lists the keys. `traces.py` compares an engine with them.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ringrift_loop.engine.rules import VARIANTS, Variant
from ringrift_loop.errors import DataError

VERSION = 1
REFERENCE = "reference"
RECOMMENDED = "recommended"
LPS_ROUNDS = 3

_Value = TypeVar("_Value")


@dataclass(frozen=True)
class TracePly:
    """One recorded ply: the state before the move, what was legal there, and the move.

    Attributes:
        phase: two-letter phase code.
        seat: seat to move, from 1.
        digest: digest of the state text.
        legal_count: number of distinct legal moves.
        legal_digest: digest of their sorted list, joined by spaces.
        legal: that list, or None where only its digest was recorded.
        move: the move played.
        state: the state text, where it was recorded.
        lps: the last-player-standing tracker, where it was recorded.
        notes: moves that only the reference's quirks allow, `SPX`, `PLX:<cell>x<k>`, `FEX`, `TFX:<move>`.
    """

    phase: str
    seat: int
    digest: str
    legal_count: int
    legal_digest: str
    legal: tuple[str, ...] | None
    move: str
    state: str | None = None
    lps: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class TraceResult:
    """How a recorded game ended; counters are lists by seat."""

    truncated: bool
    winner: int | None
    type: str
    elim: list[int]
    terr: list[int]
    hand: list[int]
    plies: int
    d: str
    s: str


@dataclass(frozen=True)
class TraceGame:
    """One recorded game.

    Attributes:
        line: line number in its file, from 1.
        rules: REFERENCE for games that need the comparison rules of docs/3-rules.md 19, RECOMMENDED for exact ones.
        init: state text the game starts from, or None for the usual start.
    """

    line: int
    variant: Variant
    rules: str
    pie_rule: bool
    policy: str
    seed: int
    init: str | None
    plies: tuple[TracePly, ...]
    result: TraceResult


def text_digest(text: str) -> str:
    """Blake2b of the text, 8 bytes in hex."""
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def read_games(path: Path) -> Iterator[TraceGame]:
    """Read the games of a trace file one by one.

    Raises:
        DataError: the file cannot be read, or a line is not a game of this format; names the file and the line.
    """
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
        with path.open("rb") as raw, io.TextIOWrapper(gzip.GzipFile(fileobj=raw) if packed else raw, "utf-8") as lines:
            for number, text in enumerate(lines, start=1):
                yield _game(text, number, f"{path}, line {number}")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as a trace file: {error}") from error


def _game(text: str, number: int, where: str) -> TraceGame:
    try:
        record = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{where}: not JSON: {error}") from error
    if not isinstance(record, dict):
        raise DataError(f"{where}: a game is a JSON object, got {type(record).__name__}")
    if _get(record, "v", int, where) != VERSION:
        raise DataError(f"{where}: trace format version {record['v']}, this program reads version {VERSION}")
    rules = record.get("rules", REFERENCE)
    if rules not in (REFERENCE, RECOMMENDED):
        raise DataError(f"{where}: rules is {REFERENCE!r} or {RECOMMENDED!r}, got {rules!r}")
    plies = [_ply(ply, f"{where}, ply {i}") for i, ply in enumerate(_get(record, "plies", list, where))]
    return TraceGame(
        line=number,
        variant=_variant(record, where),
        rules=rules,
        pie_rule=_get(record, "swap", bool, where),
        policy=_get(record, "policy", str, where),
        seed=_get(record, "seed", int, where),
        init=_get(record, "init", str, where) if "init" in record else None,
        plies=tuple(plies),
        result=_result(_get(record, "result", dict, where), f"{where}, result"),
    )


def _variant(record: dict[str, Any], where: str) -> Variant:
    name = f"{_get(record, 'board', str, where)}_{_get(record, 'players', int, where)}p"
    if name not in VARIANTS:
        raise DataError(f"{where}: no variant {name}, known are {' '.join(VARIANTS)}")
    variant = VARIANTS[name]
    expected = {
        "rings": variant.rings_per_seat,
        "line": variant.line_length,
        "elim": variant.elimination_target,
        "terr": variant.territory_target,
        "lpsr": LPS_ROUNDS,
    }
    for key, value in expected.items():
        if _get(record, key, int, where) != value:
            raise DataError(f"{where}: {key} is {record[key]}, but {name} has {value}")
    return variant


def _ply(record: object, where: str) -> TracePly:
    if not isinstance(record, dict):
        raise DataError(f"{where}: a ply is a JSON object, got {type(record).__name__}")
    listed = _get(record, "l", str, where) if "l" in record else None
    ply = TracePly(
        phase=_get(record, "ph", str, where),
        seat=_get(record, "p", int, where),
        digest=_digest(record, "d", where),
        legal_count=_get(record, "n", int, where),
        legal_digest=_digest(record, "ld", where),
        legal=tuple(listed.split(" ")) if listed is not None else None,
        move=_get(record, "m", str, where),
        state=_get(record, "s", str, where) if "s" in record else None,
        lps=_get(record, "lps", str, where) if "lps" in record else None,
        notes=tuple(_get(record, "q", list, where)) if "q" in record else (),
    )
    if ply.state is not None and text_digest(ply.state) != ply.digest:
        raise DataError(f"{where}: digest d is {ply.digest}, but the state text s has {text_digest(ply.state)}")
    if listed is not None and (len(listed.split(" ")), text_digest(listed)) != (ply.legal_count, ply.legal_digest):
        raise DataError(f"{where}: n or ld does not fit the list l, which has {len(listed.split(' '))} moves")
    if not all(isinstance(note, str) for note in ply.notes):
        raise DataError(f"{where}: q is a list of texts, got {record['q']!r}")
    return ply


def _result(record: dict[str, Any], where: str) -> TraceResult:
    winner = record.get("winner")
    if winner is not None:
        winner = _get(record, "winner", int, where)
    result = TraceResult(
        truncated=_get(record, "truncated", bool, where),
        winner=winner,
        type=_get(record, "type", str, where),
        elim=_get(record, "elim", list, where),
        terr=_get(record, "terr", list, where),
        hand=_get(record, "hand", list, where),
        plies=_get(record, "plies", int, where),
        d=_digest(record, "d", where),
        s=_get(record, "s", str, where),
    )
    if text_digest(result.s) != result.d:
        raise DataError(f"{where}: digest d is {result.d}, but the state text s has {text_digest(result.s)}")
    return result


def _digest(record: dict[str, Any], key: str, where: str) -> str:
    value = _get(record, key, str, where)
    if not re.fullmatch("[0-9a-f]{16}", value):
        raise DataError(f"{where}: {key} is a digest of 16 hex digits, got {value!r}")
    return value


def _get(record: dict[str, Any], key: str, kind: type[_Value], where: str) -> _Value:
    if key not in record:
        raise DataError(f"{where}: the key {key!r} is missing, got {' '.join(record)}")
    value = record[key]
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise DataError(f"{where}: {key} should be of type {kind.__name__}, got {value!r}")
    return value
