"""The one-ply player: every legal move is played and the position after it evaluated from the mover's side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringrift_loop.engine.jit import kernel_decorator
from ringrift_loop.engine.kernels import legal_moves, make_work, random_below
from ringrift_loop.engine.rules import Rules
from ringrift_loop.search.features import NUM_FEATURES
from ringrift_loop.search.heuristic import heuristic_weights, score_moves
from ringrift_loop.search.tally import make_tally

allocating = kernel_decorator(Path(__file__).parent, allocates=True)

_TIE = 1e-6
"""Scores this close count as equal."""


def choose_best(
    rules: Rules,
    states: NDArray[np.int16],
    seeds: NDArray[np.uint64],
    *,
    weights: NDArray[np.float64] | None = None,
) -> NDArray[np.int64]:
    """Return the best move [G] of each state [G, W] by its one-ply score; ties are broken by the state's seed [G]."""
    chosen = np.empty(len(states), np.int64)
    moves = np.empty(rules.max_moves, np.int64)
    scores = np.empty(rules.max_moves, np.float32)
    work, tally = make_work(rules), make_tally(rules)
    used = heuristic_weights(rules) if weights is None else weights
    _choose_all(rules, states, seeds.copy(), work, tally, used, moves, scores, chosen)
    return chosen


@allocating
def _choose_all(
    rules: Rules,
    states: NDArray[np.int16],
    random: NDArray[np.uint64],
    work: Any,
    tally: Any,
    weights: NDArray[np.float64],
    moves: NDArray[np.int64],
    scores: NDArray[np.float32],
    chosen: NDArray[np.int64],
) -> None:
    seats = rules.core.players
    child = np.empty(rules.core.width, np.int16)
    features = np.empty((seats, NUM_FEATURES), np.float64)
    shares = np.empty(seats, np.float64)
    for game in range(len(states)):
        count = legal_moves(rules, states[game], work, moves)
        score_moves(rules, states[game], moves[:count], work, tally, weights, child, features, shares, scores)
        top = np.max(scores[:count])
        equal = 0
        for place in range(count):
            equal += scores[place] >= top - _TIE
        left = random_below(random[game : game + 1], equal)
        for place in range(count):
            if scores[place] >= top - _TIE:
                if left == 0:
                    chosen[game] = moves[place]
                left -= 1
