"""The steps of many self-play games at once, compiled: openings, moves, the draw of the next search."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import ringrift_loop.search
from ringrift_loop.engine.jit import kernel_decorator
from ringrift_loop.engine.kernels import apply_move, next_random, play_forced, random_below, start, truncate
from ringrift_loop.engine.rules import Rules
from ringrift_loop.engine.state import GAME_OVER, PHASE, PLY
from ringrift_loop.search.randomness import uniform

kernel = kernel_decorator(Path(__file__).parent, Path(ringrift_loop.search.__file__).parent)


@kernel
def open_games(
    rules: Rules,
    states: NDArray[np.int16],
    slots: NDArray[np.int32],
    random: NDArray[np.uint64],
    most_plies: int,
    history: NDArray[np.int64],
    lengths: NDArray[np.int64],
    choices: NDArray[np.int32],
    work: Any,
    moves: NDArray[np.int64],
) -> None:
    """Start a game in each slot and play 0 to `most_plies` random choices, with the single-choice plies between them.

    Args:
        rules: the variant.
        states: int16 [G, W], written.
        slots: [S] which of the G to start.
        random: [G] random states, seeded.
        most_plies: at most so many random choices.
        history: int64 [G, ...] the moves played, written.
        lengths: [G] how many, written.
        choices: [G] legal moves of the states reached, 0 where the game is over; written.
        work: scratch memory.
        moves: scratch.
    """
    for index in range(len(slots)):
        g = slots[index]
        own = random[g : g + 1]
        start(rules, states[g])
        lengths[g] = 0
        count, lengths[g] = play_forced(rules, states[g], work, moves, history[g], 0)
        for _ in range(random_below(own, most_plies + 1)):
            if count == 0:
                break
            count = _play(rules, states[g], moves[random_below(own, count)], g, history, lengths, work, moves)
        choices[g] = count


@kernel
def play_moves(
    rules: Rules,
    states: NDArray[np.int16],
    slots: NDArray[np.int32],
    chosen: NDArray[np.int64],
    history: NDArray[np.int64],
    lengths: NDArray[np.int64],
    choices: NDArray[np.int32],
    work: Any,
    moves: NDArray[np.int64],
) -> None:
    """Play the chosen move [S] of each slot and the single-choice plies after it; arguments as in `open_games`."""
    for index in range(len(slots)):
        g = slots[index]
        choices[g] = _play(rules, states[g], chosen[index], g, history, lengths, work, moves)


@kernel
def _play(
    rules: Rules,
    state: NDArray[np.int16],
    move: int,
    g: int,
    history: NDArray[np.int64],
    lengths: NDArray[np.int64],
    work: Any,
    moves: NDArray[np.int64],
) -> int:
    history[g, lengths[g]] = move
    lengths[g] += 1
    apply_move(rules, state, work, move)
    count, lengths[g] = play_forced(rules, state, work, moves, history[g], lengths[g])
    if count > 0 and (state[PLY] >= rules.ply_budget or count == 1):
        truncate(state)
        return 0
    return int(count)


@kernel
def draw_searches(
    states: NDArray[np.int16],
    slots: NDArray[np.int32],
    choices: NDArray[np.int32],
    random: NDArray[np.uint64],
    full_share: float,
    most: tuple[int, int, int],
    going: NDArray[np.int32],
    ended: NDArray[np.int32],
    full: NDArray[np.bool_],
    simulations: NDArray[np.int32],
    seeds: NDArray[np.uint64],
) -> int:
    """Tell the games that are over from those that go on, and draw the next search of each of these.

    Args:
        states: int16 [G, W].
        slots: [S] which of the G to look at.
        choices: [G] legal moves of the states.
        random: [G] random states, moved on.
        full_share: share of the searches that are full, 0..1.
        most: simulations of a full search, of a fast one, and for each legal move.
        going: [S] of these n slots the games go on; written.
        ended: [S] of these S - n they are over; written.
        full: [S] whether the next search of a going one is a full one; written, as are the next two.
        simulations: [S] of it.
        seeds: [S] of it.

    Returns:
        n.
    """
    whole, fast, per_choice = most
    n = 0
    for index in range(len(slots)):
        g = slots[index]
        if states[g, PHASE] == GAME_OVER:
            ended[index - n] = g
            continue
        own = random[g : g + 1]
        going[n] = g
        full[n] = uniform(own) < full_share
        seeds[n] = next_random(own)
        simulations[n] = min(whole if full[n] else fast, per_choice * choices[g])
        n += 1
    return n


@kernel
def play_on(rules: Rules, state: NDArray[np.int16], played: NDArray[np.int64], work: Any) -> None:
    """Play all the moves in order."""
    for ply in range(len(played)):
        apply_move(rules, state, work, played[ply])
