"""Which rows are drawn more often."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ringrift_loop.engine.rules import rules_for
from ringrift_loop.selfplay.records import ReplayedGame
from ringrift_loop.training.surprise import draws_by_surprise
from ringrift_loop.training.window import Window, WindowWriter

Replay = Callable[..., ReplayedGame]


@pytest.fixture
def window(tmp_path: Path, replayed: Replay) -> Window:
    """A game that tells its surprise, one of an older program that does not, one of no model."""
    writer = WindowWriter(tmp_path, rules_for("square8_2p"), rows=10_000, games=3)
    for number in range(3):
        game = replayed("square8_2p", number)
        if number != 1:
            told = [replace(target, surprise=target.ply / 8 if target.full else None) for target in game.targets]
            game = replace(game, targets=told)
        writer.add(game, validation=False, bootstrap=number == 2)
    return writer.finish("digest")


def test_a_row_is_drawn_half_for_itself_and_half_by_its_surprise(window: Window) -> None:
    draws = draws_by_surprise(window, 0.5)
    told = (window.game == 0) & (window.searched == 1)
    surprise = window.ply[told] / 8
    assert surprise.min() < 0.5 < 5 < surprise.max()
    np.testing.assert_allclose(draws[told], 0.5 + 0.5 * surprise / surprise.mean(), rtol=1e-3)  # half-precision numbers
    assert (draws[~told] == 1.0).all()
    assert draws.mean() == pytest.approx(1.0)


def test_a_share_of_0_draws_every_row_alike(window: Window) -> None:
    assert (draws_by_surprise(window, 0.0) == 1.0).all()


def test_searches_that_found_what_was_expected_are_drawn_like_all_others(window: Window) -> None:
    window.surprise[np.isfinite(window.surprise)] = 0.0
    assert (draws_by_surprise(window, 0.5) == 1.0).all()
