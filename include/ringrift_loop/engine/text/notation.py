"""The text form of cells, moves and states (docs/3-rules.md, section 18): the one that records, logs and errors use.

Moves stand here; states in position_text.py, cells in cells.py.
"""

from __future__ import annotations

import re
import zlib
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringrift_loop.engine import moves as m
from ringrift_loop.engine.kernels import legal_moves
from ringrift_loop.engine.rules import VARIANTS, Rules, rules_for
from ringrift_loop.engine.state import GAME_OVER, PHASE, TO_PLAY
from ringrift_loop.engine.territory import region_mask
from ringrift_loop.engine.text.cells import CELL_PATTERN, cell_text, cell_texts, parse_cell
from ringrift_loop.engine.text.position_text import PHASE_CODES, Row, lps_text, parse_state, state_text
from ringrift_loop.engine.work import make_work
from ringrift_loop.errors import IllegalMoveError

__all__ = [
    "IllegalMoveError",
    "canonical_text",
    "cell_text",
    "list_moves",
    "lps_text",
    "move_named",
    "move_text",
    "parse_cell",
    "parse_move",
    "parse_state",
    "region_cells",
    "state_text",
]

_PHASE_NAMES = (
    "ring_placement",
    "movement",
    "capture",
    "chain_capture",
    "line_processing",
    "territory_processing",
    "forced_elimination",
    "game_over",
)

_CELL = f"({CELL_PATTERN})"
_ONE = f":{_CELL}"
_PAIR_PAID = f":{_CELL}>{_CELL}@{_CELL}"
_JUMP = f":{_CELL}>{_CELL}>{_CELL}"
_PATTERNS = {
    m.PL: re.compile(f":{_CELL}x([123])"),
    m.MV: re.compile(f":{_CELL}>{_CELL}"),
    m.CP: re.compile(_JUMP),
    m.CC: re.compile(_JUMP),
    m.RL1: re.compile(_PAIR_PAID),
    m.RL2: re.compile(rf":{_CELL}>{_CELL}#{_CELL}\.\.{_CELL}"),
    m.RF: re.compile(_PAIR_PAID),
    m.RS: re.compile(_PAIR_PAID),
    m.LP: re.compile(rf":{_CELL}\.\.{_CELL}"),
    m.LO: re.compile(rf":{_CELL}\.\.{_CELL}#{_CELL}\.\.{_CELL}"),
    m.LE: re.compile(_ONE),
    m.TR: re.compile(f":{_CELL}/([1-9][0-9]{{0,2}})/([0-9a-f]{{8}})"),
    m.TE: re.compile(_ONE),
    m.TB: re.compile(_ONE),
    m.FE: re.compile(_ONE),
}
_SHAPES = {
    m.PL: "PL:x,yxCOUNT",
    m.MV: "MV:from>to",
    m.CP: "CP:from>target>to",
    m.CC: "CC:from>target>to",
    m.RL1: "RL1:from>to@payer",
    m.RL2: "RL2:from>to#first..last",
    m.RF: "RF:from>to@payer",
    m.RS: "RS:from>to@payer",
    m.LP: "LP:first..last",
    m.LO: "LO:first..last#first..last",
    m.TR: "TR:smallest/cells/crc32",
}
_KINDS = {name: kind for kind, name in enumerate(m.KIND_NAMES)}
_SHOWN = 5
"""Legal moves that a refusal quotes."""
_LONGEST = 48
"""No move's text is longer; texts from hosts are kept in a cache, so others are not looked at."""
_NO_STATE: Row = np.empty(0, np.int16)


def list_moves(rules: Rules, row: Row, work: Any, moves: NDArray[np.int64]) -> list[str]:
    """Return the legal moves as sorted texts; `work` and `moves` are scratch memory."""
    n = legal_moves(rules, row, work, moves)
    return sorted(move_text(rules, row, move, work) for move in moves[:n].tolist())


def move_text(rules: Rules, row: Row, move: int, work: Any = None) -> str:
    """Return a legal move as text; the state it is played in gives a region's cells.

    Args:
        rules: the variant.
        row: the state before the move.
        move: a legal move of that state.
        work: scratch memory; made anew if it is missing and needed.
    """
    kind, numbers = move & 0xFF, [move >> shift & 0x3FF for shift in (8, 18, 28, 38)]
    name = m.KIND_NAMES[kind]
    if kind not in _PATTERNS:
        return name
    if kind == m.TR:
        cells = region_cells(rules, row, move, work)
        return f"{name}:{cell_text(rules, numbers[0])}/{len(cells)}/{_cells_hash(rules, cells)}"
    if kind == m.PL:
        return f"{name}:{cell_text(rules, numbers[0])}x{numbers[1]}"
    a, b, c, d = (cell_text(rules, number) if number < rules.board.num_cells else "" for number in numbers)
    if kind == m.MV:
        return f"{name}:{a}>{b}"
    if kind in (m.CP, m.CC):
        return f"{name}:{a}>{c}>{b}"
    if kind in (m.RL1, m.RF, m.RS):
        return f"{name}:{a}>{b}@{c}"
    if kind == m.RL2:
        return f"{name}:{a}>{b}#{c}..{d}"
    if kind == m.LP:
        return f"{name}:{a}..{b}"
    if kind == m.LO:
        return f"{name}:{a}..{b}#{c}..{d}"
    return f"{name}:{a}"


def region_cells(rules: Rules, row: Row, move: int, work: Any = None) -> list[int]:
    """Return the cells of the region that a TR move takes, in order."""
    mask = np.zeros(rules.board.num_cells, np.bool_)
    region_mask(rules.core, row, make_work(rules) if work is None else work, move, mask)
    cells: list[int] = np.flatnonzero(mask).tolist()
    return cells


def parse_move(rules: Rules, row: Row, text: str, work: Any, moves: NDArray[np.int64] | None = None) -> int:
    """Return the legal move that `text` names in this state.

    `LO` over a whole line is read as `LP`, which has the same effect.

    Args:
        rules: the variant.
        row: the state before the move.
        text: the move.
        work: scratch memory.
        moves: scratch int64 [max_moves]; made anew if it is missing.

    Raises:
        ValueError: the text is no move of this board.
        IllegalMoveError: it is, but it is not legal in this state.
    """
    if moves is None:
        moves = np.empty(rules.max_moves, np.int64)
    kind, groups = _split(text)
    move = _pack(rules, kind, groups)
    n = legal_moves(rules, row, work, moves)
    if kind == m.TR:
        candidates = [int(legal) for legal in moves[:n] if _is_taking(rules, int(legal), move, int(groups[1]))]
        for candidate in candidates:
            if move_text(rules, row, candidate, work) == text:
                return candidate
    elif bool((moves[:n] == move).any()):
        return move
    raise IllegalMoveError(_refusal(rules, row, text, kind, [int(legal) for legal in moves[:n]], work))


def move_named(rules: Rules, text: str) -> int:
    """Return the move of this board that `text` names without a look at a state; -1 when there is none.

    There is none for a text that is no move, and for a region's (`TR`): only the state tells which of them is meant.
    """
    return -1 if len(text) > _LONGEST else _named(rules.board.side, text)[0]


def canonical_text(rules: Rules, text: str) -> str:
    """The one text of the move that `text` names, whatever way it is written; a text that is no move stays as it is."""
    return text if len(text) > _LONGEST else _named(rules.board.side, text)[1]


# A game's moves are few and come again in others: looking one up costs a twentieth of reading it.
@lru_cache(maxsize=1 << 15)
def _named(side: int, text: str) -> tuple[int, str]:
    rules = next(rules for rules in map(rules_for, VARIANTS) if rules.board.side == side)
    try:
        kind, groups = _split(text)
        if kind == m.TR:
            return -1, text
        move = _pack(rules, kind, groups)
    except ValueError:
        return -1, text
    return move, move_text(rules, _NO_STATE, move)


def _split(text: str) -> tuple[int, tuple[str, ...]]:
    """The kind and the parts of a move text."""
    name, colon, _ = text.partition(":")
    kind = _KINDS.get(name)
    if kind is None:
        raise ValueError(f"a move begins with one of {' '.join(m.KIND_NAMES)}; got {text[:80]!r}")
    pattern = _PATTERNS.get(kind)
    if pattern is None:
        if colon:
            raise ValueError(f"{name} stands alone; got {text!r}")
        return kind, ()
    match = pattern.fullmatch(text[len(name) :])
    if match is None:
        raise ValueError(f"{name} is written {_SHAPES.get(kind, f'{name}:x,y')}; got {text!r}")
    return kind, match.groups()


def _pack(rules: Rules, kind: int, groups: tuple[str, ...]) -> int:
    """The move with those parts; for TR, whose border colour the text does not name, only its cell and size."""
    if not groups:
        return int(m.pack(kind))
    if kind in (m.PL, m.TR):
        cell = parse_cell(rules, groups[0])
        return int(m.pack(kind, cell, int(groups[1])))
    numbers = [parse_cell(rules, group) for group in groups]
    if kind in (m.CP, m.CC):
        return int(m.pack(kind, numbers[0], numbers[2], numbers[1]))
    if kind == m.LO and numbers[:2] == numbers[2:]:
        return int(m.pack(m.LP, numbers[0], numbers[1]))
    return int(m.pack(kind, *numbers))


def _is_taking(rules: Rules, legal: int, wanted: int, size: int) -> bool:
    return bool(legal & 0x3FFFF == wanted & 0x3FFFF and legal >> 28 & 0x3FF == size)


def _cells_hash(rules: Rules, cells: list[int]) -> str:
    """Crc32 of the cells' texts, sorted as numbers, joined by spaces."""
    return f"{zlib.crc32(' '.join(cell_texts(rules, cells)).encode()):08x}"


def _refusal(rules: Rules, row: Row, text: str, kind: int, legal: list[int], work: Any) -> str:
    if row[PHASE] == GAME_OVER:
        return f"{text} is not legal: the game is over"
    alike = [move for move in legal if move & 0xFF == kind]
    shown = alike or legal
    some = " ".join(move_text(rules, row, move, work) for move in shown[:_SHOWN])
    rest = " ..." if len(shown) > _SHOWN else ""
    of_kind = f"{len(alike)} of kind {m.KIND_NAMES[kind]}" if alike else f"none of kind {m.KIND_NAMES[kind]}"
    phase = int(row[PHASE])
    return (
        f"{text} is not legal for seat {row[TO_PLAY] + 1} in {_PHASE_NAMES[phase]} ({PHASE_CODES[phase]}): "
        f"{len(legal)} moves are, {of_kind}: {some}{rest}"
    )
