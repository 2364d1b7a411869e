"""A batch in as many pieces as the GPU's free memory asks for; the memory is told by a stand-in, the rest is real."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from ringrift_loop.config.schema import Training
from ringrift_loop.engine.rules import rules_for
from ringrift_loop.errors import JobOutOfMemory
from ringrift_loop.network.export import architecture_for
from ringrift_loop.network.model import RingRiftNet
from ringrift_loop.selfplay.records import ReplayedGame
from ringrift_loop.training.batches import BatchMaker, DrawnRows
from ringrift_loop.training.fit import CHECKPOINT, FitTask, fit
from ringrift_loop.training.gpu_memory import kept_bytes_a_row, needed_bytes, pieces_that_fit, sample_rows
from ringrift_loop.training.losses import TensorBatch
from ringrift_loop.training.schedule import Schedule
from ringrift_loop.training.team import Team
from ringrift_loop.training.window import WindowWriter, open_window

MIB = 1 << 20
SETTINGS = Training(batch_size=33, gradient_clip=1e9)  # a clipped gradient would hide a wrong size
SCHEDULE = Schedule(steps=1, warmup=1, rate=4e-3, rate_final=1e-3, ema_decay=0.9, validate_every=1)


class Crowded(Team):
    """A team of one whose GPU has so much free memory; it computes on the CPU."""

    free = 0

    def free_memory(self) -> tuple[int, int] | None:
        return self.free, self.free


def make_net(channels: int = 8) -> RingRiftNet:
    torch.manual_seed(1)
    return RingRiftNet(architecture_for("square8_2p", blocks=1, channels=channels))


@pytest.fixture
def task(tmp_path: Path, replayed: Callable[..., ReplayedGame]) -> FitTask:
    writer = WindowWriter(tmp_path / "window", rules_for("square8_2p"), rows=10_000, games=3)
    for seed in range(3):
        writer.add(replayed("square8_2p", seed), validation=seed == 0)
    writer.finish("digest")
    window = open_window(tmp_path / "window", "digest")
    assert window is not None
    return FitTask(
        maker=BatchMaker(rules_for("square8_2p"), "square8_2p", window, value_outcome_share=0.6),
        training_rows=DrawnRows(window.row_numbers(validation=False)),
        validation_rows=DrawnRows(window.row_numbers(validation=True)),
        settings=SETTINGS,
        schedule=SCHEDULE,
        seed=11,
        identity="this run",
        folder=tmp_path,
        team=Team(0, 1, torch.device("cpu")),
    )


def row_bytes(task: FitTask, net: RingRiftNet, rows: int = 32) -> float:
    chosen = task.training_rows.numbers[:rows]
    made = task.maker.make(chosen, np.zeros(len(chosen), np.int64))
    return kept_bytes_a_row(net, TensorBatch.of(made, torch.device("cpu")), task.settings)


def test_what_a_row_keeps_follows_from_the_network_and_not_from_the_number_of_rows(task: FitTask) -> None:
    small = row_bytes(task, make_net())
    # Its planes and what each of some layers gives out, at least: 64 places, 8 channels, 4 bytes.
    assert small > 5 * 64 * 8 * 4
    assert row_bytes(task, make_net(), 16) == pytest.approx(small, rel=0.2)
    assert 1.5 * small < row_bytes(task, make_net(32)) < 5 * small


def test_a_batch_is_halved_until_it_fits_below_what_is_kept_for_others(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    net, row = make_net(), 1.0 * MIB
    fixed = needed_bytes(net, row, 0)

    def pieces(room_mib: float) -> int:
        total = 1000 * MIB
        return pieces_that_fit(net, row, 64, free=int(room_mib * MIB) + fixed + total // 10, total=total)

    assert [pieces(room) for room in (128.5, 127.5, 64.5, 63.5, 2.5)] == [1, 2, 2, 4, 64]
    assert "64 rows at once" in caplog.messages[0]
    assert "32 rows at once" in caplog.messages[1] and "a batch of 64 rows is taken in 2 pieces" in caplog.messages[1]
    with pytest.raises(JobOutOfMemory, match=r"a single row needs 2 MiB, of \d+ MiB that are free of the GPU's 1000"):
        pieces(0.5)


def test_the_pieces_of_a_batch_teach_what_the_whole_batch_does(task: FitTask, tmp_path: Path) -> None:
    whole_net, net = make_net(), make_net()
    whole = fit(whole_net, task)
    crowded = Crowded(0, 1, torch.device("cpu"))
    row = row_bytes(task, make_net())
    assert len(sample_rows(task.training_rows.numbers)) == 32
    # Room for a good quarter of the rows, after the tenth that is kept free.
    object.__setattr__(crowded, "free", int(needed_bytes(net, row, 10) / 0.9))
    (tmp_path / "pieces").mkdir()

    result = fit(net, replace(task, team=crowded, folder=tmp_path / "pieces"))

    assert (whole.rows_at_once, result.rows_at_once) == (33, 9)
    assert (result.steps, result.samples) == (whole.steps, whole.samples) == (1, 33)
    ours, theirs = (load_file(folder / CHECKPOINT) for folder in (tmp_path, tmp_path / "pieces"))
    moments = [name for name in ours if name.startswith("optimizer.exp_avg.")]
    largest = max(float(ours[name].abs().max()) for name in moments)
    # Sums of up to 33 x 64 terms in another order; see test_team.py.
    assert len(moments) > 20
    for name in moments:
        assert float((ours[name] - theirs[name]).abs().max()) <= 33 * 64 * 2.0**-24 * largest, name
    assert largest > 0.0
