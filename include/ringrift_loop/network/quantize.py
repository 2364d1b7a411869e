"""The convolutions of an ONNX model in eight bits, and how far that moves what the model says.

Only convolutions, which are nearly all of the work. Matrix products would move the values by up to .52: the logits of
absent seats are -1e4 (`model.ABSENT`), and one scale for all leaves nothing of the others. Needs the extra `train`.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Inputs = Mapping[str, NDArray[Any]]
"""What one evaluation gets, by the names of the ONNX inputs."""
Outputs = tuple[NDArray[np.float32], NDArray[np.float32]]
"""What it gives: logits [T] and shares of the win [B, 4]."""


@dataclass(frozen=True)
class Change:
    """How far one model's outputs lie from another's, over the same positions."""

    policy_kl: float
    """Mean over the positions, nats, from the first to the second."""
    value_mean: float
    """Largest difference of a seat's share of the win in each position, mean over the positions."""
    value_max: float
    """The same, of the worst position."""

    def within(self, other: Change) -> bool:
        """Whether no figure exceeds the other's."""
        mine, theirs = (np.array([c.policy_kl, c.value_mean, c.value_max]) for c in (self, other))
        return bool((mine <= theirs).all())  # a figure that is no number is not within

    def __str__(self) -> str:
        """In words."""
        return f"policy {self.policy_kl:.4f} nats, value {self.value_mean:.4f} on average, at most {self.value_max:.3f}"


MOST: Final = Change(policy_kl=0.006, value_mean=0.03, value_max=0.3)
"""What is let through. Nets of two blocks show .0004 to .0022, .001 to .027 and .005 to .277 on rows of their window.
The one with .027 and .277 wins 49.9 % of 1,000 games against itself in float32; where the policy is made coarser on
purpose, to .0103 and .0225, it is 46.9 and 43.3 % (docs/log.md, 2026-11-30)."""


def quantized(onnx: bytes, calibration: Iterable[Inputs]) -> bytes:
    """The same model with convolutions in eight bits, their ranges those that the positions show.

    Weights have seven bits and a scale for each channel: with eight, CPUs without VNNI would saturate where others do
    not, and one file would compute two things.

    Args:
        onnx: the model in float32.
        calibration: batches of positions as they come up in play.
    """
    # These load onnx, which play does without.
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.calibrate import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._left = iter(calibration)

        def get_next(self) -> Inputs | None:
            return next(self._left, None)

    with tempfile.TemporaryDirectory() as folder, _quiet():
        source, target = Path(folder) / "float32.onnx", Path(folder) / "int8.onnx"
        source.write_bytes(onnx)
        quantize_static(
            source,
            target,
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return target.read_bytes()


def change_between(reference: Outputs, other: Outputs, move_row: NDArray[np.int64]) -> Change:
    """How far `other` lies from `reference`, on the same positions; `move_row` [T] says whose move each logit is."""
    kept, moved = (_log_policy(logits.astype(np.float64), move_row) for logits in (reference[0], other[0]))
    kl = np.bincount(move_row, np.exp(kept) * (kept - moved))
    away = np.abs(reference[1] - other[1]).max(1)
    return Change(float(kl.mean()), float(away.mean()), float(away.max()))


def _log_policy(logits: NDArray[np.float64], move_row: NDArray[np.int64]) -> NDArray[np.float64]:
    """Log of each move's share among the moves of its position, [T]."""
    top = np.full(move_row[-1] + 1, -np.inf)
    np.maximum.at(top, move_row, logits)
    shifted = logits - top[move_row]
    shares: NDArray[np.float64] = shifted - np.log(np.bincount(move_row, np.exp(shifted)))[move_row]
    return shares


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the quantizer's advice on pre-processing out of the log; it writes to the root logger."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
