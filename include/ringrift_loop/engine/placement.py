"""Ring placement (rules, section 5) and the real actions that keep a seat alive (section 14)."""

from __future__ import annotations

from typing import Any

from ringrift_loop.engine.jit import kernel, wide
from ringrift_loop.engine.movement import any_stack_can_act, can_act
from ringrift_loop.engine.moves import NP, PL, SP, SW, pack
from ringrift_loop.engine.recovery import recovery_eligible
from ringrift_loop.engine.state import CELLS, EMPTY, HAND, STACK, STACKS, SWAP


@kernel
def list_placements(core: Any, s: Any, seat: int, moves: Any) -> int:
    """List the moves of the ring placement phase: by cell and count, then SP and SW, or NP alone."""
    n = wide(0)
    hand = wide(s[HAND + seat])
    if hand > 0:
        most = min(hand, 3)
        for cell in range(core.num_cells):
            kind = s[CELLS + cell]
            if kind == EMPTY:
                n = _list_counts(core, s, cell, most, moves, n)
            elif kind == STACK and stack_placement_lives(core, s, cell, seat):
                moves[n] = pack(PL, cell, 1)
                n += 1
        if may_skip(core, s, seat):
            moves[n] = SP
            n += 1
    if s[SWAP] == 1 and seat == 1:
        moves[n] = SW
        n += 1
    if n == 0:
        moves[0] = NP
        n = 1
    return n


@kernel
def _list_counts(core: Any, s: Any, cell: int, most: int, moves: Any, n: int) -> int:
    # A ray with `most` clear cells carries every count; the usual case, and found on the first rays.
    for direction in range(core.num_dirs):
        distance = 0
        here = core.step[direction, cell]
        while here >= 0 and s[CELLS + here] < STACK:
            distance += 1
            if distance >= most:
                for count in range(1, most + 1):
                    moves[n] = pack(PL, cell, count)
                    n += 1
                return n
            here = core.step[direction, here]
    for count in range(1, most + 1):
        if can_act(core, s, cell, count, count):
            moves[n] = pack(PL, cell, count)
            n += 1
    return n


@kernel
def placement_slots(core: Any, s: Any, seat: int) -> int:
    """Return how many slots a seat with rings in hand has: one for every cell and count, one for SP and one for SW."""
    return wide(core.num_cells) * min(wide(s[HAND + seat]), 3) + 2


@kernel
def placement_in_slot(core: Any, s: Any, seat: int, slot: int) -> int:
    """Return the move of a slot of `placement_slots`, or -1 where it is not legal. Each legal move has one slot."""
    most = min(wide(s[HAND + seat]), 3)
    cell, count = slot // most, slot % most + 1
    if cell < core.num_cells:
        return pack(PL, cell, count) if _placement_lives(core, s, cell, seat, count) else -1
    if slot == core.num_cells * most:
        return SP if may_skip(core, s, seat) else -1
    return SW if s[SWAP] == 1 and seat == 1 else -1


@kernel
def _placement_lives(core: Any, s: Any, cell: int, seat: int, count: int) -> bool:
    """Whether the seat may place so many rings of its hand on the cell."""
    kind = s[CELLS + cell]
    if kind == EMPTY:
        return can_act(core, s, cell, count, count)
    return kind == STACK and count == 1 and stack_placement_lives(core, s, cell, seat)


@kernel
def stack_placement_lives(core: Any, s: Any, cell: int, seat: int) -> bool:
    """Whether one ring of `seat` on top of the stack on `cell` leaves a stack that can act."""
    cap = wide(s[core.cap + cell]) + 1 if s[core.owner + cell] == seat else 1
    return can_act(core, s, cell, wide(s[core.height + cell]) + 1, cap)


@kernel
def may_skip(core: Any, s: Any, seat: int) -> bool:
    """Whether SP is legal for a seat with rings in hand: a stack of its can act, or it may recover."""
    if s[STACKS + seat] > 0:
        return any_stack_can_act(core, s, seat)
    return recovery_eligible(s, seat)


@kernel
def has_placement(core: Any, s: Any, seat: int) -> bool:
    """Whether the seat could legally place rings somewhere, whatever the phase."""
    most = min(wide(s[HAND + seat]), 3)
    if most <= 0:
        return False
    for cell in range(core.num_cells):
        for count in range(1, most + 1):
            if _placement_lives(core, s, cell, seat, count):
                return True
    return False


@kernel
def single_ring_fits(core: Any, s: Any) -> bool:
    """Whether a single ring could legally be placed on a board without stacks (rules, section 15.4)."""
    for cell in range(core.num_cells):
        if s[CELLS + cell] != EMPTY:
            continue
        for direction in range(core.num_dirs):
            here = core.step[direction, cell]
            if here >= 0 and s[CELLS + here] < STACK:
                return True
    return False


@kernel
def seat_has_real_action(core: Any, s: Any, seat: int) -> bool:
    """Whether the seat has a legal placement, plain move or capture on this board, whatever the phase."""
    return has_placement(core, s, seat) or any_stack_can_act(core, s, seat)
