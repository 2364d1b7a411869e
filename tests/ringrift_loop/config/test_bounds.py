"""Every number at its bounds, given to what reads it: what the check lets through must work."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import get_args

import numpy as np
import pendulum
import pytest
import torch
from airflow.timetables.base import TimeRestriction

from ringrift_airflow.dag_defaults import every
from ringrift_loop.config import LoopConfig, load_config
from ringrift_loop.config.leaves import Leaf, leaves
from ringrift_loop.curriculum.weights import Standing, weight_of
from ringrift_loop.errors import ConfigError
from ringrift_loop.network.artifact import MAX_FILE_BYTES
from ringrift_loop.network.export import architecture_for
from ringrift_loop.network.model import RingRiftNet
from ringrift_loop.ratings.blocks import evidence_of_counts
from ringrift_loop.ratings.looks import LooksRule
from ringrift_loop.resources.backpressure import Backpressure, Limits, Seen, press
from ringrift_loop.resources.decision import MachineSample, decide
from ringrift_loop.selfplay.played_variant import play_settings
from ringrift_loop.tournament.participants import evaluation_search
from ringrift_loop.training.schedule import plan_schedule, window_rows_wanted

NUMBERS = {
    name: leaf for name, leaf in leaves().items() if leaf.kind in (int, float, tuple[int, ...], Mapping[int, float])
}
# What a key's bound needs of another key, so that the two do not contradict each other.
BESIDE = {
    "data_ingestion.poll_interval_seconds": {"data_ingestion.retry_max_backoff_seconds": 86_400},
    "data_ingestion.retry_max_backoff_seconds": {"data_ingestion.poll_interval_seconds": 10},
    "selfplay.simulations_full": {"selfplay.simulations_fast": 2},
    "selfplay.simulations_fast": {"selfplay.simulations_full": 100_000},
    "training.window_rows_min": {"training.window_rows_max": 100_000_000},
    "training.window_rows_max": {"training.window_rows_min": 1},
    "training.learning_rate": {"training.learning_rate_final": 1e-8},
    "training.learning_rate_final": {"training.learning_rate": 1},
    "training.blocks": {"training.channels": 8},
    "training.channels": {"training.blocks": 1},
    "promotion.min_games": {"promotion.looks": [100, 1_000_000]},
    "promotion.looks": {"promotion.min_games": 2},
    "resource_targets.gpu_memory_warning": {"resource_targets.gpu_memory_critical": 100},
    "resource_targets.gpu_memory_critical": {"resource_targets.gpu_memory_warning": 1},
    "resource_targets.disk_max": {"resource_targets.disk_critical": 100},
    "resource_targets.disk_critical": {"resource_targets.disk_max": 10},
    **{
        f"resource_targets.{unit}_{part}": {f"resource_targets.{unit}_{other}": value for other, value in rest.items()}
        for unit in ("cpu", "gpu")
        for part, rest in {
            "min": {"target": 98, "max": 99, "critical": 100},
            "target": {"min": 0, "max": 99, "critical": 100},
            "max": {"min": 0, "target": 1},
            "critical": {"min": 0, "target": 1, "max": 2},
        }.items()
    },
}
MACHINE = MachineSample("m", ("a",), 1.0, 50.0, 40.0, 5.0, 30.0, 0.5, gpu=50.0, gpu_memory=50.0)
NOTHING_LEARNT = {("training.loss.policy", 0), ("training.loss.value", 0)}  # refused by the section's own check


def _bounds(leaf: Leaf) -> Iterator[float]:
    rule, whole = leaf.rule, leaf.kind in (int, tuple[int, ...])
    for limit, beyond in ((rule.at_least, None), (rule.above, math.inf), (rule.at_most, None), (rule.below, -math.inf)):
        if limit is not None:
            yield int(limit) if whole else limit if beyond is None else math.nextafter(limit, beyond)


def _shaped(leaf: Leaf, value: float) -> object:
    if get_args(leaf.kind)[:1] == (int,):
        return {2: value, 3: value, 4: value} if isinstance(leaf.default, Mapping) else [value]
    return value


def _config(values: Mapping[str, object]) -> LoopConfig:
    def text(value: object) -> str:
        return (
            "{" + ", ".join(f"{k}: {v!r}" for k, v in value.items()) + "}"
            if isinstance(value, dict)
            else json.dumps(value)
        )

    return load_config(
        None, {"RINGRIFT__" + name.upper().replace(".", "__"): text(value) for name, value in values.items()}
    )


CASES = [
    (name, value) for name, leaf in NUMBERS.items() for value in _bounds(leaf) if (name, value) not in NOTHING_LEARNT
]


@pytest.mark.parametrize(("name", "value"), CASES)
def test_a_number_at_its_bound_works_where_it_is_read(name: str, value: float) -> None:
    config = _config({**BESIDE.get(name, {}), name: _shaped(NUMBERS[name], value)})

    decision = decide(config.resource_targets, None, MACHINE)
    assert decision is not None and 0 < decision.duty <= 1
    limits = Limits(config.resource_targets, {}, config.data_ingestion, config.training)
    seen = Seen(50.0, {"a": 99.9}, {"a": (10, 1000.0)}, {"square8_2p": 100_000})
    assert 0 <= press(Backpressure(), seen, limits).factor(["a"]) <= 1
    for bootstrap in (False, True):
        settings = play_settings(config.selfplay, bootstrap=bootstrap)
        for temperature in (settings.temperature, settings.temperature_final):
            assert np.isfinite(np.float32(1.0) / np.float32(temperature))
    assert evaluation_search(config).simulations == config.evaluation.simulations
    _check_training(config)
    _check_times(config)
    rule = LooksRule(
        config.promotion.looks, config.promotion.confidence, config.promotion.elo_threshold, config.promotion.min_games
    )
    evidence = evidence_of_counts(np.array([30.0, 40.0, 30.0]), np.array([0.0, 0.5, 1.0]), 2)
    rule.judge(len(rule.looks) - 1, rule.looks[-1], evidence)
    standings = {"square8_2p": Standing(0.0, 1e6), "hex8_2p": Standing(1.0, 0.0)}
    weight = weight_of(config.curriculum, standings, "hex8_2p", 1.0)
    assert 0 < weight < math.inf


def _check_training(config: LoopConfig) -> None:
    training = config.training
    for variant in ("square8_2p", "hex8_2p"):
        architecture_for(variant, blocks=training.blocks, channels=training.channels)
    for cold in (False, True):
        schedule = plan_schedule(training, fresh_rows=1000, window_rows=20_000, cold=cold)
        for step in (0, schedule.steps // 2, schedule.steps - 1):
            assert 0 < schedule.learning_rate(step) <= 1
            assert 0 <= schedule.averaging(step) < 1
    assert 1 <= window_rows_wanted(training, 10**9) <= training.window_rows_max
    tensor = torch.tensor([1.0, 2.0], requires_grad=True)
    (tensor.sum() * training.loss.value).backward()  # type: ignore[no-untyped-call] # torch's own
    torch.nn.utils.clip_grad_norm_([tensor], training.gradient_clip)
    assert tensor.grad is not None and bool(tensor.grad.isfinite().all())


def _check_times(config: LoopConfig) -> None:
    restriction = TimeRestriction(pendulum.datetime(2025, 1, 1), None, catchup=False)
    for seconds, dag_id in (
        (config.data_ingestion.poll_interval_seconds, "ringrift_data_sync"),
        (config.evaluation.shadow_interval_seconds, "ringrift_shadow_tournament"),
        (config.evaluation.full_tournament_interval_seconds, "ringrift_full_tournament"),
        (config.curriculum.rebalance_interval_seconds, "ringrift_curriculum_rebalance"),
    ):
        timetable = every(seconds, dag_id)
        info = timetable.next_dagrun_info(last_automated_data_interval=None, restriction=restriction)
        assert info is not None
    for seconds in (config.training.stuck_after_seconds, config.regression.timeout_seconds):
        assert timedelta(seconds=seconds) < timedelta(days=366)


def test_every_number_has_a_bound_on_both_sides() -> None:
    open_ended = [
        name
        for name, leaf in NUMBERS.items()
        if (leaf.rule.at_least is None and leaf.rule.above is None)
        or (leaf.rule.at_most is None and leaf.rule.below is None)
    ]
    assert open_ended == []


def test_a_network_that_would_be_too_large_for_a_model_is_refused_and_one_that_fits_is_not() -> None:
    with pytest.raises(ConfigError, match=r"blocks and training.channels give a model of 5120 MiB, .* got 64 and 1024"):
        _config({"training.blocks": 64, "training.channels": 1024})
    for blocks in (1, 11, 64):
        channels = min(1024, math.isqrt(int(0.9 * MAX_FILE_BYTES) // (80 * blocks)))
        training = _config({"training.blocks": blocks, "training.channels": channels}).training
        with torch.device("meta"):
            net = RingRiftNet(architecture_for("square8_2p", blocks=training.blocks, channels=training.channels))
        size = sum(weight.numel() * weight.element_size() for weight in net.state_dict().values())
        assert 0.5 * MAX_FILE_BYTES * (blocks > 10) < size <= MAX_FILE_BYTES
