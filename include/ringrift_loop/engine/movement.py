"""Plain moves and captures (rules, sections 6 and 7), and the question whether a stack can act at all.

`clear` cells hold neither a stack nor collapsed ground: their kind is below STACK. A ray passes them, meets at most one
stack to capture, and may go on over clear cells behind it.
"""

from __future__ import annotations

from typing import Any

from ringrift_loop.engine.ground import pass_over, remove_marker
from ringrift_loop.engine.jit import kernel, wide
from ringrift_loop.engine.moves import CP, MV, pack
from ringrift_loop.engine.stacks import carry_stack, eliminate_top, put_under, take_top
from ringrift_loop.engine.state import ATTACKER, CELLS, MARKER, MUST_MOVE, STACK, STACKS


@kernel
def can_act(core: Any, s: Any, cell: int, height: int, cap: int) -> bool:
    """Whether a stack of that height and cap on `cell` would have a plain move or a capture."""
    for direction in range(core.num_dirs):
        distance = 0
        here = core.step[direction, cell]
        while here >= 0 and s[CELLS + here] < STACK:
            distance += 1
            if distance >= height:
                return True
            here = core.step[direction, here]
        if here >= 0 and s[CELLS + here] == STACK and s[core.cap + here] <= cap:
            distance += 1
            here = core.step[direction, here]
            while here >= 0 and s[CELLS + here] < STACK:
                distance += 1
                if distance >= height:
                    return True
                here = core.step[direction, here]
    return False


@kernel
def can_capture(core: Any, s: Any, cell: int) -> bool:
    """Whether the stack on `cell` has a capture."""
    height = wide(s[core.height + cell])
    cap = wide(s[core.cap + cell])
    for direction in range(core.num_dirs):
        distance = 1
        here = core.step[direction, cell]
        while here >= 0 and s[CELLS + here] < STACK:
            distance += 1
            here = core.step[direction, here]
        if here >= 0 and s[CELLS + here] == STACK and s[core.cap + here] <= cap:
            here = core.step[direction, here]
            while here >= 0 and s[CELLS + here] < STACK:
                distance += 1
                if distance >= height:
                    return True
                here = core.step[direction, here]
    return False


@kernel
def any_stack_can_act(core: Any, s: Any, seat: int) -> bool:
    """Whether any stack that `seat` controls has a plain move or a capture."""
    left = s[STACKS + seat]
    cell = wide(0)
    while left > 0:
        if s[CELLS + cell] == STACK and s[core.owner + cell] == seat:
            if can_act(core, s, cell, wide(s[core.height + cell]), wide(s[core.cap + cell])):
                return True
            left -= 1
        cell += 1
    return False


@kernel
def list_captures(core: Any, s: Any, cell: int, kind: int, moves: Any, n: int) -> int:
    """Append the captures of the stack on `cell` as moves of `kind` (CP or CC); return the new count."""
    height = wide(s[core.height + cell])
    cap = wide(s[core.cap + cell])
    for direction in range(core.num_dirs):
        distance = 1
        here = core.step[direction, cell]
        while here >= 0 and s[CELLS + here] < STACK:
            distance += 1
            here = core.step[direction, here]
        if here >= 0 and s[CELLS + here] == STACK and s[core.cap + here] <= cap:
            n = _list_landings(core, s, cell, wide(here), direction, distance, height, kind, moves, n)
    return n


@kernel
def list_stack_moves(core: Any, s: Any, cell: int, moves: Any, n: int) -> int:
    """Append the plain moves (MV) and captures (CP) of the stack on `cell`, by direction; return the new count."""
    height = wide(s[core.height + cell])
    cap = wide(s[core.cap + cell])
    for direction in range(core.num_dirs):
        distance = 1
        here = core.step[direction, cell]
        while here >= 0 and s[CELLS + here] < STACK:
            if distance >= height:
                moves[n] = pack(MV, cell, wide(here))
                n += 1
            distance += 1
            here = core.step[direction, here]
        if here >= 0 and s[CELLS + here] == STACK and s[core.cap + here] <= cap:
            n = _list_landings(core, s, cell, wide(here), direction, distance, height, CP, moves, n)
    return n


@kernel
def _list_landings(
    core: Any, s: Any, cell: int, target: int, direction: int, distance: int, height: int, kind: int, moves: Any, n: int
) -> int:
    """Append the captures of one target at `distance` on one ray."""
    here = core.step[direction, target]
    while here >= 0 and s[CELLS + here] < STACK:
        distance += 1
        if distance >= height:
            moves[n] = pack(kind, cell, wide(here), target)
            n += 1
        here = core.step[direction, here]
    return n


@kernel
def move_stack(core: Any, s: Any, start: int, end: int, seat: int) -> None:
    """Play MV: the passed markers, the landing, and the price of landing on a marker."""
    pass_over(core, s, start, end, seat)
    _land(core, s, start, end, seat)


@kernel
def capture(core: Any, s: Any, start: int, target: int, end: int, seat: int) -> None:
    """Play CP or CC: the target's top ring goes under the attacker."""
    pass_over(core, s, start, target, seat)
    pass_over(core, s, target, end, seat)
    ring = wide(take_top(core, s, target))
    put_under(core, s, start, ring)
    _land(core, s, start, end, seat)


@kernel
def _land(core: Any, s: Any, start: int, end: int, seat: int) -> None:
    hit = s[CELLS + end] == MARKER
    if hit:
        remove_marker(core, s, end)
    carry_stack(core, s, start, end)
    if hit:
        eliminate_top(core, s, end, seat)
    if s[MUST_MOVE] == start:
        s[MUST_MOVE] = end
    s[ATTACKER] = end


@kernel
def attacker_can_go_on(core: Any, s: Any, seat: int) -> bool:
    """Whether the stack that has just landed is still there, still the mover's, and has a capture."""
    cell = wide(s[ATTACKER])
    return s[CELLS + cell] == STACK and s[core.owner + cell] == seat and can_capture(core, s, cell)
