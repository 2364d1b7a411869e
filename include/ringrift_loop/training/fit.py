"""The training loop proper: a network, a window and a schedule in; the best averaged weights and their losses out.

It knows no ledger; prepare.py and adopt.py do. What it does is a function of its arguments alone, however often it is
killed and resumed; how many processes share the work (team.py) changes it only by rounding.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ringrift_loop.config.schema import LossWeights, Training
from ringrift_loop.errors import ConfigError, DataError, TrainingStopped
from ringrift_loop.machine.giving_way import give_way
from ringrift_loop.network.model import RingRiftNet
from ringrift_loop.training import progress as progress_file
from ringrift_loop.training.batches import Batch, BatchMaker, DrawnRows, training_batches
from ringrift_loop.training.checkpoint import Progress, TrainingState, load_checkpoint, save_checkpoint
from ringrift_loop.training.gpu_memory import kept_bytes_a_row, pieces_that_fit, sample_rows
from ringrift_loop.training.losses import Losses, TensorBatch, compute_losses
from ringrift_loop.training.schedule import Schedule
from ringrift_loop.training.team import Team

_log = logging.getLogger(__name__)

CHECKPOINT = "checkpoint.safetensors"
MEASURED_ROWS = 4096
"""Rows of each side of the split on which the losses are measured: the mean value loss then has an error of about .01.
"""
_MEASURE_BATCH = 512
_LOG_SECONDS = 5.0


@dataclass(frozen=True)
class LossFigures:
    """The mean losses over some rows, nats; see losses.Losses."""

    total: float
    policy: float
    value: float
    owner: float
    score: float
    moves_left: float


@dataclass(frozen=True)
class Fit:
    """What a finished training made."""

    train: LossFigures
    """Of the exported weights on training rows."""
    validation: LossFigures
    """Of the exported weights on validation rows."""
    steps: int
    best_step: int
    """Step after which the exported weights were taken."""
    samples: int
    seconds: float
    resumed: int
    rows_at_once: int
    """Of a process's part of each batch, as many as its GPU had room for; all of them on a CPU."""


@dataclass(frozen=True)
class FitTask:
    """What to train on and how."""

    maker: BatchMaker
    training_rows: DrawnRows
    validation_rows: DrawnRows
    """Drawn like the training rows: else the best weights were those that learnt least of what is drawn more often."""
    settings: Training
    schedule: Schedule
    seed: int
    identity: str
    """Digest of everything that decides the result; a checkpoint of another identity is not continued."""
    folder: Path
    """Where the checkpoint lies."""
    team: Team
    """The processes that share the work, and this one's device."""
    measure_rows: int = _MEASURE_BATCH
    """Rows that are measured at once."""


def fit(
    net: RingRiftNet,
    task: FitTask,
    *,
    clock: Callable[[], float] = time.monotonic,
    stop: Callable[[], bool] = lambda: False,
) -> Fit:
    """Train the network; afterwards it holds the averaged weights that did best on the validation rows.

    Args:
        net: the network.
        task: what to train on and how.
        clock: seconds.
        stop: asked after each step; when any process's says yes, all stop after a checkpoint.

    Raises:
        DataError: the loss is no longer a number, or the checkpoint is damaged.
        ConfigError: there are more processes than rows in a batch.
        JobOutOfMemory: a GPU has not enough free memory for a single row.
        TrainingStopped: `stop` said so.
    """
    if task.team.size > task.settings.batch_size:
        raise ConfigError(
            f"a batch of {task.settings.batch_size} rows cannot be shared by {task.team.size} processes; "
            "use fewer, or raise training.batch_size"
        )
    pieces = _pieces(net, task)
    rows_at_once = -(-task.settings.batch_size // (task.team.size * pieces))
    if pieces > 1:
        task = replace(
            task, measure_rows=min(task.measure_rows, 2 * rows_at_once)
        )  # nothing is kept for a backward pass
    net.to(task.team.device)
    state = _fresh_state(net, task)
    path = task.folder / CHECKPOINT
    if load_checkpoint(path, state):
        _log.info("resumed at step %d of %d", state.progress.step, task.schedule.steps)
    stopped = _optimise(state, task, path, clock, stop, pieces)
    task.team.leave()
    if stopped:
        raise TrainingStopped(
            f"asked to stop at step {state.progress.step} of {task.schedule.steps}; "
            "the checkpoint is written, and the same command resumes from it"
        )
    net.load_state_dict(state.best)
    progress = state.progress
    return Fit(
        train=measure(net, task, task.training_rows),
        validation=measure(net, task, task.validation_rows),
        steps=progress.step,
        best_step=progress.best_step,
        samples=progress.samples,
        seconds=progress.seconds,
        resumed=progress.resumed,
        rows_at_once=rows_at_once,
    )


def measure(net: RingRiftNet, task: FitTask, rows: DrawnRows) -> LossFigures:
    """The network's losses on at most MEASURED_ROWS draws of the rows, not turned by any symmetry."""
    count = min(len(rows), MEASURED_ROWS)
    chosen = rows.drawn(count)
    sums = np.zeros(6)
    weights = np.zeros(6)
    net.eval()
    for first in range(0, count, task.measure_rows):
        part = chosen[first : first + task.measure_rows]
        batch = TensorBatch.of(task.maker.make(part, np.zeros(len(part), np.int64)), task.team.device)
        with torch.inference_mode():
            losses = compute_losses(net(*batch[:3]), batch, task.settings.loss)
        # The policy loss is a mean over full searches, the others over all rows.
        weight = np.full(6, float(len(part)))
        weight[1] = float(batch.searched.sum())
        sums += weight * np.array([float(loss) for loss in losses])
        weights += weight
    means = sums / np.maximum(weights, 1.0)
    share = task.settings.loss
    means[0] = np.array([share.policy, share.value, share.owner, share.score, share.moves_left]) @ means[1:]
    return LossFigures(*(float(mean) for mean in means))


def _fresh_state(net: RingRiftNet, task: FitTask) -> TrainingState:
    settings = task.settings
    matrices = [p for p in net.parameters() if p.ndim > 1]
    vectors = [p for p in net.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": settings.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ],
        lr=settings.learning_rate,
    )
    return TrainingState(net, _copied(net), _copied(net), optimizer, Progress(task.identity))


def _optimise(
    state: TrainingState, task: FitTask, path: Path, clock: Callable[[], float], stop: Callable[[], bool], pieces: int
) -> bool:
    """Take the steps that are left; True when it was stopped before the last."""
    schedule, progress, team = task.schedule, state.progress, task.team
    forward = team.shared(state.net)
    told = progress_file.ProgressFile(task.folder, schedule.steps, step=progress.step) if team.is_first else None
    log = _ProgressLog(schedule.steps, clock, told)
    began = saved = clock()
    before = progress.seconds
    batches = training_batches(
        task.maker,
        task.training_rows,
        seed=task.seed,
        first=progress.step,
        end=schedule.steps,
        size=task.settings.batch_size,
        rank=team.rank,
        parts=team.size,
        pieces=pieces,
    )
    for first in batches:
        losses = _step(state, forward, chain([first], islice(batches, pieces - 1)), pieces, task)
        progress.step += 1
        progress.samples += task.settings.batch_size
        progress.seconds = before + clock() - began
        if progress.step % schedule.validate_every == 0 or progress.step == schedule.steps:
            figures = _validate(state, task)
            log.validated(progress.step, figures)
        log.step(progress, losses)
        stopped = team.any(stop()) and progress.step < schedule.steps
        if stopped or clock() - saved >= task.settings.checkpoint_seconds or progress.step == schedule.steps:
            if team.is_first:
                save_checkpoint(path, state)
                _log.info("checkpoint at step %d", progress.step)
            saved = clock()
        if stopped:
            batches.close()
            return True
        give_way()
    return False


def _pieces(net: RingRiftNet, task: FitTask) -> int:
    """In how many pieces this process takes its part of a batch, by the memory that its GPU has free."""
    memory = task.team.free_memory()
    if memory is None:
        return 1
    rows = sample_rows(task.training_rows.numbers)
    batch = TensorBatch.of(task.maker.make(rows, np.zeros(len(rows), np.int64)), torch.device("cpu"))
    row_bytes = kept_bytes_a_row(net, batch, task.settings)
    part = task.settings.batch_size // task.team.size
    return pieces_that_fit(net, row_bytes, part, free=memory[0], total=memory[1])


def _step(state: TrainingState, forward: nn.Module, pieces: Iterable[Batch], count: int, task: FitTask) -> Losses:
    """One step on a batch that comes in `count` pieces; returns the losses of the last."""
    state.net.train()
    step = state.progress.step
    for group in state.optimizer.param_groups:
        group["lr"] = task.schedule.learning_rate(step)
    state.optimizer.zero_grad(set_to_none=True)
    for number, piece in enumerate(pieces, 1):
        batch = TensorBatch.of(piece, task.team.device)
        with task.team.gathering(forward, last=number == count):
            losses = compute_losses(forward(*batch[:3]), batch, task.settings.loss)
            # The whole batch's loss is the mean of its pieces', each weighed by its share.
            (losses.total / count).backward()  # type: ignore[no-untyped-call]
    norm = nn.utils.clip_grad_norm_(state.net.parameters(), task.settings.gradient_clip)
    if not torch.isfinite(norm):
        raise DataError(
            f"the gradient is {float(norm)} at step {step} (total loss {float(losses.total.detach()):g}); "
            "lower training.learning_rate, and see whether the window's figures are sound"
        )
    state.optimizer.step()
    keep = task.schedule.averaging(step)
    for name, tensor in state.net.state_dict().items():
        state.average[name].lerp_(tensor, 1.0 - keep)
    return losses


def _validate(state: TrainingState, task: FitTask) -> LossFigures:
    """Measure the averaged weights, and keep them if they are the best so far; returns their losses."""
    assert isinstance(state.net, RingRiftNet)
    trained = _copied(state.net)
    state.net.load_state_dict(state.average)
    figures = measure(state.net, task, task.validation_rows)
    state.net.load_state_dict(trained)
    progress, loss = state.progress, _strength_loss(figures, task.settings.loss)
    better = loss < progress.best_loss
    _log.info(
        "step %d: validation total %.4f, policy %.4f, value %.4f%s",
        progress.step,
        figures.total,
        figures.policy,
        figures.value,
        " (best)" if better else "",
    )
    if better:
        progress.best_step, progress.best_loss = progress.step, loss
        state.best = {name: tensor.clone() for name, tensor in state.average.items()}
    return figures


def _strength_loss(figures: LossFigures, weights: LossWeights) -> float:
    """What decides which weights are the best: the losses of the two heads that play.

    The others are there for what the trunk learns from them; the owner's alone weighs as much as the value's.
    """
    return weights.policy * figures.policy + weights.value * figures.value


class _ProgressLog:
    """Tells every few seconds how far it is: a line in the log with the losses of this process's part, and the file."""

    def __init__(self, steps: int, clock: Callable[[], float], file: progress_file.ProgressFile | None) -> None:
        self._steps, self._clock, self._file = steps, clock, file
        self._at, self._samples = clock(), -1

    def validated(self, step: int, figures: LossFigures) -> None:
        if self._file is not None:
            self._file.validated(_losses(step, figures.total, figures.policy, figures.value))

    def step(self, progress: Progress, losses: Losses) -> None:
        now = self._clock()
        if self._samples < 0:
            self._at, self._samples = now, progress.samples
            return
        if now - self._at < _LOG_SECONDS and progress.step < self._steps:
            return
        rate = (progress.samples - self._samples) / max(now - self._at, 1e-9)
        left = (self._steps - progress.step) * progress.samples / progress.step / max(rate, 1e-9)
        point = _losses(progress.step, losses.total.detach(), losses.policy.detach(), losses.value.detach())
        _log.info(
            "step %d of %d: total %.4f, policy %.4f, value %.4f, %.0f samples/s, %.0f s left",
            progress.step,
            self._steps,
            point.total,
            point.policy,
            point.value,
            rate,
            left,
        )
        if self._file is not None:
            self._file.write(point, samples_per_second=rate, left_s=left)
        self._at, self._samples = now, progress.samples


def _losses(step: int, *figures: float | Tensor) -> progress_file.Losses:
    total, policy, value = map(float, figures)
    return progress_file.Losses(step, total, policy, value)


def _copied(net: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in net.state_dict().items()}
