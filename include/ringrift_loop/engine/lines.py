"""Lines of markers (rules, section 8)."""

from __future__ import annotations

from typing import Any

from ringrift_loop.engine.ground import collapse, direction_between
from ringrift_loop.engine.jit import kernel, wide
from ringrift_loop.engine.moves import LE, LO, LP, NL, field_a, field_b, field_c, field_d, kind_of, pack
from ringrift_loop.engine.state import CELLS, MARKER, MARKERS, OWES_LINE, STACK, STACKS


@kernel
def is_marker(core: Any, s: Any, cell: int, seat: int) -> bool:
    """Whether `cell` is on the board and holds a marker of `seat`."""
    return cell >= 0 and s[CELLS + cell] == MARKER and s[core.owner + cell] == seat


@kernel
def _run_length(core: Any, s: Any, start: int, axis: int, seat: int) -> int:
    """Length of the run of two or more markers of `seat` that begins at its marker `start`; 0 if none begins there.

    Most markers have no other one ahead: that is looked at first.
    """
    forward = core.axis_fwd[axis]
    cell = wide(core.step[forward, start])
    if not is_marker(core, s, cell, seat) or is_marker(core, s, wide(core.step[core.axis_bwd[axis], start]), seat):
        return 0
    length = 1
    while is_marker(core, s, cell, seat):
        length += 1
        cell = wide(core.step[forward, cell])
    return length


@kernel
def has_line(core: Any, s: Any, seat: int) -> bool:
    """Whether the seat has an eligible line."""
    left = s[MARKERS + seat]
    if left < core.line_length:
        return False
    cell = wide(0)
    while left > 0:
        if s[CELLS + cell] == MARKER and s[core.owner + cell] == seat:
            left -= 1
            for axis in range(core.num_axes):
                if _run_length(core, s, cell, axis, seat) >= core.line_length:
                    return True
        cell += 1
    return False


@kernel
def list_line_moves(core: Any, s: Any, seat: int, moves: Any) -> int:
    """List the moves of line processing: LE while a ring is owed; else LP and LO by the lines' start cells; or NL."""
    if s[OWES_LINE] == 1:
        return list_controlled(core, s, seat, LE, moves)
    n = wide(0)
    left = s[MARKERS + seat]
    if left >= core.line_length:
        cell = wide(0)
        while left > 0:
            if s[CELLS + cell] == MARKER and s[core.owner + cell] == seat:
                left -= 1
                for axis in range(core.num_axes):
                    length = _run_length(core, s, cell, axis, seat)
                    if length >= core.line_length:
                        n = _list_line(core, cell, axis, length, moves, n)
            cell += 1
    if n == 0:
        moves[0] = NL
        n = 1
    return n


@kernel
def _list_line(core: Any, start: int, axis: int, length: int, moves: Any, n: int) -> int:
    forward = wide(core.axis_fwd[axis])
    end = _walk(core, start, forward, length - 1)
    first = min(start, end)
    last = max(start, end)
    moves[n] = pack(LP, first, last)
    n += 1
    if length > core.line_length:
        window = start
        for _ in range(length - core.line_length + 1):
            window_end = _walk(core, window, forward, core.line_length - 1)
            moves[n] = pack(LO, first, last, min(window, window_end), max(window, window_end))
            n += 1
            window = wide(core.step[forward, window])
    return n


@kernel
def _walk(core: Any, cell: int, direction: int, steps: int) -> int:
    for _ in range(steps):
        cell = wide(core.step[direction, cell])
    return cell


@kernel
def list_controlled(core: Any, s: Any, seat: int, kind: int, moves: Any) -> int:
    """List a move of `kind` for every stack that `seat` controls; return their number."""
    n = 0
    left = s[STACKS + seat]
    cell = wide(0)
    while left > 0:
        if s[CELLS + cell] == STACK and s[core.owner + cell] == seat:
            left -= 1
            moves[n] = pack(kind, cell)
            n += 1
        cell += 1
    return n


@kernel
def process_line(core: Any, s: Any, move: int, seat: int) -> None:
    """Play LP or LO: collapse the line or the window; a whole line costs a ring if the seat controls a stack."""
    if kind_of(move) == LP:
        collapse_span(core, s, field_a(move), field_b(move), seat)
        if s[STACKS + seat] > 0:
            s[OWES_LINE] = 1
    else:
        collapse_span(core, s, field_c(move), field_d(move), seat)


@kernel
def collapse_span(core: Any, s: Any, first: int, last: int, seat: int) -> None:
    """Collapse the cells from `first` to `last`, ends included."""
    direction = direction_between(core, first, last)
    cell = first
    while cell != last:
        collapse(core, s, cell, seat)
        cell = wide(core.step[direction, cell])
    collapse(core, s, last, seat)
