"""What the heuristic counts on a board, kept by lines: after a move only those that it touches are counted anew.

A line is a whole row of cells along one axis. Rays and windows of markers lie within one line, so the counts of a board
are the sums over its lines and its stacks. Counts are whole numbers: added up in any order they are exactly the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringrift_loop.engine.board import Board
from ringrift_loop.engine.ground import direction_between
from ringrift_loop.engine.jit import kernel_decorator, wide
from ringrift_loop.engine.moves import CC, CP, FE, LE, MV, PL, TB, TE, field_a, field_b, kind_of
from ringrift_loop.engine.rules import MAX_CELLS, Rules
from ringrift_loop.engine.state import CELLS, EMPTY, MARKER, STACK

kernel = kernel_decorator(Path(__file__).parent)

COUNTS = (
    "mobility",  # rays along which a controlled stack can move
    "captures",  # captures of others' stacks that its stacks could make
    "threatened",  # captures of its stacks that others could make
    "lines_ready",  # windows of line length full of own markers
    "lines_near",  # windows that lack one own marker
    "lines_far",  # windows that lack two
    "caps",  # rings in the caps of controlled stacks
    "held",  # rings under those caps, of any colour
    "buried",  # own rings in stacks of others
)
NUM_COUNTS = len(COUNTS)
MOBILITY, CAPTURES, THREATENED, READY, NEAR, FAR, CAPS, HELD, BURIED = range(NUM_COUNTS)
_LINE_COUNTS = 6
"""The first ones belong to lines, the others to stacks."""

_MAX_LINES = 112
"""Lines of square19; hexagonal has 75."""

TALLY_DTYPE = np.dtype(
    [
        # The board's lines.
        ("lines", np.int64),
        ("first", np.int16, (_MAX_LINES + 1,)),
        ("cells", np.int16, (4 * MAX_CELLS,)),
        ("line_of", np.int16, (4, MAX_CELLS)),
        # A state's counts, and those of a state after one of its moves.
        ("by_line", np.int16, (_MAX_LINES, 4, _LINE_COUNTS)),
        ("before", np.int64, (4, NUM_COUNTS)),
        ("after", np.int64, (4, NUM_COUNTS)),
        # The line being counted, and which lines the move has touched: those with the move's stamp.
        ("line", np.int64, (4, _LINE_COUNTS)),
        ("markers", np.int64, (4,)),
        ("stamp", np.int64),
        ("stamps", np.int64, (_MAX_LINES,)),
    ],
    align=True,
)
"""The cells of line l are cells[first[l]:first[l + 1]]; line_of[axis, cell] goes back; `markers` has a bit for each
place of the line at which a seat has a marker."""


def make_tally(rules: Rules) -> Any:
    """Return a record for one thread and one board; kernels take it as one pointer."""
    tally = np.zeros(1, TALLY_DTYPE)
    lines = board_lines(rules.board)
    cells = [cell for _, line in lines for cell in line]
    tally["lines"] = len(lines)
    tally["cells"][0, : len(cells)] = cells
    tally["first"][0, 1 : len(lines) + 1] = np.cumsum([len(line) for _, line in lines])
    for number, (axis, line) in enumerate(lines):
        tally["line_of"][0, axis, line] = number
    return tally[0]


def board_lines(board: Board) -> list[tuple[int, list[int]]]:
    """Axis and cells of every line of a board, each from one edge to the other."""
    lines = []
    for axis in range(board.num_axes):
        ahead, back = board.step[board.axis_fwd[axis]], board.step[board.axis_bwd[axis]]
        for start in np.flatnonzero(back[: board.num_cells] < 0).tolist():
            line = [start]
            while (following := int(ahead[line[-1]])) >= 0:
                line.append(following)
            lines.append((axis, line))
    return lines


@kernel
def tally_board(core: Any, s: NDArray[np.int16], tally: Any) -> None:
    """Count a state into tally.before."""
    for seat in range(core.players):
        for count in range(NUM_COUNTS):
            tally.after[seat, count] = 0
    for cell in range(core.num_cells):
        _count_stack(core, s, wide(cell), wide(1), tally)
    for line in range(tally.lines):
        _count_line(core, s, tally, line)
        for seat in range(core.players):
            for count in range(_LINE_COUNTS):
                tally.by_line[line, seat, count] = tally.line[seat, count]
                tally.after[seat, count] += tally.line[seat, count]
    for seat in range(core.players):
        for count in range(NUM_COUNTS):
            tally.before[seat, count] = tally.after[seat, count]
    tally.stamp = 0
    for line in range(tally.lines):
        tally.stamps[line] = 0


@kernel
def tally_move(core: Any, before: NDArray[np.int16], after: NDArray[np.int16], move: int, tally: Any) -> None:
    """Count the state after a move into tally.after, from the counts that `tally_board` has made of the one before."""
    tally.stamp += 1
    for seat in range(core.players):
        for count in range(NUM_COUNTS):
            tally.after[seat, count] = tally.before[seat, count]
    kind = kind_of(move)
    cell = field_a(move)
    if kind in (MV, CP, CC):
        last = field_b(move)
        direction = direction_between(core, cell, last)
        while cell != last:
            _recount_cell(core, before, after, cell, tally)
            cell = wide(core.step[direction, cell])
        _recount_cell(core, before, after, cell, tally)
    elif kind in (PL, LE, TE, TB, FE):
        _recount_cell(core, before, after, cell, tally)
    else:
        for place in range(core.num_cells):
            _recount_cell(core, before, after, wide(place), tally)


@kernel
def _recount_cell(core: Any, before: NDArray[np.int16], after: NDArray[np.int16], cell: int, tally: Any) -> None:
    """Count a cell's stack and its lines anew if it has changed. No ring changes its place in a stack unseen here."""
    if (
        after[CELLS + cell] == before[CELLS + cell]
        and after[core.owner + cell] == before[core.owner + cell]
        and after[core.height + cell] == before[core.height + cell]
        and after[core.cap + cell] == before[core.cap + cell]
    ):
        return
    _count_stack(core, before, cell, wide(-1), tally)
    _count_stack(core, after, cell, wide(1), tally)
    for axis in range(core.num_axes):
        line = wide(tally.line_of[axis, cell])
        if tally.stamps[line] == tally.stamp:
            continue
        tally.stamps[line] = tally.stamp
        _count_line(core, after, tally, line)
        for seat in range(core.players):
            for count in range(_LINE_COUNTS):
                tally.after[seat, count] += tally.line[seat, count] - tally.by_line[line, seat, count]


@kernel
def _count_stack(core: Any, s: NDArray[np.int16], cell: int, sign: int, tally: Any) -> None:
    """Add (sign 1) or take away (-1) what the cell's stack, if it has one, counts for."""
    if s[CELLS + cell] != STACK:
        return
    seat, height, cap = s[core.owner + cell], s[core.height + cell], s[core.cap + cell]
    tally.after[seat, CAPS] += sign * cap
    tally.after[seat, HELD] += sign * (height - cap)
    if height == cap:
        return
    ring = s[core.top + cell]
    for depth in range(height):
        if depth >= cap and core.seat_of[ring] != seat:
            tally.after[core.seat_of[ring], BURIED] += sign
        ring = s[core.below + ring]


@kernel
def _count_line(core: Any, s: NDArray[np.int16], tally: Any, line: int) -> None:
    """Count one line into tally.line.

    Rays end at stacks, collapsed cells and the edge. Of three of these in a row, the outer ones a and c and b between
    them: a stack at a can move if it is lower than the way to b is long, and capture a stack at b if there is room to
    land before c.
    """
    for seat in range(core.players):
        tally.markers[seat] = 0
        for count in range(_LINE_COUNTS):
            tally.line[seat, count] = 0
    first = wide(tally.first[line])
    length = tally.first[line + 1] - first
    clear = (1 << length) - 1
    markers = 0
    a, a_at = wide(-1), wide(-1)  # cell, -1 if it is no stack, and place on the line
    b, b_at = wide(-1), wide(-1)
    for at in range(length + 1):
        c = wide(-1)
        if at < length:
            cell = wide(tally.cells[first + at])
            kind = s[CELLS + cell]
            if kind == EMPTY:
                continue
            if kind == MARKER:
                tally.markers[s[core.owner + cell]] |= 1 << at
                markers += 1
                continue
            clear ^= 1 << at
            if kind == STACK:
                c = cell
                if at - b_at > s[core.height + c]:
                    tally.line[s[core.owner + c], MOBILITY] += 1
        if b >= 0:
            if at - b_at > s[core.height + b]:
                tally.line[s[core.owner + b], MOBILITY] += 1
            if a >= 0 and at - b_at > 1:
                _count_capture(core, s, a, b, at - 1 - a_at, tally)
            if c >= 0 and b_at - a_at > 1:
                _count_capture(core, s, c, b, at - 1 - a_at, tally)
        a, a_at = b, b_at
        b, b_at = c, wide(at)
    if markers >= core.line_length - 2:
        for seat in range(core.players):
            if tally.markers[seat] != 0:
                _count_windows(core, clear, tally.markers[seat], tally, seat)


@kernel
def _count_capture(core: Any, s: NDArray[np.int16], attacker: int, target: int, furthest: int, tally: Any) -> None:
    """Count the capture of one stack by another, which can land at most `furthest` cells away, if there is one."""
    seat, other = s[core.owner + attacker], s[core.owner + target]
    if seat != other and s[core.cap + target] <= s[core.cap + attacker] and furthest >= s[core.height + attacker]:
        tally.line[seat, CAPTURES] += 1
        tally.line[other, THREATENED] += 1


@kernel
def _count_windows(core: Any, clear: int, markers: int, tally: Any, seat: int) -> None:
    """Count a line's windows without stacks and collapsed cells by the markers of a seat that they lack.

    Bit p of a mask is the window that begins at place p; the number of its markers, at most 4, is added up in binary.
    """
    ones, twos, fours, whole = wide(0), wide(0), wide(0), wide(-1)
    for place in range(core.line_length):
        bit = markers >> place
        carry = ones & bit
        ones ^= bit
        fours |= twos & carry
        twos ^= carry
        whole &= clear >> place
    if core.line_length == 4:
        tally.line[seat, READY] = _bits(whole & fours)
        tally.line[seat, NEAR] = _bits(whole & twos & ones)
        tally.line[seat, FAR] = _bits(whole & twos & ~ones)
    else:
        tally.line[seat, READY] = _bits(whole & twos & ones)
        tally.line[seat, NEAR] = _bits(whole & twos & ~ones)
        tally.line[seat, FAR] = _bits(whole & ~twos & ones)


@kernel
def _bits(mask: int) -> int:
    """Return how many bits are set."""
    count = wide(0)
    while mask != 0:
        mask &= mask - 1
        count += 1
    return count
