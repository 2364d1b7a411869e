"""Which rows are drawn more often."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ringrift_loop.engine.rules import rules_for
from ringrift_loop.selfplay.records import ReplayedGame
from ringrift_loop.training import surprise
from ringrift_loop.training.surprise import LEAST_GAMES, draws_by_surprise, pools_of
from ringrift_loop.training.window import Window, WindowWriter

Replay = Callable[..., ReplayedGame]


@pytest.fixture
def window(tmp_path: Path, replayed: Replay) -> Window:
    """A game that tells its surprise, one of an older program that does not, one of no model."""
    writer = WindowWriter(tmp_path, rules_for("square8_2p"), rows=10_000, games=3)
    for number in range(3):
        game = replayed("square8_2p", number)
        if number != 1:
            told = [
                replace(target, policy_surprise=target.ply / 8 if target.full else None, value_surprise=target.ply % 5)
                for target in game.targets
            ]
            game = replace(game, targets=told)
        writer.add(game, validation=False, bootstrap=number == 2, host=number)
    return writer.finish("digest")


def test_a_share_of_the_draws_goes_by_surprise_of_policy_and_value_or_of_value_alone(window: Window) -> None:
    draws = draws_by_surprise(window, 0.8)
    told = window.game == 0
    full = told & (window.searched == 1)
    policy, value = window.ply[full] / 8, window.ply[full] % 5
    assert policy.min() < 0.5 < 5 < policy.max()
    expected = 0.2 + 0.4 * policy / policy.mean() + 0.4 * value / value.mean()
    np.testing.assert_allclose(draws[full], expected, rtol=1e-6)
    value = window.ply[told & ~full] % 5
    np.testing.assert_allclose(draws[told & ~full], 0.2 + 0.8 * value / value.mean(), rtol=1e-6)
    assert (draws[~told] == 1.0).all()
    assert draws.mean() == pytest.approx(1.0)


def test_a_share_of_0_draws_every_row_alike(window: Window) -> None:
    assert (draws_by_surprise(window, 0.0) == 1.0).all()


def test_searches_that_found_what_was_expected_are_drawn_like_all_others(window: Window) -> None:
    for told in (window.policy_surprise, window.value_surprise):
        told[np.isfinite(told)] = 0.0
    assert (draws_by_surprise(window, 0.5) == 1.0).all()


@pytest.mark.parametrize("told", [32.0, 1e-30])
def test_a_host_takes_no_draws_from_others_whatever_surprise_it_tells(
    window: Window, told: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surprise, "LEAST_GAMES", 1)
    honest, liar = window.game == 0, window.game == 1
    window.policy_surprise[liar & (window.searched == 1)] = told
    window.value_surprise[liar] = told
    draws = draws_by_surprise(window, 0.8)
    assert draws[honest].mean() == pytest.approx(1.0)
    assert draws[honest].std() > 0.3
    np.testing.assert_allclose(draws[liar], 1.0)


@pytest.mark.parametrize(
    ("games", "pools"),
    [
        ([LEAST_GAMES], [0]),
        ([3], [0]),
        ([5, 7], [0, 0]),
        ([LEAST_GAMES, LEAST_GAMES - 1, 5000, 1, 1], [0, 1, 2, 1, 1]),
        ([20, 20, 20, 20, 3], [0, 0, 2, 2, 2]),
        ([1] * (LEAST_GAMES * 2 + 5), [0] * LEAST_GAMES + [LEAST_GAMES] * (LEAST_GAMES + 5)),
        ([0, 40, 0, 3], [0, 1, 0, 0]),
    ],
)
def test_hosts_of_few_games_share_out_their_draws_together_and_no_large_one_with_them(
    games: list[int], pools: list[int]
) -> None:
    assert pools_of(np.repeat(np.arange(len(games)), games)).tolist() == pools


def test_many_hosts_of_a_game_each_are_drawn_as_one_host_would_be(window: Window) -> None:
    window.bootstrap[:] = 0  # two games that tell their surprise, one more than the other
    window.value_surprise[window.game == 2] *= 3.0
    apart = draws_by_surprise(window, 0.8)
    window.host[:] = 0
    np.testing.assert_array_equal(apart, draws_by_surprise(window, 0.8))
    assert apart[window.game == 2].mean() > 1.2 > 0.8 > apart[window.game == 0].mean()
