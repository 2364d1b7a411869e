"""Two processes that share each batch make what one makes; the GPU's side of it is in test_train_bundle_command.py."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from ringrift_loop.config.schema import Training
from ringrift_loop.engine.rules import rules_for
from ringrift_loop.errors import ConfigError, TrainingStopped
from ringrift_loop.network.export import architecture_for
from ringrift_loop.network.model import RingRiftNet
from ringrift_loop.selfplay.records import ReplayedGame
from ringrift_loop.training.batches import BatchMaker, DrawnRows
from ringrift_loop.training.fit import CHECKPOINT, FitTask, fit, measure
from ringrift_loop.training.schedule import Schedule
from ringrift_loop.training.team import Team, alone
from ringrift_loop.training.window import WindowWriter, open_window

SCHEDULE = Schedule(steps=12, warmup=4, rate=4e-3, rate_final=1e-3, ema_decay=0.9, validate_every=6)
STOPPED_AFTER = 6
FIRST = "first.safetensors"
# An odd number: the two parts differ in their rows, and in their full searches anyway.
ROWS = 33


@pytest.fixture
def window_folder(tmp_path: Path, replayed: Callable[..., ReplayedGame]) -> Path:
    """A window of four games, one of them for validation."""
    writer = WindowWriter(tmp_path / "window", rules_for("square8_2p"), rows=10_000, games=4)
    for seed in range(4):
        writer.add(replayed("square8_2p", seed), validation=seed == 0)
    writer.finish("digest")
    return tmp_path / "window"


def make_task(window_folder: Path, folder: Path, team: Team) -> FitTask:
    window = open_window(window_folder, "digest")
    assert window is not None
    folder.mkdir(exist_ok=True)
    return FitTask(
        maker=BatchMaker(rules_for("square8_2p"), "square8_2p", window, value_outcome_share=0.6),
        training_rows=DrawnRows(window.row_numbers(validation=False)),
        validation_rows=DrawnRows(window.row_numbers(validation=True)),
        settings=Training(batch_size=ROWS),
        schedule=SCHEDULE,
        seed=11,
        identity="this run",
        folder=folder,
        team=team,
    )


def make_net() -> RingRiftNet:
    torch.manual_seed(1)
    return RingRiftNet(architecture_for("square8_2p", blocks=1, channels=8))


def train_to_the_stop(task: FitTask, *, asked: bool = True) -> None:
    """Train six steps, with a checkpoint after each; the first one is kept beside the last."""
    ticks, calls = iter(range(10**6)), iter(range(1, 10**6))

    def stop() -> bool:
        number = next(calls)
        if number == 2 and task.team.is_first:  # asked before the second step's checkpoint is written
            (task.folder / FIRST).write_bytes((task.folder / CHECKPOINT).read_bytes())
        return asked and number == STOPPED_AFTER

    with pytest.raises(TrainingStopped, match=f"at step {STOPPED_AFTER} of 12"):
        fit(make_net(), task, clock=lambda: 60.0 * next(ticks), stop=stop)


def test_two_processes_make_what_one_makes_and_one_goes_on_from_their_checkpoint(
    window_folder: Path, tmp_path: Path
) -> None:
    together = tmp_path / "together"
    child = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1"),
            *("--nproc-per-node", "2", "--no-python", sys.executable, "-c", _MEMBER),
            *(str(Path(__file__)), str(window_folder), str(together)),
        ],
        capture_output=True,
        timeout=120,
    )
    assert child.returncode == 0, child.stderr.decode()
    single = make_task(window_folder, tmp_path / "single", alone(torch.device("cpu")))
    train_to_the_stop(single)

    # The first moment after the first step is a tenth of the batch's gradient. A gradient's entry is a sum over up to
    # 33 rows of 64 places each; n terms that are added up in another order differ by at most n * 2**-24 of their size.
    ours, theirs = (_part(folder / FIRST, "optimizer.exp_avg.") for folder in (single.folder, together))
    largest = max(float(moment.abs().max()) for moment in ours.values())
    rounding = ROWS * 64 * 2.0**-24 * largest
    assert len(ours) > 20
    for name, moment in ours.items():
        assert float((moment - theirs[name]).abs().max()) <= rounding, name

    # Adam divides each entry by its own size: what is rounded by d in a gradient of g moves the weight by rate * d / g
    # too far, and the loss by g times as much: rate * d for each weight and step.
    weights = sum(moment.numel() for moment in ours.values())
    tolerance = STOPPED_AFTER * SCHEDULE.rate * 10 * rounding * weights
    assert tolerance < 0.05
    figures = [_losses(folder / CHECKPOINT, single) for folder in (single.folder, together)]
    assert figures[0] == pytest.approx(figures[1], abs=tolerance)
    assert figures[0] != pytest.approx(_losses(single.folder / FIRST, single), abs=tolerance)

    # Another number of processes goes on from the checkpoint.
    whole = fit(make_net(), single)
    resumed = fit(make_net(), replace(single, folder=together))
    assert (resumed.resumed, resumed.steps, resumed.samples) == (1, 12, 12 * ROWS)
    assert resumed.validation.total == pytest.approx(whole.validation.total, abs=2 * tolerance)


# One of the two processes. Only the second is asked to stop; both do.
_MEMBER = """
import importlib.util, os, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
spec = importlib.util.spec_from_file_location("test_team", sys.argv[1])
tests = importlib.util.module_from_spec(spec)
sys.modules["test_team"] = tests
spec.loader.exec_module(tests)
from ringrift_loop.training.team import join
team = join(int(os.environ["LOCAL_RANK"]), int(os.environ["WORLD_SIZE"]))
assert (team.size, team.device.type) == (2, "cpu")
task = tests.make_task(Path(sys.argv[2]), Path(sys.argv[3]), team)
tests.train_to_the_stop(task, asked=not team.is_first)
"""


def test_parts_of_a_batch_weigh_what_they_hold(window_folder: Path, tmp_path: Path) -> None:
    task = make_task(window_folder, tmp_path / "run", alone(torch.device("cpu")))
    rows, turned = task.training_rows.numbers[:ROWS], torch.zeros(ROWS, dtype=torch.int64).numpy()
    whole = task.maker.make_part(rows, turned, rank=0, parts=1)
    parts = [task.maker.make_part(rows, turned, rank=rank, parts=2) for rank in range(2)]
    assert whole.share.tolist() == [1.0, 1.0]
    assert [len(part.planes) for part in parts] == [17, 16]
    assert [float(part.share[0]) for part in parts] == pytest.approx([17 / 16.5, 16 / 16.5])
    for part in parts:
        assert part.share[1] == pytest.approx(2 * part.searched.sum() / whole.searched.sum())


def test_more_processes_than_rows_are_refused(window_folder: Path, tmp_path: Path) -> None:
    task = make_task(window_folder, tmp_path / "run", Team(0, ROWS + 1, torch.device("cpu")))
    with pytest.raises(ConfigError, match="33 rows cannot be shared by 34 processes"):
        fit(make_net(), task)


def _part(checkpoint: Path, prefix: str) -> dict[str, Tensor]:
    tensors: dict[str, Any] = load_file(checkpoint)
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _losses(checkpoint: Path, task: FitTask) -> list[float]:
    net = make_net()
    net.load_state_dict(_part(checkpoint, "net."))
    figures = measure(net, task, task.training_rows)
    return [figures.total, figures.policy, figures.value]
