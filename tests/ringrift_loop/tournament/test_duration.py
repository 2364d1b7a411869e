"""Limits of games and trainings, by what they cost on each board."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ringrift_loop.config import LoopConfig
from ringrift_loop.config.schema import VARIANT_NAMES
from ringrift_loop.engine.rules import rules_for
from ringrift_loop.tournament import duration
from ringrift_loop.tournament.duration import (
    CORE_SECONDS,
    EVALUATIONS_PER_CORE_S,
    PLANE_SIDES,
    game_s,
    games_limit,
    longest,
    longest_training,
    shortest_training,
    slowness,
    training_limit,
)

CONFIG = LoopConfig()
MEASURED = replace(CONFIG, evaluation=replace(CONFIG.evaluation, simulations=32))
"""The searches of which CORE_SECONDS speaks."""


def test_every_variant_has_its_figures() -> None:
    assert set(CORE_SECONDS) == set(VARIANT_NAMES)
    assert set(EVALUATIONS_PER_CORE_S) == set(PLANE_SIDES)
    assert {name: rules_for(f"{name}_2p").board.side for name in PLANE_SIDES} == PLANE_SIDES


@pytest.mark.parametrize("variant", VARIANT_NAMES)
def test_the_gates_games_have_several_times_what_they_cost_and_small_boards_what_is_configured(variant: str) -> None:
    players = int(variant[-2])
    cost = 200 * CORE_SECONDS[variant] / players
    limit = games_limit(MEASURED, variant, 200, floor_s=284.0, searched=1 / players)
    assert limit >= 3 * cost
    assert limit >= 284.0
    if variant.startswith("square8"):
        assert limit == 284.0
    if variant.startswith("hexagonal"):
        assert limit > 5 * 284.0


def test_more_simulations_and_a_larger_network_cost_more() -> None:
    usual = game_s(CONFIG, "hex8_2p")
    deeper = replace(CONFIG, evaluation=replace(CONFIG.evaluation, simulations=2 * CONFIG.evaluation.simulations))
    wider = replace(CONFIG, training=replace(CONFIG.training, blocks=4, channels=64))
    assert game_s(deeper, "hex8_2p") == pytest.approx(2 * usual)
    assert game_s(wider, "hex8_2p") == pytest.approx(8 * usual)


def test_a_model_that_is_evaluated_more_slowly_has_more_time() -> None:
    usual = EVALUATIONS_PER_CORE_S["hexagonal"]
    assert slowness(CONFIG, "hexagonal_2p", usual / 2) == pytest.approx(2.0)
    assert slowness(CONFIG, "hexagonal_2p", usual * 3) == slowness(CONFIG, "hexagonal_2p", None) == 1.0
    assert games_limit(CONFIG, "hexagonal_2p", 100, floor_s=1.0, slowness=2.0) == pytest.approx(
        2 * games_limit(CONFIG, "hexagonal_2p", 100, floor_s=1.0)
    )


def test_the_size_of_a_network_counts_once() -> None:
    wider = replace(CONFIG, training=replace(CONFIG.training, blocks=4, channels=64))
    rate = EVALUATIONS_PER_CORE_S["square8"] / 8
    assert slowness(wider, "square8_2p", rate) == pytest.approx(1.0)
    assert slowness(wider, "square8_2p", rate / 2) == pytest.approx(2.0)


@pytest.mark.parametrize("variant", [name for name in VARIANT_NAMES if not name.startswith(("square8", "hex8"))])
def test_the_gate_of_a_large_board_has_time_for_every_game_on_a_machine_three_times_as_slow(variant: str) -> None:
    players = int(variant[-2])
    slow = slowness(MEASURED, variant, EVALUATIONS_PER_CORE_S[variant.partition("_")[0]] / 3)
    limit = games_limit(MEASURED, variant, 200, floor_s=284.0, searched=1 / players, slowness=slow)
    assert limit >= 3 * 3 * 200 * CORE_SECONDS[variant] / players


def test_no_rate_makes_a_limit_longer_than_the_one_of_whoever_ends_a_process_that_hangs() -> None:
    config = replace(CONFIG, variants=("square8_2p", "square19_3p"))
    for variant in config.variants:
        slow = slowness(config, variant, 1e-3)
        assert games_limit(config, variant, 200, floor_s=600.0, searched=0.5, slowness=slow) <= longest(
            config, 200, floor_s=600.0, searched=0.5
        )


def test_a_training_has_time_in_proportion_to_its_board() -> None:
    config = replace(CONFIG, variants=("square8_2p", "hexagonal_4p"))
    assert training_limit(config, "square8_4p") == config.training.stuck_after_seconds == 7200
    assert training_limit(config, "hexagonal_4p") == pytest.approx(7200 * (25 / 8) ** 2)
    assert 0 <= longest_training(config) - training_limit(config, "hexagonal_4p") < 60
    assert shortest_training(config) == 7200
    assert duration.longest_training(replace(config, variants=("square8_2p",))) == 7200
