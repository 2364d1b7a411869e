"""The pool's steps over many trees at once, compiled; `places` are indices into the slots that a call is about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringrift_loop.engine.jit import kernel_decorator
from ringrift_loop.engine.rules import Rules
from ringrift_loop.engine.state import TO_PLAY
from ringrift_loop.search.choice import (
    SMALLEST_PRIOR,
    edge_value,
    edge_visits,
    mixed_value,
    most_visits,
    write_improved_policy,
)
from ringrift_loop.search.descent import NO_ROOM, WAITS, descend, plant, replant, take_evaluation
from ringrift_loop.search.forward import copy_state
from ringrift_loop.search.randomness import weighted
from ringrift_loop.search.trees import NO_NODE, NOT_USED, UNPROVEN, Trees

kernel = kernel_decorator(Path(__file__).parent)
allocating = kernel_decorator(Path(__file__).parent, allocates=True)


@kernel
def plant_all(
    rules: Rules,
    trees: Trees,
    slots: NDArray[np.int32],
    states: NDArray[np.int16],
    simulations: NDArray[np.int32],
    halving: NDArray[np.bool_],
    seeds: NDArray[np.uint64],
    noise: float,
    considered: int,
    keeps: bool,
    work: Any,
    moves: NDArray[np.int64],
    value: NDArray[np.float64],
) -> int:
    """Plant the roots one after the other, if `keeps` in what the trees hold; return how many there was room for."""
    for place in range(len(slots)):
        g, state = slots[place], states[place]
        trees.num_simulations[g] = simulations[place]
        trees.halving[g] = halving[place]
        trees.gumbel_scale[g] = noise
        trees.random[g] = seeds[place]
        if keeps:
            status = replant(rules, trees, g, state, work, moves, value, considered)
        else:
            status = plant(rules, trees, g, state, work, moves)
        if status == NO_ROOM:
            return place
        trees.status[g] = WAITS
    return len(slots)


@kernel
def descend_all(
    rules: Rules,
    trees: Trees,
    work: Any,
    moves: NDArray[np.int64],
    value: NDArray[np.float64],
    c_puct: float,
    fpu: float,
    c_visit: float,
    c_scale: float,
) -> bool:
    """Advance every tree in use; whether one of them needs more room for edges."""
    for g in range(len(trees.num_simulations)):
        if trees.num_simulations[g] >= 0:
            trees.status[g] = descend(rules, trees, g, work, moves, value, c_puct, fpu, c_visit, c_scale)
            if trees.status[g] == NO_ROOM:
                return True
    return False


@kernel
def write_finished(trees: Trees, slots: NDArray[np.int32]) -> int:
    """Write the slots [G] whose search is done and not yet stopped; return how many."""
    count = 0
    for g in range(len(trees.status)):
        if trees.num_simulations[g] >= 0 and trees.waiting[g] == NO_NODE and trees.status[g] != WAITS:
            slots[count] = g
            count += 1
    return count


@kernel
def write_waiting(trees: Trees, slots: NDArray[np.int32], bounds: NDArray[np.int64]) -> int:
    """Write the slots [G] that wait for an evaluation and where the moves of each begin [G + 1]; return how many."""
    count = 0
    bounds[0] = 0
    for g in range(len(trees.waiting)):
        if trees.waiting[g] != NO_NODE:
            slots[count] = g
            bounds[count + 1] = bounds[count] + trees.num_actions[g, trees.waiting[g]]
            count += 1
    return count


@kernel
def gather(
    trees: Trees,
    slots: NDArray[np.int32],
    bounds: NDArray[np.int64],
    states: NDArray[np.int16],
    moves: NDArray[np.int64],
    rows: NDArray[np.int64],
    random: NDArray[np.uint64],
) -> None:
    """Copy the waiting states and their moves into one batch; arrays as in `batch.LeafBatch`."""
    for place in range(len(slots)):
        g = slots[place]
        random[place] = trees.random[g]
        node = trees.waiting[g]
        copy_state(trees.states[g, node], states[place])
        first = trees.first_edge[g, node]
        for offset in range(trees.num_actions[g, node]):
            moves[bounds[place] + offset] = trees.moves[g, first + offset]
            rows[bounds[place] + offset] = place


@kernel
def receive_all(
    trees: Trees,
    slots: NDArray[np.int32],
    bounds: NDArray[np.int64],
    random: NDArray[np.uint64],
    logits: NDArray[np.float32],
    values: NDArray[np.float32],
    value: NDArray[np.float64],
    considered: int,
) -> None:
    """Hand each tree its part of the evaluation of a batch; `value` [P] is scratch memory."""
    for place in range(len(slots)):
        trees.random[slots[place]] = random[place]
        for seat in range(len(value)):
            value[seat] = values[place, seat]
        take_evaluation(trees, slots[place], logits[bounds[place] : bounds[place + 1]], value, considered)


@kernel
def read_root(
    trees: Trees,
    g: int,
    c_visit: float,
    c_scale: float,
    visits: NDArray[np.int32],
    values: NDArray[np.float64],
    policy: NDArray[np.float32],
    value: NDArray[np.float64],
) -> None:
    """Write what the search of tree g has found; arrays as in `pool.Root`."""
    seat = trees.states[g, 0, TO_PLAY]
    for place in range(len(visits)):
        visits[place] = edge_visits(trees, g, place)
        values[place] = edge_value(trees, g, place, seat) if visits[place] > 0 else np.nan
    write_improved_policy(trees, g, c_visit, c_scale, policy)
    _write_root_value(trees, g, policy, value)


@kernel
def harvest_all(
    trees: Trees,
    slots: NDArray[np.int32],
    temperatures: NDArray[np.float64],
    c_visit: float,
    c_scale: float,
    moves: NDArray[np.int64],
    values: NDArray[np.float32],
    bounds: NDArray[np.int64],
    policy: NDArray[np.float32],
    surprises: NDArray[np.float32],
) -> None:
    """Choose and read in many trees, and free them; arrays as in `pool.Harvest`."""
    for index in range(len(slots)):
        g = slots[index]
        moves[index] = trees.moves[g, choose(trees, g, c_visit, c_scale, temperatures[index])]
        own = policy[bounds[index] : bounds[index + 1]]
        write_improved_policy(trees, g, c_visit, c_scale, own)
        _write_root_value(trees, g, own, values[index])
        surprises[index, 0] = _divergence(values[index], trees.raw_values[g, 0])
        surprises[index, 1] = _divergence(own, trees.children_priors[g])
        trees.num_simulations[g] = NOT_USED


@kernel
def _divergence(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """Return how far what was found lies from what was expected of the same places, KL(found || expected), nats."""
    divergence = 0.0
    for place in range(len(found)):
        if found[place] > 0.0:
            prior = max(float(expected[place]), SMALLEST_PRIOR)
            divergence += float(found[place]) * np.log(float(found[place]) / prior)
    return max(divergence, 0.0)


@kernel
def _write_root_value(trees: Trees, g: int, policy: NDArray[np.float32], out: Any) -> None:
    """Write the root's value per seat into out [P]: what its moves are worth under the improved policy, or the proof.

    The mean over all simulations lies below it, since halving spends most of them on moves that are not played.
    """
    for seat in range(len(out)):
        if trees.winner[g, 0] != UNPROVEN:
            out[seat] = 1.0 if seat == trees.winner[g, 0] else 0.0
            continue
        unseen = mixed_value(trees, g, seat)
        value = 0.0
        for place in range(len(policy)):
            seen = edge_visits(trees, g, place) > 0
            value += policy[place] * (edge_value(trees, g, place, seat) if seen else unseen)
        out[seat] = value


@kernel
def choose(trees: Trees, g: int, c_visit: float, c_scale: float, temperature: float) -> int:
    """Return the place of the move to play among the root's moves; see `pool.SearchPool.choose`."""
    seat = trees.states[g, 0, TO_PLAY]
    count = trees.num_actions[g, 0]
    most = most_visits(trees, g)
    best, best_score = 0, -np.inf  # a move even where no score is a number
    for place in range(count):
        visits = edge_visits(trees, g, place)
        if visits == 0:
            value = trees.raw_values[g, 0, seat] if most == 0 else 0.0
        else:
            value = edge_value(trees, g, place, seat)
            if trees.winner[g, trees.children_index[g, place]] != UNPROVEN and value == 1.0:
                return place
        score = 1e6 * visits + value
        if trees.halving[g] == 1:
            sigma = (c_visit + most) * c_scale
            score = 1e6 * visits + trees.root_logits[g, place] + sigma * value
        elif most == 0:
            score = trees.children_priors[g, place]
        if score > best_score:
            best, best_score = place, score
    if trees.halving[g] == 1 or temperature <= 0.0 or most == 0:
        return best
    return _drawn_by_visits(trees, g, most, temperature)


@allocating
def _drawn_by_visits(trees: Trees, g: int, most: int, temperature: float) -> int:
    count = trees.num_actions[g, 0]
    weights = np.zeros(count, np.float64)
    for place in range(count):
        weights[place] = (edge_visits(trees, g, place) / most) ** (1.0 / temperature)
    return weighted(trees.random[g : g + 1], weights, count)
