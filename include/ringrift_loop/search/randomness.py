"""Random numbers for kernels, from the engine's generator; one state per game, so that games stay independent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ringrift_loop.engine.jit import kernel_decorator
from ringrift_loop.engine.kernels import next_random

kernel = kernel_decorator(Path(__file__).parent)

_DROPPED_BITS = np.uint64(11)


@kernel
def uniform(random: NDArray[np.uint64]) -> float:
    """Return a number in [0, 1) with 53 random bits and advance random [1]."""
    return float(next_random(random) >> _DROPPED_BITS) / 9007199254740992.0


@kernel
def gumbel(random: NDArray[np.uint64]) -> float:
    """Return a draw of the standard Gumbel distribution and advance random [1]."""
    return float(-np.log(-np.log(uniform(random) + 1e-18) + 1e-18))


@kernel
def weighted(random: NDArray[np.uint64], weights: NDArray[np.float64], count: int) -> int:
    """Return a place in 0..count-1 with probability in proportion to weights [>= count], which have a positive sum."""
    total = 0.0
    for place in range(count):
        total += weights[place]
    left = uniform(random) * total
    chosen = -1
    for place in range(count):
        if weights[place] > 0:
            chosen = place
            left -= weights[place]
            if left < 0:
                break
    return chosen
