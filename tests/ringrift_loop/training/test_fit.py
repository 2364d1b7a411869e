from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from ringrift_loop.config.schema import Training
from ringrift_loop.engine.rules import rules_for
from ringrift_loop.errors import DataError, TrainingStopped
from ringrift_loop.network.export import architecture_for
from ringrift_loop.network.model import RingRiftNet
from ringrift_loop.selfplay.records import ReplayedGame
from ringrift_loop.training.batches import BatchMaker, DrawnRows
from ringrift_loop.training.fit import CHECKPOINT, Fit, FitTask, fit
from ringrift_loop.training.progress import read_progress
from ringrift_loop.training.schedule import Schedule
from ringrift_loop.training.team import alone
from ringrift_loop.training.window import WindowWriter, open_window

SCHEDULE = Schedule(steps=24, warmup=4, rate=4e-3, rate_final=1e-3, ema_decay=0.9, validate_every=6)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def window_folder(tmp_path: Path, replayed: Callable[..., ReplayedGame]) -> Path:
    """A window of six games, two of them for validation."""
    writer = WindowWriter(tmp_path / "window", rules_for("square8_2p"), rows=10_000, games=6)
    for seed in range(6):
        writer.add(replayed("square8_2p", seed), validation=seed % 3 == 0)
    writer.finish("digest")
    return tmp_path / "window"


def make_task(window_folder: Path, folder: Path, schedule: Schedule = SCHEDULE) -> FitTask:
    window = open_window(window_folder, "digest")
    assert window is not None
    folder.mkdir(exist_ok=True)
    return FitTask(
        maker=BatchMaker(rules_for("square8_2p"), "square8_2p", window, value_outcome_share=0.6),
        training_rows=DrawnRows(window.row_numbers(validation=False)),
        validation_rows=DrawnRows(window.row_numbers(validation=True)),
        settings=Training(batch_size=32),
        schedule=schedule,
        seed=11,
        identity="this run",
        folder=folder,
        team=alone(torch.device("cpu")),
    )


def make_net() -> RingRiftNet:
    torch.manual_seed(2)
    return RingRiftNet(architecture_for("square8_2p", blocks=1, channels=8))


def ticking() -> Callable[[], float]:
    """A clock that is a minute later at each look, so that every step ends with a checkpoint."""
    ticks = count()
    return lambda: 60.0 * next(ticks)


def _weights(net: RingRiftNet) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


def _comparable(result: Fit) -> Fit:
    return replace(result, seconds=0.0, resumed=0)


def test_training_learns_and_exports_the_best_validation_weights(window_folder: Path, tmp_path: Path) -> None:
    net = make_net()
    result = fit(net, make_task(window_folder, tmp_path / "run", replace(SCHEDULE, steps=60)))
    assert result.steps == 60
    assert result.samples == 60 * 32
    # Uniform over the moves is where an untrained policy stands; random play that likes captures is easily beaten.
    untrained = fit(make_net(), make_task(window_folder, tmp_path / "short", replace(SCHEDULE, steps=1)))
    assert result.validation.policy < 0.8 * untrained.validation.policy
    assert result.train.total < untrained.train.total


def test_a_training_gives_way_between_its_steps(
    window_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rests: list[None] = []
    monkeypatch.setattr("ringrift_loop.training.fit.give_way", lambda: rests.append(None))
    result = fit(make_net(), make_task(window_folder, tmp_path / "run"))
    assert len(rests) == result.steps


def test_a_training_tells_how_far_it_is(window_folder: Path, tmp_path: Path) -> None:
    fit(make_net(), make_task(window_folder, tmp_path / "run"), clock=ticking())
    told = read_progress(tmp_path / "run")
    assert told is not None
    assert (told.step, told.steps, told.left_s) == (24, 24, 0.0)
    assert [point.step for point in told.validation] == [6, 12, 18, 24]
    # A line at each look but the first; ticking() lets as much time pass as a line needs.
    assert [point.step for point in told.train] == list(range(2, 25))
    assert told.train[-1].total < told.train[0].total


def test_a_resumed_training_keeps_its_curve_up_to_the_checkpoint(window_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with pytest.raises(TrainingStopped):
        stops = iter([False] * 9 + [True])
        fit(make_net(), make_task(window_folder, folder), clock=ticking(), stop=lambda: next(stops))
    fit(make_net(), make_task(window_folder, folder), clock=ticking())
    told = read_progress(folder)
    assert told is not None
    assert [point.step for point in told.train] == [*range(2, 11), *range(12, 25)]
    assert [point.step for point in told.validation] == [6, 12, 18, 24]


def test_the_exported_weights_are_those_of_the_best_step_not_the_last(window_folder: Path, tmp_path: Path) -> None:
    # A rate far too high ruins the network after its first, good steps.
    ruined = replace(SCHEDULE, steps=30, warmup=25, rate=2.0, rate_final=2.0, ema_decay=0.0, validate_every=1)
    net = make_net()
    task = replace(
        make_task(window_folder, tmp_path / "run", ruined), settings=Training(batch_size=32, gradient_clip=1e9)
    )
    result = fit(net, task)
    assert 0 < result.best_step < 30
    again = make_net()
    stopped = replace(ruined, steps=result.best_step)
    short = fit(again, replace(task, schedule=stopped, folder=_made(tmp_path / "again")))
    assert short.best_step == result.best_step
    assert short.validation == result.validation


def test_the_best_weights_are_chosen_by_their_loss_on_the_validation_rows(window_folder: Path, tmp_path: Path) -> None:
    task = make_task(window_folder, tmp_path / "run")
    result = fit(make_net(), task)
    with safe_open(tmp_path / "run" / CHECKPOINT, framework="pt") as file:
        progress = json.loads(file.metadata()["progress"])
    weights = task.settings.loss
    found, seen = (
        weights.policy * figures.policy + weights.value * figures.value for figures in (result.validation, result.train)
    )
    assert progress["best_loss"] == pytest.approx(found, rel=1e-6)
    assert progress["best_loss"] != pytest.approx(seen, rel=1e-3)


def test_the_average_keeps_its_decays_share_of_the_weights_before(window_folder: Path, tmp_path: Path) -> None:
    before = _weights(make_net())
    schedule = replace(SCHEDULE, steps=1)
    assert schedule.averaging(0) == 0.1
    fit(make_net(), make_task(window_folder, tmp_path / "run", schedule))
    after = load_file(tmp_path / "run" / CHECKPOINT)
    for name, start in before.items():
        torch.testing.assert_close(after[f"average.{name}"], 0.1 * start + 0.9 * after[f"net.{name}"])
    assert any(not torch.allclose(start, after[f"net.{name}"]) for name, start in before.items())


def test_a_checkpoint_that_finds_no_room_leaves_the_one_before(
    window_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    task = make_task(window_folder, tmp_path / "run")
    fit(make_net(), task)
    kept = (task.folder / CHECKPOINT).read_bytes()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        fit(make_net(), replace(task, identity="another run"))
    assert (task.folder / CHECKPOINT).read_bytes() == kept


def test_a_run_killed_by_signal_9_ends_with_the_same_weights(window_folder: Path, tmp_path: Path) -> None:
    whole = make_net()
    expected = fit(whole, make_task(window_folder, tmp_path / "whole"))

    folder = tmp_path / "killed"
    child = subprocess.run(
        [sys.executable, "-c", _KILLED, str(Path(__file__)), str(window_folder), str(folder)], capture_output=True
    )
    assert child.returncode == -signal.SIGKILL, child.stderr.decode()
    assert (folder / CHECKPOINT).exists()

    resumed = make_net()
    result = fit(resumed, make_task(window_folder, folder))
    assert result.resumed == 1
    assert _comparable(result) == _comparable(expected)
    for name, tensor in _weights(whole).items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


# Runs in a child process, which kills itself at its 40th look at the clock, in the middle of the run.
_KILLED = """
import importlib.util, os, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
spec = importlib.util.spec_from_file_location("test_fit", sys.argv[1])
tests = importlib.util.module_from_spec(spec)
sys.modules["test_fit"] = tests
spec.loader.exec_module(tests)
tick = tests.ticking()
def clock():
    now = tick()
    if now >= 60 * 40:
        os.kill(os.getpid(), signal.SIGKILL)
    return now
task = tests.make_task(Path(sys.argv[2]), Path(sys.argv[3]))
tests.fit(tests.make_net(), task, clock=clock)
"""


def test_a_checkpoint_of_another_configuration_is_not_continued(window_folder: Path, tmp_path: Path) -> None:
    fit(make_net(), make_task(window_folder, tmp_path / "run"))
    other = replace(make_task(window_folder, tmp_path / "run"), identity="another run")
    assert fit(make_net(), other).resumed == 0


def test_a_damaged_checkpoint_is_an_error(window_folder: Path, tmp_path: Path) -> None:
    task = make_task(window_folder, tmp_path / "run")
    (task.folder / CHECKPOINT).write_bytes(b"\x00" * 100)
    with pytest.raises(DataError, match="cannot be read"):
        fit(make_net(), task)


def test_a_loss_that_is_no_number_ends_the_run(window_folder: Path, tmp_path: Path) -> None:
    net = make_net()
    with torch.no_grad():
        net.value.value.bias[0] = float("nan")
    with pytest.raises(DataError, match=r"the gradient is nan at step 0 .*lower training\.learning_rate"):
        fit(net, make_task(window_folder, tmp_path / "run"))


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
