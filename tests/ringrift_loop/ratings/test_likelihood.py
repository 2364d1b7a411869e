from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from ringrift_loop.ratings.likelihood import LogLikelihood, RatedGame, wins_of

ROWS = {"a": 0, "b": 1, "c": 2}


def _likelihood(games: list[RatedGame], players: int) -> LogLikelihood:
    return LogLikelihood(3, players, wins_of(Counter(games), ROWS))


def test_the_probabilities_of_all_winners_add_up_to_one() -> None:
    x = np.array([0.3, -0.2, 0.9, 0.1, -0.4, 0.25])
    total = 0.0
    for places in ((1, 2, 3), (2, 1, 3), (2, 3, 1)):
        value, _, _ = _likelihood([RatedGame(("a", "b", "c"), places)], 3).evaluate(x)
        total += np.exp(value)
    assert total == pytest.approx(1.0)


@pytest.mark.parametrize("places", [(1, 2, 3), (1, 3, 2), (1, 2, 2)])
def test_a_win_has_the_probability_of_luce_whatever_the_other_places(places: tuple[int, ...]) -> None:
    x = np.array([0.3, -0.2, 0.9, 0.1, -0.4, 0.25])
    value, _, _ = _likelihood([RatedGame(("a", "b", "c"), places)], 3).evaluate(x)
    assert np.exp(value) == pytest.approx(np.exp(0.4) / np.exp(x[:3] + x[3:]).sum())


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


def test_those_who_are_first_together_share_one_win() -> None:
    wins = wins_of(Counter([RatedGame(("a", "b", "c"), (1, 3, 1))]), ROWS)
    assert wins.participant.tolist() == [[0, 1, 2], [2, 0, 1]]
    assert wins.seat.tolist() == [[0, 1, 2], [2, 0, 1]]
    assert wins.weight.tolist() == [0.5, 0.5]


def test_games_with_the_same_winner_are_counted_together() -> None:
    games = Counter([RatedGame(("a", "b", "c"), places) for places in ((2, 1, 3), (3, 1, 2), (2, 1, 2))])
    wins = wins_of(games, ROWS)
    assert (wins.participant.tolist(), wins.weight.tolist()) == ([[1, 0, 2]], [3.0])
