from __future__ import annotations

from collections import Counter
from itertools import permutations

import numpy as np
import pytest

from ringrift_loop.ratings.likelihood import LogLikelihood, RatedGame, finishing_orders

ROWS = {"a": 0, "b": 1, "c": 2}


def _likelihood(games: list[RatedGame], players: int) -> LogLikelihood:
    return LogLikelihood(3, players, finishing_orders(Counter(games), ROWS))


def test_the_probabilities_of_all_orders_add_up_to_one() -> None:
    x = np.array([0.3, -0.2, 0.9, 0.1, -0.4, 0.25])
    total = 0.0
    for places in permutations((1, 2, 3)):
        value, _, _ = _likelihood([RatedGame(("a", "b", "c"), places)], 3).evaluate(x)
        total += np.exp(value)
    assert total == pytest.approx(1.0)


def test_a_first_place_has_the_probability_of_luce() -> None:
    x = np.array([0.3, -0.2, 0.9, 0.0, 0.0, 0.0])
    first = 0.0
    for places in ((1, 2, 3), (1, 3, 2)):
        value, _, _ = _likelihood([RatedGame(("a", "b", "c"), places)], 3).evaluate(x)
        first += np.exp(value)
    assert first == pytest.approx(np.exp(0.3) / np.exp(x[:3]).sum())


def test_gradient_and_curvature_are_the_derivatives() -> None:
    likelihood = _likelihood(
        [
            RatedGame(("a", "b", "c"), (2, 1, 3)),
            RatedGame(("c", "a", "a"), (1, 2, 2)),
            RatedGame(("b", "c", "a"), (1, 1, 1)),
        ],
        3,
    )
    likelihood.add_draws([(0, 1)], 3.0)
    likelihood.add_normal(2, 0.5, 2.0)
    x = np.random.default_rng(0).normal(size=likelihood.size)
    _, gradient, curvature = likelihood.evaluate(x)
    step = 1e-5
    for i in range(likelihood.size):
        moved = np.eye(likelihood.size)[i] * step
        above, below = likelihood.evaluate(x + moved), likelihood.evaluate(x - moved)
        assert (above[0] - below[0]) / (2 * step) == pytest.approx(gradient[i], abs=1e-7)
        assert (above[1] - below[1]) / (2 * step) == pytest.approx(-curvature[i], abs=1e-7)


def test_a_tie_counts_as_one_game_in_all() -> None:
    orders = finishing_orders(Counter([RatedGame(("a", "b", "c"), (1, 2, 2))]), ROWS)
    assert orders.participant.tolist() == [[0, 1, 2], [0, 2, 1]]
    assert orders.weight.tolist() == [0.5, 0.5]
