"""Rings and stacks: what lies on a cell changes only through these kernels, which keep the seats' counters right.

A stack is a linked list of rings from `top` down through `below`; `height` and `cap` are kept beside it (rules, section
3). In all kernels `core` is `Rules.core` and `s` a state row.
"""

from __future__ import annotations

from typing import Any

from ringrift_loop.engine.jit import kernel, wide
from ringrift_loop.engine.state import CELLS, ELIM, EMPTY, HAND, MARKER, MARKERS, ON_BOARD, STACK, STACKS


@kernel
def clear_cell(core: Any, s: Any, cell: int) -> None:
    """Make the cell empty; the counters are the caller's."""
    s[CELLS + cell] = EMPTY
    s[core.owner + cell] = -1
    s[core.height + cell] = 0
    s[core.cap + cell] = 0
    s[core.top + cell] = -1
    s[core.bottom + cell] = -1


@kernel
def cap_below(core: Any, s: Any, ring: int) -> int:
    """Return how many rings of one colour lie in a row from `ring` downwards."""
    seat = core.seat_of[ring]
    length = 0
    while ring >= 0 and core.seat_of[ring] == seat:
        length += 1
        ring = wide(s[core.below + ring])
    return length


@kernel
def take_top(core: Any, s: Any, cell: int) -> int:
    """Take the top ring off a stack and return it; the ring stays counted as on the board."""
    ring = wide(s[core.top + cell])
    seat = s[core.owner + cell]
    under = wide(s[core.below + ring])
    s[core.below + ring] = -1
    if under < 0:
        s[STACKS + seat] -= 1
        clear_cell(core, s, cell)
        return ring
    s[core.top + cell] = under
    s[core.height + cell] -= 1
    if s[core.cap + cell] > 1:
        s[core.cap + cell] -= 1
    else:
        heir = core.seat_of[under]
        s[STACKS + seat] -= 1
        s[STACKS + heir] += 1
        s[core.owner + cell] = heir
        s[core.cap + cell] = cap_below(core, s, under)
    return ring


@kernel
def eliminate_top(core: Any, s: Any, cell: int, seat: int) -> None:
    """Eliminate the top ring of a stack, credited to `seat`."""
    ring = take_top(core, s, cell)
    s[ON_BOARD + core.seat_of[ring]] -= 1
    s[ELIM + seat] += 1


@kernel
def eliminate_cap(core: Any, s: Any, cell: int, seat: int) -> None:
    """Eliminate the whole cap of a stack, credited to `seat`."""
    for _ in range(s[core.cap + cell]):
        eliminate_top(core, s, cell, seat)


@kernel
def eliminate_stack(core: Any, s: Any, cell: int, seat: int) -> None:
    """Eliminate every ring of a stack, credited to `seat`."""
    for _ in range(s[core.height + cell]):
        eliminate_top(core, s, cell, seat)


@kernel
def put_under(core: Any, s: Any, cell: int, ring: int) -> None:
    """Put a captured ring under a stack; it lengthens the cap if the stack is all of its colour."""
    if s[core.cap + cell] == s[core.height + cell] and core.seat_of[ring] == s[core.owner + cell]:
        s[core.cap + cell] += 1
    s[core.below + s[core.bottom + cell]] = ring
    s[core.bottom + cell] = ring
    s[core.height + cell] += 1


@kernel
def place_rings(core: Any, s: Any, cell: int, seat: int, count: int) -> None:
    """Put `count` rings from the seat's hand on a cell that is empty or holds a stack."""
    if s[CELLS + cell] == EMPTY:
        s[CELLS + cell] = STACK
        s[core.owner + cell] = seat
        s[STACKS + seat] += 1
    elif s[core.owner + cell] != seat:
        s[STACKS + s[core.owner + cell]] -= 1
        s[STACKS + seat] += 1
        s[core.owner + cell] = seat
        s[core.cap + cell] = 0
    for _ in range(count):
        ring = (seat + 1) * core.rings_per_seat - s[HAND + seat]
        s[core.below + ring] = s[core.top + cell]
        s[core.top + cell] = ring
        if s[core.bottom + cell] < 0:
            s[core.bottom + cell] = ring
        s[HAND + seat] -= 1
    s[ON_BOARD + seat] += count
    s[core.height + cell] += count
    s[core.cap + cell] += count


@kernel
def carry_stack(core: Any, s: Any, start: int, end: int) -> None:
    """Move a whole stack to an empty cell and leave a marker of its controller behind."""
    seat = s[core.owner + start]
    s[CELLS + end] = STACK
    s[core.owner + end] = seat
    s[core.height + end] = s[core.height + start]
    s[core.cap + end] = s[core.cap + start]
    s[core.top + end] = s[core.top + start]
    s[core.bottom + end] = s[core.bottom + start]
    clear_cell(core, s, start)
    s[CELLS + start] = MARKER
    s[core.owner + start] = seat
    s[MARKERS + seat] += 1


@kernel
def has_buried(core: Any, s: Any, cell: int, seat: int) -> bool:
    """Whether a ring of `seat` lies in the stack below its top ring; False if there is no stack."""
    if s[CELLS + cell] != STACK:
        return False
    ring = s[core.below + s[core.top + cell]]
    while ring >= 0:
        if core.seat_of[ring] == seat:
            return True
        ring = s[core.below + ring]
    return False


@kernel
def eliminate_lowest_own(core: Any, s: Any, cell: int, seat: int) -> None:
    """Eliminate the lowest ring of `seat` in a stack that has one, credited to `seat` (rules, sections 9.3 and 11)."""
    above = -1
    lowest = -1
    over_lowest = -1
    ring = s[core.top + cell]
    while ring >= 0:
        if core.seat_of[ring] == seat:
            lowest = ring
            over_lowest = above
        above = ring
        ring = s[core.below + ring]
    if over_lowest < 0:
        eliminate_top(core, s, cell, seat)
        return
    under = s[core.below + lowest]
    s[core.below + over_lowest] = under
    s[core.below + lowest] = -1
    if under < 0:
        s[core.bottom + cell] = over_lowest
    s[core.height + cell] -= 1
    s[core.cap + cell] = cap_below(core, s, wide(s[core.top + cell]))
    s[ON_BOARD + seat] -= 1
    s[ELIM + seat] += 1
