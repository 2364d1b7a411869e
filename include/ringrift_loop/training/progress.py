"""How far a training is: a small file beside its checkpoint, for people who watch. Nothing is decided by it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from ringrift_loop.checked_json import Count, File, Number, Seconds, parse
from ringrift_loop.errors import DataError
from ringrift_loop.machine.files import read_plain, write_whole

_log = logging.getLogger(__name__)

PROGRESS = "progress.json"
_MAX_POINTS = 200
_MAX_BYTES = 1 << 18


class Losses(msgspec.Struct, frozen=True, array_like=True):
    """The losses after a step, nats."""

    step: Count
    total: Number
    policy: Number
    value: Number


Curve = Annotated[tuple[Losses, ...], Meta(max_length=_MAX_POINTS)]


class TrainingProgress(File, frozen=True, kw_only=True):
    """Where a training stands."""

    step: Count
    """Steps taken."""
    steps: Count
    """Of all."""
    samples_per_second: Number
    left_s: Seconds
    train: Curve = ()
    """Of single batches, so they waver."""
    validation: Curve = ()


class ProgressFile:
    """Writes the file as a training goes on; a resumed training keeps the curves up to where it resumes."""

    def __init__(self, folder: Path, steps: int, *, step: int) -> None:
        self._path, self._steps = folder / PROGRESS, steps
        try:
            before = read_progress(folder)
        except DataError:
            before = None
        kept = before if before is not None and before.steps == steps else None
        self._train = [] if kept is None else [point for point in kept.train if point.step <= step]
        self._validation = [] if kept is None else [point for point in kept.validation if point.step <= step]

    def validated(self, losses: Losses) -> None:
        """Add a measurement; the next `write` writes it."""
        self._validation = _thinned([*self._validation, losses])

    def write(self, losses: Losses, *, samples_per_second: float, left_s: float) -> None:
        """Add the losses of a batch and replace the file."""
        self._train = _thinned([*self._train, losses])
        document = TrainingProgress(
            step=losses.step,
            steps=self._steps,
            samples_per_second=samples_per_second,
            left_s=left_s,
            train=tuple(self._train),
            validation=tuple(self._validation),
        )
        try:
            write_whole(self._path, msgspec.json.encode(document))
        except OSError as error:  # the training matters more
            _log.warning("%s cannot be written: %s", self._path, error)


def read_progress(folder: Path) -> TrainingProgress | None:
    """What the training in this folder last wrote; None before its first line.

    Raises:
        DataError: it is not what a training writes.
    """
    path = folder / PROGRESS
    try:
        raw = read_plain(path, _MAX_BYTES)
    except DataError:
        if not path.exists():
            return None
        raise
    return parse(raw, TrainingProgress, f"the progress {path}")


def _thinned(points: list[Losses]) -> list[Losses]:
    """Every other point once they are too many; the last one stays."""
    return points if len(points) <= _MAX_POINTS else points[::-2][::-1]
