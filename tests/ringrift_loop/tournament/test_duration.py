"""Limits of games and trainings, by what they cost on each board."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ringrift_loop.config import LoopConfig
from ringrift_loop.config.schema import VARIANT_NAMES
from ringrift_loop.engine.rules import rules_for
from ringrift_loop.ledger.workers import WorkerRow
from ringrift_loop.tournament import duration
from ringrift_loop.tournament.duration import (
    CORE_SECONDS,
    PLANE_SIDES,
    game_s,
    games_limit,
    longest,
    longest_training,
    slowness,
    training_limit,
)

NOW = 1_800_000_000.0
MODEL = "ab" * 32
CONFIG = LoopConfig()


def worker(slow: float, *, variant: str = "square8_2p", age_s: float = 10.0, **play: Any) -> WorkerRow:
    """One that needs `slow` times as long as on the benchmark's machine, with 12 simulations a move instead of 32."""
    computed_s = 500 * slow * CORE_SECONDS[variant] * 12 / 32
    said = {"model": MODEL, "games": 500, "computed_s": computed_s} | play
    return WorkerRow("a", 0, 1.0, {"variants": {variant: said}}, NOW - age_s)


def test_every_variant_has_its_figures() -> None:
    assert set(CORE_SECONDS) == set(VARIANT_NAMES)
    assert {name: rules_for(f"{name}_2p").board.side for name in PLANE_SIDES} == PLANE_SIDES


@pytest.mark.parametrize("variant", VARIANT_NAMES)
def test_the_gates_games_have_several_times_what_they_cost_and_small_boards_what_is_configured(variant: str) -> None:
    players = int(variant[-2])
    cost = 200 * CORE_SECONDS[variant] / players
    limit = games_limit(CONFIG, variant, 200, floor_s=284.0, searched=1 / players)
    assert limit >= 3 * cost
    assert limit >= 284.0
    if variant.startswith("square8"):
        assert limit == 284.0
    if variant.startswith("hexagonal"):
        assert limit > 5 * 284.0


def test_more_simulations_and_a_larger_network_cost_more() -> None:
    usual = game_s(CONFIG, "hex8_2p")
    deeper = replace(CONFIG, evaluation=replace(CONFIG.evaluation, simulations=64))
    wider = replace(CONFIG, training=replace(CONFIG.training, blocks=4, channels=64))
    assert game_s(deeper, "hex8_2p") == pytest.approx(2 * usual)
    assert game_s(wider, "hex8_2p") == pytest.approx(8 * usual)


def test_the_workers_rates_tell_how_slow_this_installation_is() -> None:
    rows = [worker(2.0), worker(3.0, variant="hexagonal_4p"), worker(1.0, variant="hex8_2p")]
    assert slowness(rows, CONFIG, now=NOW) == pytest.approx(2.0)
    assert games_limit(CONFIG, "hexagonal_2p", 100, floor_s=1.0, slowness=2.0) == pytest.approx(
        2 * games_limit(CONFIG, "hexagonal_2p", 100, floor_s=1.0)
    )


@pytest.mark.parametrize(
    "row",
    [
        worker(3.0, model=None),
        worker(3.0, age_s=7200.0),
        worker(3.0, games=20),
        worker(3.0, computed_s="much"),
        WorkerRow("a", 0, 1.0, None, None),
        worker(0.1),
    ],
    ids=["before the first model", "old", "few games", "no number", "no heartbeat", "faster"],
)
def test_what_tells_nothing_of_the_present_speed_changes_no_limit(row: WorkerRow) -> None:
    assert slowness([row], CONFIG, now=NOW) == 1.0


def test_no_rate_makes_a_limit_longer_than_the_one_of_whoever_ends_a_process_that_hangs() -> None:
    config = replace(CONFIG, variants=("square8_2p", "square19_3p"))
    slow = slowness([worker(1e6)], config, now=NOW)
    for variant in config.variants:
        assert games_limit(config, variant, 200, floor_s=600.0, searched=0.5, slowness=slow) <= longest(
            config, 200, floor_s=600.0, searched=0.5
        )


def test_a_training_has_time_in_proportion_to_its_board() -> None:
    config = replace(CONFIG, variants=("square8_2p", "hexagonal_4p"))
    assert training_limit(config, "square8_4p") == config.training.stuck_after_seconds == 7200
    assert training_limit(config, "hexagonal_4p") == pytest.approx(7200 * (25 / 8) ** 2)
    assert 0 <= longest_training(config) - training_limit(config, "hexagonal_4p") < 60
    assert duration.longest_training(replace(config, variants=("square8_2p",))) == 7200
