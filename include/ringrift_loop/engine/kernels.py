"""The engine's kernels for search, self-play and tests: all that other packages need.

A state is one contiguous int16 row [W] (state.py); `new_states` makes many at once and a row is copied with `dst[:] =
src`. No kernel allocates. Pass contiguous rows only and the scratch memory of `make_work`, one a thread: then each
kernel is compiled for a single signature, whatever the variant. Call warmup.compile_kernels() once before the first
game.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringrift_loop.engine.jit import kernel, wide
from ringrift_loop.engine.lines import list_controlled, list_line_moves
from ringrift_loop.engine.movement import list_captures, list_stack_moves
from ringrift_loop.engine.moves import CC, CP, FE, NM, SC
from ringrift_loop.engine.placement import (
    list_placements,
    placement_in_slot,
    placement_slots,
    seat_has_real_action,
)
from ringrift_loop.engine.recovery import list_recoveries, recovery_eligible
from ringrift_loop.engine.rules import Rules
from ringrift_loop.engine.state import (
    ATTACKER,
    CAPTURE,
    CELLS,
    CHAIN_CAPTURE,
    GAME_OVER,
    HAND,
    LINE_PROCESSING,
    LOST_AT,
    LPS_FIRST,
    LPS_LEAD,
    MOVEMENT,
    MUST_MOVE,
    PHASE,
    PLY,
    RING_PLACEMENT,
    STACK,
    STACKS,
    SWAP,
    TERRITORY_PROCESSING,
    TO_PLAY,
    TRUNCATED,
    TURN,
    WINNER,
)
from ringrift_loop.engine.territory import list_territory_moves
from ringrift_loop.engine.turn import play
from ringrift_loop.engine.victory import end_game, write_places
from ringrift_loop.engine.work import make_work

__all__ = [
    "apply_move",
    "follow",
    "has_real_action",
    "legal_moves",
    "make_work",
    "new_states",
    "next_random",
    "outcome",
    "places",
    "play_forced",
    "random_below",
    "random_playout",
    "start",
    "truncate",
]


_MOST_DRAWS = 32
"""Of a placement, before all are listed: with a list twice as long as its moves, one in four billion comes so far."""


def new_states(rules: Rules, n: int) -> NDArray[np.int16]:
    """Return n states in the start position, int16 [n, W]."""
    states = np.zeros((n, rules.width), np.int16)
    for state in states:
        start(rules, state)
    return states


@kernel
def start(rules: Rules, state: Any) -> None:
    """Put the start position into `state`: empty board, full hands, seat 1 to place (rules, section 3)."""
    core = rules.core
    state[:] = 0
    state[WINNER] = -1
    state[MUST_MOVE] = -1
    state[ATTACKER] = -1
    state[LPS_FIRST] = -1
    state[LPS_LEAD] = -1
    state[SWAP] = core.pie_rule
    state[TURN] = 1
    for seat in range(4):
        state[LOST_AT + seat] = -1
    for seat in range(core.players):
        state[HAND + seat] = core.rings_per_seat
    for cell in range(core.num_cells):
        state[core.owner + cell] = -1
        state[core.top + cell] = -1
        state[core.bottom + cell] = -1
    state[core.below :] = -1


@kernel
def legal_moves(rules: Rules, state: Any, work: Any, moves: Any) -> int:
    """Write the legal moves into moves int64 [max_moves] and return their number, 0 only when the game is over.

    The order is fixed: placements by cell and count; stack moves by cell, direction and distance; lines by start cell,
    axis and window; regions by border colour and smallest cell; payments by cell; skips last. Each move is listed once.
    """
    return _list_moves(rules.core, state, work, moves)


@kernel
def apply_move(rules: Rules, state: Any, work: Any, move: int) -> None:
    """Play a move in place. It must be legal: nothing is checked here (notation.parse_move checks)."""
    play(rules.core, state, work, move)


@kernel
def follow(rules: Rules, states: Any, work: Any, scratch: Any, moves: Any, choices: Any, first: int) -> int:
    """Play a game's moves as long as they are legal.

    Args:
        rules: the variant.
        states: int16 [N + 1, W]; states[first] is given, those after it are written.
        work: scratch memory.
        scratch: int64 [max_moves], scratch memory.
        moves: int64 [N].
        choices: int32 [N]; the number of legal moves before each ply is written.
        first: the ply to begin with.

    Returns:
        The ply whose move is not legal, N if there is none.
    """
    core = rules.core
    for ply in range(first, len(moves)):
        n = _list_moves(core, states[ply], work, scratch)
        legal = False
        for place in range(n):
            if scratch[place] == moves[ply]:
                legal = True
        if not legal:
            return ply
        choices[ply] = n
        for place in range(core.width):
            states[ply + 1, place] = states[ply, place]
        play(core, states[ply + 1], work, moves[ply])
    return len(moves)


@kernel
def play_forced(rules: Rules, state: Any, work: Any, moves: Any, trail: Any, trail_n: int) -> tuple[int, int]:
    """Play on while there is exactly one legal move.

    Args:
        rules: the variant.
        state: int16 [W], changed in place.
        work: scratch memory.
        moves: int64 [max_moves]; holds the choices on return.
        trail: int64 [T]; the moves played are appended from trail[trail_n] on.
        trail_n: moves already in the trail.

    Returns:
        The number of legal moves, 0 if the game is over, and the new trail_n. The number is 1 only if the trail is
        full.
    """
    core = rules.core
    n = _list_moves(core, state, work, moves)
    while n == 1 and trail_n < trail.shape[0]:
        trail[trail_n] = moves[0]
        trail_n += 1
        play(core, state, work, moves[0])
        n = _list_moves(core, state, work, moves)
    return n, trail_n


@kernel
def truncate(state: Any) -> None:
    """End a running game without a winner: the result is TRUNCATED."""
    end_game(state, -1, TRUNCATED)


@kernel
def outcome(rules: Rules, state: Any, out: Any) -> None:
    """Write each seat's share of a finished game into out float32 [P]: 1 for the winner; 1/P each if there is none."""
    players = rules.core.players
    for seat in range(players):
        if state[WINNER] < 0:
            out[seat] = 1.0 / players
        else:
            out[seat] = 1.0 if state[WINNER] == seat else 0.0


@kernel
def places(rules: Rules, state: Any, out: Any) -> None:
    """Write each seat's place 1..P into out int64 [P], equal standing equal place (rules, section 15.1)."""
    write_places(rules.core, state, out)


@kernel
def has_real_action(rules: Rules, state: Any, seat: int) -> bool:
    """Whether the seat has a legal placement, plain move or capture on this board, whatever the phase (section 14)."""
    return seat_has_real_action(rules.core, state, seat)


@kernel
def random_playout(rules: Rules, state: Any, work: Any, moves: Any, rng_state: Any) -> int:
    """Play uniformly random legal moves to the end of the game, or to the variant's ply budget, where it is truncated.

    Args:
        rules: the variant.
        state: int16 [W], changed in place.
        work: scratch memory.
        moves: int64 [max_moves], overwritten.
        rng_state: uint64 [1], any seed; advanced.

    Returns:
        Plies played, forced ones included.
    """
    core = rules.core
    plies = 0
    while state[PHASE] != GAME_OVER:
        if state[PLY] >= rules.ply_budget:
            truncate(state)
            break
        play(core, state, work, _draw_move(core, state, work, moves, rng_state))
        plies += 1
    return plies


@kernel
def _draw_move(core: Any, s: Any, work: Any, moves: Any, rng_state: Any) -> int:
    """Return one of the legal moves, each as likely as any other; moves is scratch memory.

    Placements, of which a large board has 600, are not listed for it: one slot after another is drawn from all cells
    and counts until one is legal. A list follows only where few are.
    """
    seat = wide(s[TO_PLAY])
    if s[PHASE] == RING_PLACEMENT and s[HAND + seat] > 0:
        slots = placement_slots(core, s, seat)
        for _ in range(_MOST_DRAWS):
            move = placement_in_slot(core, s, seat, random_below(rng_state, slots))
            if move >= 0:
                return move
    n = _list_moves(core, s, work, moves)
    return wide(moves[random_below(rng_state, n)] if n > 1 else moves[0])


@kernel
def next_random(rng_state: Any) -> Any:
    """Return 64 random bits and advance rng_state uint64 [1]: splitmix64 (Steele, Lea, Flood 2014, figure 10)."""
    rng_state[0] += np.uint64(0x9E3779B97F4A7C15)
    z = rng_state[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@kernel
def random_below(rng_state: Any, n: int) -> int:
    """Return a uniformly random integer in 0..n-1, n < 2**31, without bias (Lemire 2019, algorithm 5, with 32 bits)."""
    bound = np.uint64(n)
    low_bits = np.uint64(0xFFFFFFFF)
    product = (next_random(rng_state) >> np.uint64(32)) * bound
    if (product & low_bits) < bound:
        threshold = (np.uint64(0x100000000) - bound) % bound
        while (product & low_bits) < threshold:
            product = (next_random(rng_state) >> np.uint64(32)) * bound
    return wide(product >> np.uint64(32))


@kernel
def _list_moves(core: Any, s: Any, work: Any, moves: Any) -> int:
    phase = s[PHASE]
    seat = wide(s[TO_PLAY])
    if phase == RING_PLACEMENT:
        return list_placements(core, s, seat, moves)
    if phase == MOVEMENT:
        return _list_movement(core, s, work, seat, moves)
    if phase in (CAPTURE, CHAIN_CAPTURE):
        return _list_from_attacker(core, s, phase == CAPTURE, moves)
    if phase == LINE_PROCESSING:
        return list_line_moves(core, s, seat, moves)
    if phase == TERRITORY_PROCESSING:
        return list_territory_moves(core, s, work, seat, moves)
    if phase == GAME_OVER:
        return 0
    return list_controlled(core, s, seat, FE, moves)


@kernel
def _list_from_attacker(core: Any, s: Any, may_skip: bool, moves: Any) -> int:
    kind = CP if may_skip else CC
    n = list_captures(core, s, wide(s[ATTACKER]), kind, moves, wide(0))
    if may_skip:
        moves[n] = SC
        n += 1
    return n


@kernel
def _list_movement(core: Any, s: Any, work: Any, seat: int, moves: Any) -> int:
    if recovery_eligible(s, seat):
        return list_recoveries(core, s, work, seat, moves)
    n = wide(0)
    if s[MUST_MOVE] >= 0:
        n = list_stack_moves(core, s, wide(s[MUST_MOVE]), moves, n)
    else:
        left = s[STACKS + seat]
        cell = wide(0)
        while left > 0:
            if s[CELLS + cell] == STACK and s[core.owner + cell] == seat:
                left -= 1
                n = list_stack_moves(core, s, cell, moves, n)
            cell += 1
    if n == 0:
        moves[0] = NM
        n = 1
    return n
