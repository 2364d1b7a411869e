from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ringrift_loop.engine.rules import rules_for
from ringrift_loop.errors import DataError
from ringrift_loop.selfplay.records import ReplayedGame
from ringrift_loop.training.targets import TargetStatistics, check_targets, target_statistics
from ringrift_loop.training.window import WindowWriter


def _statistics(folder: Path, games: list[ReplayedGame]) -> TargetStatistics:
    writer = WindowWriter(folder, rules_for("square8_2p"), rows=10_000, games=len(games))
    for number, game in enumerate(games):
        writer.add(game, validation=number == 0)
    return target_statistics(writer.finish("digest"))


def test_soft_targets_pass_and_their_entropy_is_told(tmp_path: Path, replayed: Callable[..., ReplayedGame]) -> None:
    games = [replayed("square8_2p", seed) for seed in (1, 2)]
    statistics = _statistics(tmp_path, games)
    check_targets(statistics)
    entropies = []
    for game in games:
        for target in game.targets:
            if target.full:
                p = target.weight / 65_535
                entropies.append(-(p * np.log(p)).sum())
    assert statistics.policy_entropy == pytest.approx(np.mean(entropies), rel=1e-4)
    assert statistics.policy_rows == len(entropies)
    assert statistics.soft_share == 1.0
    assert statistics.validation_games == 1


def test_one_hot_targets_are_an_error(tmp_path: Path, replayed: Callable[..., ReplayedGame]) -> None:
    statistics = _statistics(tmp_path, [replayed("square8_2p", seed, soft=False) for seed in (1, 2)])
    assert statistics.policy_entropy == pytest.approx(0.0, abs=1e-9)
    with pytest.raises(DataError, match=r"only 0\.0% of the policy targets name more than one move"):
        check_targets(statistics)


def test_missing_targets_are_an_error(tmp_path: Path, replayed: Callable[..., ReplayedGame]) -> None:
    games = [replace(replayed("square8_2p", seed), targets=[]) for seed in (1, 2)]
    with pytest.raises(DataError, match=r"only 0\.0% of the window's rows have a policy target"):
        check_targets(_statistics(tmp_path, games))


def test_a_window_without_validation_games_is_an_error(tmp_path: Path, replayed: Callable[..., ReplayedGame]) -> None:
    statistics = replace(_statistics(tmp_path, [replayed("square8_2p", 1)]), validation_games=0)
    with pytest.raises(DataError, match="1 training games and 0 validation games"):
        check_targets(statistics)
