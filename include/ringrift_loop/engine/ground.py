"""Markers and collapsed cells, and what a passing stack does to them (rules, sections 6 and 7)."""

from __future__ import annotations

from typing import Any

from ringrift_loop.engine.jit import kernel, wide
from ringrift_loop.engine.stacks import clear_cell
from ringrift_loop.engine.state import CELLS, COLLAPSED, MARKER, MARKERS, TERR


@kernel
def put_marker(core: Any, s: Any, cell: int, seat: int) -> None:
    """Put a marker on an empty cell."""
    s[CELLS + cell] = MARKER
    s[core.owner + cell] = seat
    s[MARKERS + seat] += 1


@kernel
def remove_marker(core: Any, s: Any, cell: int) -> None:
    """Take the marker off a cell."""
    s[MARKERS + s[core.owner + cell]] -= 1
    clear_cell(core, s, cell)


@kernel
def collapse(core: Any, s: Any, cell: int, seat: int) -> None:
    """Turn an empty cell or a marker into territory of `seat`."""
    if s[CELLS + cell] == MARKER:
        s[MARKERS + s[core.owner + cell]] -= 1
    s[CELLS + cell] = COLLAPSED
    s[core.owner + cell] = seat
    s[TERR + seat] += 1


@kernel
def direction_between(core: Any, start: int, end: int) -> int:
    """Return the direction from one cell to another on the same straight line."""
    dx = core.row[end] - core.row[start]
    dy = core.col[end] - core.col[start]
    sx = (dx > 0) - (dx < 0)
    sy = (dy > 0) - (dy < 0)
    return wide(core.toward[3 * (sx + 1) + sy + 1])


@kernel
def pass_over(core: Any, s: Any, start: int, end: int, seat: int) -> None:
    """Treat the markers strictly between two cells: foreign ones become the mover's, own ones collapse."""
    direction = direction_between(core, start, end)
    cell = wide(core.step[direction, start])
    while cell != end:
        if s[CELLS + cell] == MARKER:
            owner = s[core.owner + cell]
            if owner == seat:
                collapse(core, s, cell, seat)
            else:
                s[MARKERS + owner] -= 1
                s[MARKERS + seat] += 1
                s[core.owner + cell] = seat
        cell = wide(core.step[direction, cell])
