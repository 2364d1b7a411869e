"""Recovery slides of a seat without stacks (rules, section 11)."""

from __future__ import annotations

from typing import Any

from ringrift_loop.engine.ground import collapse, put_marker, remove_marker
from ringrift_loop.engine.jit import kernel, wide
from ringrift_loop.engine.lines import collapse_span, is_marker
from ringrift_loop.engine.moves import RF, RL1, RL2, RS, SR, field_a, field_b, field_c, field_d, kind_of, pack
from ringrift_loop.engine.stacks import eliminate_lowest_own, eliminate_top, has_buried
from ringrift_loop.engine.state import CELLS, EMPTY, MARKERS, ON_BOARD, STACK, STACKS


@kernel
def recovery_eligible(s: Any, seat: int) -> bool:
    """Whether the seat controls no stack but has a marker and a buried ring."""
    return bool(s[STACKS + seat] == 0 and s[MARKERS + seat] > 0 and s[ON_BOARD + seat] > 0)


@kernel
def list_recoveries(core: Any, s: Any, work: Any, seat: int, moves: Any) -> int:
    """List the moves of an eligible seat: line slides if there are any, else free slides and strikes; then SR."""
    payers = _find_payers(core, s, work, seat)
    n = wide(0)
    for cell in range(core.num_cells):
        if is_marker(core, s, cell, seat):
            n = _list_line_slides(core, s, work, cell, seat, payers, moves, n)
    if n == 0:
        for cell in range(core.num_cells):
            if is_marker(core, s, cell, seat):
                n = _list_slides(core, s, work, cell, payers, moves, n)
    moves[n] = SR
    return n + 1


@kernel
def _find_payers(core: Any, s: Any, work: Any, seat: int) -> int:
    """Write the stacks that can pay into work.payers; return their number."""
    payers = 0
    for cell in range(core.num_cells):
        if has_buried(core, s, cell, seat):
            work.payers[payers] = cell
            payers += 1
    return payers


@kernel
def _list_line_slides(core: Any, s: Any, work: Any, start: int, seat: int, payers: int, moves: Any, n: int) -> int:
    for direction in range(core.num_dirs):
        end = wide(core.step[direction, start])
        if end < 0 or s[CELLS + end] != EMPTY:
            continue
        axis = _line_axis(core, s, start, end, seat)
        if axis < 0:
            continue
        for payer in range(payers):
            moves[n] = pack(RL1, start, end, work.payers[payer])
            n += 1
        n = _list_windows(core, s, start, end, axis, seat, moves, n)
    return n


@kernel
def _list_slides(core: Any, s: Any, work: Any, start: int, payers: int, moves: Any, n: int) -> int:
    for direction in range(core.num_dirs):
        end = wide(core.step[direction, start])
        if end < 0 or (s[CELLS + end] != EMPTY and s[CELLS + end] != STACK):
            continue
        kind = RF if s[CELLS + end] == EMPTY else RS
        for payer in range(payers):
            moves[n] = pack(kind, start, end, work.payers[payer])
            n += 1
    return n


@kernel
def _arm(core: Any, s: Any, start: int, end: int, direction: int, seat: int) -> int:
    """Markers in a row next to `end` in one direction once the marker on `start` has left."""
    length = 0
    cell = wide(core.step[direction, end])
    while cell != start and is_marker(core, s, cell, seat):
        length += 1
        cell = wide(core.step[direction, cell])
    return length


@kernel
def _line_axis(core: Any, s: Any, start: int, end: int, seat: int) -> int:
    """The first axis along which the slide makes a line, -1 if none does."""
    for axis in range(core.num_axes):
        ahead = _arm(core, s, start, end, wide(core.axis_fwd[axis]), seat)
        behind = _arm(core, s, start, end, wide(core.axis_bwd[axis]), seat)
        if ahead + behind + 1 >= core.line_length:
            return axis
    return -1


@kernel
def _list_windows(core: Any, s: Any, start: int, end: int, axis: int, seat: int, moves: Any, n: int) -> int:
    """Append RL2 for every window of a line's length, of a longer run, that contains the slide's end."""
    length = core.line_length
    ahead = _arm(core, s, start, end, wide(core.axis_fwd[axis]), seat)
    behind = _arm(core, s, start, end, wide(core.axis_bwd[axis]), seat)
    if ahead + behind + 1 <= length:
        return n
    for back in range(min(behind, length - 1), -1, -1):
        if length - 1 - back > ahead:
            break
        first = end
        for _ in range(back):
            first = wide(core.step[core.axis_bwd[axis], first])
        last = end
        for _ in range(length - 1 - back):
            last = wide(core.step[core.axis_fwd[axis], last])
        moves[n] = pack(RL2, start, end, min(first, last), max(first, last))
        n += 1
    return n


@kernel
def recover(core: Any, s: Any, move: int, seat: int) -> None:
    """Play RL1, RL2, RF or RS."""
    kind = kind_of(move)
    start = field_a(move)
    end = field_b(move)
    if kind == RS:
        remove_marker(core, s, start)
        eliminate_top(core, s, end, seat)
        eliminate_lowest_own(core, s, field_c(move), seat)
        return
    axis = _line_axis(core, s, start, end, seat)
    remove_marker(core, s, start)
    put_marker(core, s, end, seat)
    if kind == RL2:
        collapse_span(core, s, field_c(move), field_d(move), seat)
        return
    if kind == RL1:
        _collapse_run(core, s, end, wide(core.axis_fwd[axis]), seat)
        _collapse_run(core, s, end, wide(core.axis_bwd[axis]), seat)
        collapse(core, s, end, seat)
    eliminate_lowest_own(core, s, field_c(move), seat)


@kernel
def _collapse_run(core: Any, s: Any, end: int, direction: int, seat: int) -> None:
    """Collapse the markers in a row next to `end` in one direction."""
    cell = wide(core.step[direction, end])
    while is_marker(core, s, cell, seat):
        collapse(core, s, cell, seat)
        cell = wide(core.step[direction, cell])
