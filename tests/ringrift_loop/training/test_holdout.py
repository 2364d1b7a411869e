from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ringrift_loop.config.schema import Training
from ringrift_loop.engine.rules import rules_for
from ringrift_loop.network.export import architecture_for
from ringrift_loop.network.model import RingRiftNet
from ringrift_loop.selfplay.records import ReplayedGame
from ringrift_loop.training.batches import BatchMaker, DrawnRows
from ringrift_loop.training.fit import FitTask, measure
from ringrift_loop.training.holdout import compare_holdout
from ringrift_loop.training.losses import TensorBatch, compute_losses
from ringrift_loop.training.schedule import plan_schedule
from ringrift_loop.training.team import alone
from ringrift_loop.training.window import Window, WindowWriter

VARIANT = "square8_3p"


@pytest.fixture
def window(tmp_path: Path, replayed: Callable[..., ReplayedGame]) -> Window:
    """Eight games, three of them in the holdout."""
    writer = WindowWriter(tmp_path / "window", rules_for(VARIANT), rows=10_000, games=8)
    for seed in range(8):
        writer.add(replayed(VARIANT, seed), validation=seed < 3)
    return writer.finish("digest")


@pytest.fixture
def net() -> RingRiftNet:
    """A very small network with random weights."""
    torch.manual_seed(4)
    return RingRiftNet(architecture_for(VARIANT, blocks=1, channels=8))


def test_the_losses_are_those_of_the_training(tmp_path: Path, window: Window, net: RingRiftNet) -> None:
    maker = BatchMaker(rules_for(VARIANT), VARIANT, window, value_outcome_share=0.6)
    found = compare_holdout(net, maker, window)
    sides = [DrawnRows(window.row_numbers(validation=side)) for side in (False, True)]
    assert max(map(len, sides)) < 2048, "both measure every row"
    settings = Training()
    schedule = plan_schedule(settings, fresh_rows=10, window_rows=10, cold=False)
    task = FitTask(maker, *sides, settings, schedule, 1, "identity", tmp_path, alone())
    train, holdout = (measure(net, task, rows) for rows in sides)
    assert (found.policy.train, found.policy.holdout) == pytest.approx((train.policy, holdout.policy), rel=1e-4)
    assert (found.value.train, found.value.holdout) == pytest.approx((train.value, holdout.value), rel=1e-4)
    assert (found.train_games, found.games) == (5, 3)
    assert not found.decides


def test_an_even_guess_loses_what_the_targets_know(window: Window, net: RingRiftNet) -> None:
    maker = BatchMaker(rules_for(VARIANT), VARIANT, window, value_outcome_share=1.0)
    found = compare_holdout(net, maker, window)
    held = window.row_numbers(validation=True)
    won = window.outcome[window.game[held]].max(1) == 1.0
    assert found.value.guess == pytest.approx(np.log(3) * won.mean(), rel=1e-5)
    searched = [row for row in held if window.searched[row]]
    knowledge = []
    for row in searched:
        p = window.target_weight[window.target_start[row] : window.target_start[row + 1]].astype(np.float64)
        knowledge.append(np.log(window.choices[row]) + (p * np.log(p)).sum())
    assert found.policy.guess == pytest.approx(np.mean(knowledge), rel=1e-3)


def test_a_network_that_has_memorised_its_games_shows_it(window: Window, net: RingRiftNet) -> None:
    maker = BatchMaker(rules_for(VARIANT), VARIANT, window, value_outcome_share=1.0)
    before = compare_holdout(net, maker, window)
    rows = window.row_numbers(validation=False)
    rng = np.random.default_rng(1)
    optimizer = torch.optim.AdamW(net.parameters(), lr=2e-2)
    net.train()
    for _ in range(60):
        part = rng.choice(rows, 32)
        batch = TensorBatch.of(maker.make(part, np.zeros(32, np.int64)), torch.device("cpu"))
        loss = compute_losses(net(*batch[:3]), batch, Training().loss).value
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    after = compare_holdout(net, maker, window)
    assert abs(before.value.share) < 0.25
    assert after.value.share > 0.25
    assert after.worst[0] == "value"
