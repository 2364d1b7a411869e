"""What a move is and does, in words: for the list of a game's moves, and for the choices of a person who plays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringrift_loop.engine import moves as m
from ringrift_loop.engine.board import Board
from ringrift_loop.engine.rules import Rules
from ringrift_loop.engine.state import ELIM, MARKER, STACK, TERR
from ringrift_loop.engine.text.cells import cell_text
from ringrift_loop.engine.text.notation import region_cells
from ringrift_loop.text import counted

Row = NDArray[np.int16]

_ALONE = {
    m.SP: "skip the placement",
    m.NP: "no ring can be placed",
    m.SW: "exchange seats",
    m.SC: "decline the capture",
    m.NM: "no stack can move",
    m.SR: "decline to recover",
    m.NL: "no line to collapse",
    m.ST: "take no further region",
    m.NT: "no region to take",
}
BOOKKEEPING = frozenset((m.NP, m.NM, m.NL, m.NT))
"""Moves that only say that a phase offers nothing: they are played without asking."""


def phrase(rules: Rules, row: Row, move: int, work: Any) -> str:
    """A legal move as an imperative phrase without a full stop, such as `move 3,4 to 5,6`.

    Args:
        rules: the variant.
        row: the state before the move.
        move: a legal move of that state.
        work: the engine's scratch memory.
    """
    kind, a, b, c, d = fields(move)
    if kind in _ALONE:
        return _ALONE[kind]

    def at(cell: int) -> str:
        return cell_text(rules, cell)

    if kind == m.PL:
        on_stack = row[rules.kind + a] == STACK
        return f"place {counted(b, 'ring')} on {'the stack on ' if on_stack else ''}{at(a)}"
    if kind == m.MV:
        return f"move {at(a)} to {at(b)}"
    if kind in (m.CP, m.CC):
        return f"{'capture' if kind == m.CP else 'go on capturing'}: {at(a)} over {at(c)} to {at(b)}"
    if kind == m.RL1:
        return f"recover: slide {at(a)} to {at(b)}, collapse the whole line, pay a ring from {at(c)}"
    if kind == m.RL2:
        return f"recover: slide {at(a)} to {at(b)}, collapse {at(c)} to {at(d)} at no cost"
    if kind == m.RF:
        return f"recover: slide {at(a)} to {at(b)}, pay a ring from {at(c)}"
    if kind == m.RS:
        return f"recover: spend the marker on {at(a)} to strike the stack on {at(b)}, pay a ring from {at(c)}"
    if kind == m.LP:
        return f"collapse the whole line {at(a)} to {at(b)}"
    if kind == m.LO:
        return f"collapse {at(c)} to {at(d)} of the line {at(a)} to {at(b)} at no cost"
    if kind == m.LE:
        return f"pay the top ring of {at(a)} for the line"
    if kind == m.TR:
        return f"take the region of {counted(len(region_cells(rules, row, move, work)), 'cell')} around {at(a)}"
    if kind == m.TE:
        return f"pay {_cap(int(row[rules.cap + a]))} of {at(a)} for the region"
    if kind == m.TB:
        return f"pay the lowest own ring in {at(a)} for the region"
    return f"eliminate {_cap(int(row[rules.cap + a]))} of {at(a)}"


def named_cells(rules: Rules, move: int) -> list[int]:
    """The cells that a move names, in the order in which it goes over them."""
    kind, a, b, c, d = fields(move)
    if kind in _ALONE:
        return []
    if kind in (m.PL, m.LE, m.TR, m.TE, m.TB, m.FE):
        return [a]
    if kind == m.MV:
        return [a, b]
    if kind in (m.CP, m.CC):
        return [a, c, b]
    if kind in (m.RL1, m.RF, m.RS):
        return [a, b, c]
    if kind == m.RL2:
        return [a, b, *cells_between(rules.board, c, d)]
    if kind == m.LO:
        return cells_between(rules.board, c, d)
    return cells_between(rules.board, a, b)


def cells_between(board: Board, start: int, end: int) -> list[int]:
    """The cells of the straight run from one cell to another, both included."""
    for direction in range(board.num_dirs):
        run, cell = [start], start
        while cell >= 0 and cell != end:
            cell = int(board.step[direction, cell])
            run.append(cell)
        if cell == end:
            return run
    raise ValueError(f"cells {start} and {end} are not on one straight line")


def effects_of(rules: Rules, before: Row, after: Row, move: int) -> list[str]:
    """What a move changed beyond what its text says, a phrase each."""
    kind, _, landing, target, _ = fields(move)
    found = []
    if kind in (m.CP, m.CC):
        captured = int(before[rules.top + target]) // rules.rings_per_seat + 1
        found.append(f"a ring of seat {captured} goes under the stack")
    for seat in range(rules.players):
        if gained := int(after[TERR + seat] - before[TERR + seat]):
            become = "becomes" if gained == 1 else "become"
            found.append(f"{counted(gained, 'cell')} {become} territory of seat {seat + 1}")
        if lost := int(after[ELIM + seat] - before[ELIM + seat]):
            found.append(f"{counted(lost, 'ring')} eliminated for seat {seat + 1}")
    cells = rules.board.num_cells
    was, now = before[rules.kind : rules.kind + cells], after[rules.kind : rules.kind + cells]
    owned = before[rules.owner : rules.owner + cells] != after[rules.owner : rules.owner + cells]
    if flipped := int(np.count_nonzero((was == MARKER) & (now == MARKER) & owned)):
        found.append(f"{counted(flipped, 'marker')} flipped")
    landed = kind in (m.MV, m.CP, m.CC) and was[landing] == MARKER
    if landed:
        found.append("the marker under the landing is removed, and a ring for it")
    return found


def fields(move: int) -> tuple[int, int, int, int, int]:
    """Kind and the four numbers of a move (engine/moves.py)."""
    return move & 0xFF, move >> 8 & 0x3FF, move >> 18 & 0x3FF, move >> 28 & 0x3FF, move >> 38 & 0x3FF


def _cap(height: int) -> str:
    return "the top ring" if height == 1 else f"the {height} top rings"
