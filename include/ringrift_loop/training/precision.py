"""What a model plays with: its ONNX file in float32, or with convolutions in eight bits.

Decided once, when a candidate is adopted or a model from elsewhere imported; self-play, gates and matches all use the
file that was made then. On a GPU PyTorch evaluates the float32 weights beside it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray

from ringrift_loop.network.export import Graph
from ringrift_loop.network.inference import open_session
from ringrift_loop.network.quantize import MOST, Change, Inputs, Outputs, change_between, quantized
from ringrift_loop.training.batches import Batch, BatchMaker
from ringrift_loop.training.window import Window

LEAST_GAIN = 1.1
"""Times as many evaluations a second, below which eight bits are not worth their change of the outputs."""
CALIBRATED, CHECKED = 256, 512
"""Positions that calibrate, and that check."""
BATCH = 32
"""Of them in a batch."""
_TIMED_ROWS, _ROUNDS, _ROUND_S = 16, 7, 0.02


@dataclass(frozen=True)
class Precision:
    """The ONNX file that a model plays with, and why that one."""

    graph: Graph
    why: str
    """In words, for the report and the event."""
    refused: bool = False
    """Whether it was to have eight bits and they change its outputs too much."""


def choose_precision(plain: bytes, calibration: Sequence[Inputs], checked: Sequence[Inputs], wish: str) -> Precision:
    """Put a model in eight bits where the configuration wants that and the outputs allow it.

    Args:
        plain: the model's ONNX file in float32.
        calibration: batches of about CALIBRATED positions as they come up in play.
        checked: of about CHECKED positions of other games, which say how far eight bits move the outputs.
        wish: `inference.int8`: auto, always or never.
    """
    if wish == "never":
        return Precision(Graph(plain), "float32 by inference.int8")
    small = quantized(plain, calibration)
    change = compared(plain, small, checked)
    if not change.within(MOST):
        why = f"float32, since int8 would change too much: {change}; allowed: {MOST}"
        return Precision(Graph(plain), why, refused=True)
    if wish == "auto":
        gain = _gain(plain, small, calibration[0])
        if gain < LEAST_GAIN:
            return Precision(Graph(plain), f"float32, since int8 is {gain:.2f} times as fast here")
        return Precision(Graph(small, "int8"), f"int8, {gain:.2f} times as fast here, and changes {change}")
    return Precision(Graph(small, "int8"), f"int8 by inference.int8, which changes {change}")


def window_batches(maker: BatchMaker, window: Window) -> tuple[list[Inputs], list[Inputs]]:
    """Positions of a window: those that calibrate, of its training games, and those that check, of the others."""
    calibrating = _even(window.row_numbers(validation=False), CALIBRATED)
    return _batches(maker, calibrating), _batches(maker, checked_rows(window))


def compared(reference: bytes, other: bytes, batches: Sequence[Inputs]) -> Change:
    """How far the outputs of one ONNX model lie from another's on some positions."""
    sessions = [open_session(onnx, "the model") for onnx in (reference, other)]
    parts: list[tuple[Outputs, Outputs, NDArray[np.int64]]] = []
    for batch in batches:
        first, second = (tuple(session.run(None, batch)) for session in sessions)
        parts.append((first, second, batch["move_row"]))
    rows = np.cumsum([0, *(len(first[1]) for first, _, _ in parts)])
    move_row = np.concatenate([row + start for (_, _, row), start in zip(parts, rows, strict=False)])
    joined = [
        (np.concatenate([part[side][0] for part in parts]), np.concatenate([part[side][1] for part in parts]))
        for side in (0, 1)
    ]
    return change_between(joined[0], joined[1], move_row)


def checked_rows(window: Window) -> NDArray[np.int64]:
    """The positions that decide whether eight bits change too much, of the validation games: some of each.

    The limits are for means over them. Positions of one game are alike, and their mean may well lie above.
    """
    return _even(window.row_numbers(validation=True), CHECKED)


def inputs_of(batch: Batch) -> Inputs:
    """What the ONNX model gets of a batch."""
    return {"planes": batch.planes, "move_row": batch.move_row, "move_features": batch.move_features}


def _even(rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """At most `count` of the rows, evenly chosen."""
    return rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(np.int64)]


def _batches(maker: BatchMaker, rows: NDArray[np.int64]) -> list[Inputs]:
    parts = [rows[at : at + BATCH] for at in range(0, len(rows), BATCH)]
    return [inputs_of(maker.make(part, np.zeros(len(part), np.int64))) for part in parts]


def _gain(plain: bytes, small: bytes, batch: Inputs) -> float:
    """How many times as many evaluations the second model does in the same time of one core.

    The median over some rounds, by CPU time: what else the machine does slows both of a round alike, or does not last.
    """
    end = int(np.searchsorted(batch["move_row"], _TIMED_ROWS))
    few = {
        "planes": batch["planes"][:_TIMED_ROWS],
        "move_row": batch["move_row"][:end],
        "move_features": batch["move_features"][:end],
    }
    sessions = [open_session(onnx, "the model") for onnx in (plain, small)]
    gains: list[float] = []
    for _ in range(_ROUNDS):
        seconds: list[float] = []
        for session in sessions:
            began, evaluations = time.thread_time(), 0
            while (used := time.thread_time() - began) < _ROUND_S:
                session.run(None, few)
                evaluations += 1
            seconds.append(used / evaluations)
        gains.append(seconds[0] / seconds[1])
    return median(gains)
