"""Which moves a policy target names, and the weight of each, in whole numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import ringrift_loop.search
from ringrift_loop.engine.jit import kernel_decorator
from ringrift_loop.engine.kernels import next_random
from ringrift_loop.search.randomness import uniform

allocating = kernel_decorator(Path(__file__).parent, Path(ringrift_loop.search.__file__).parent, allocates=True)

WEIGHT_SUM = 65_535
LEAST_WEIGHT = 1 / 256
"""Share of the policy below which moves are drawn by lot, so that a policy names 256 moves at most. A game of hexagonal
has a quarter of the bytes that it has with all moves, and a sixth in a segment (docs/log.md, 2026-11-29)."""


def policy_entries(
    policy: NDArray[np.float32], least: float = LEAST_WEIGHT
) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """The places of the moves that a policy target names, and their weights: at most 1 / `least` of them.

    Moves with less than `least` are drawn by lot, each as often as it has weight, and stand for the others: on average
    every move keeps its share, so what a network learns is the policy. Without the others' share, a search that finds
    hundreds of moves about equal would teach the few above `least`. The lot is systematic: one number, drawn from the
    policy itself, places evenly spaced marks along the light moves' weights. Weights are rounded so that they sum to
    WEIGHT_SUM: the largest remainders are rounded up.

    Args:
        policy: [K], sums to 1.
        least: one over a whole number; 0 names every move that has a weight at all.
    """
    index, weight = np.empty((2, len(policy)), np.uint16)
    count = write_entries(policy, policy.view(np.uint32), least, index, weight)
    return index[:count].copy(), weight[:count].copy()


@allocating
def write_entries(
    policy: NDArray[np.float32],
    bits: NDArray[np.uint32],
    least: float,
    index: NDArray[np.uint16],
    weight: NDArray[np.uint16],
) -> int:
    """Write what `policy_entries` returns to the arrays [K] and return how many moves are named.

    `bits` is the policy's memory, of which the lot is drawn.
    """
    total = 0.0
    for place in range(len(policy)):
        total += policy[place]
    light, drawn, mass = np.zeros(len(policy)), np.zeros(len(policy)), 0.0
    for place in range(len(policy)):
        share = policy[place] / total
        if share < least:
            light[place] = share
            mass += share
        else:
            drawn[place] = share
    marks = int(np.rint(mass / least)) if least > 0.0 else 0
    if marks > 0:
        random = np.zeros(1, np.uint64)
        for place in range(len(bits)):
            random[0] = next_random(random) ^ np.uint64(bits[place])
        for place in systematic_sample(light, marks, uniform(random)):
            drawn[place] += mass / marks
    exact = drawn / drawn.sum() * WEIGHT_SUM
    whole = np.floor(exact)
    missing = WEIGHT_SUM - int(whole.sum())
    if missing > 0:
        for place in np.argsort(whole - exact, kind="mergesort")[:missing]:
            whole[place] += 1.0
    count = 0
    for place in range(len(policy)):
        if whole[place] > 0.0:
            index[count], weight[count] = place, int(whole[place])
            count += 1
    return count


@allocating
def systematic_sample(weights: NDArray[np.float64], count: int, lot: float) -> NDArray[np.int64]:
    """Draw `count` places, in order, each as often as its share of the weights says, rounded up or down by one lot.

    Evenly spaced marks along the sum of the weights; the lot, 0 to 1, says how far the first is from the start. Over
    all lots a place is drawn exactly as often as its share (Madow 1949).
    """
    places = np.empty(count, np.int64)
    step = weights.sum() / count
    drawn, last, reached = 0, 0, 0.0
    for place in range(len(weights)):
        if weights[place] > 0.0:
            last = place
            reached += weights[place]
        while drawn < count and (drawn + lot) * step < reached:
            places[drawn] = place
            drawn += 1
    places[drawn:] = last  # the sums are rounded
    return places
