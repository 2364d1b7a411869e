"""Whether a model's ONNX file, with which hosts play, computes what its weights do, which training knows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ringrift_loop.errors import ModelError
from ringrift_loop.network.artifact import ONNX
from ringrift_loop.network.export import Inference
from ringrift_loop.network.inference import OnnxEvaluator
from ringrift_loop.network.model import RingRiftNet
from ringrift_loop.network.quantize import MOST, change_between

_TOLERANCE = 1e-3
"""Of logits and shares: far above what rounding makes of either, far below what matters in play."""


def compare_backends(
    net: RingRiftNet,
    folder: Path,
    planes: NDArray[np.float32],
    move_row: NDArray[np.int64],
    move_features: NDArray[np.int32],
) -> None:
    """Return when the model in a folder evaluates states as the network does; arrays as in `Evaluator`.

    Raises:
        ModelError: its ONNX file does not load, or computes something else.
    """
    batch = (planes, move_row, move_features)
    with torch.inference_mode():
        expected = [output.numpy() for output in Inference(net)(*(torch.from_numpy(array) for array in batch))]
    evaluator = OnnxEvaluator(folder)
    found = evaluator.evaluate(*batch)
    if evaluator.manifest.precision == "int8":
        alike = change_between((expected[0], expected[1]), found, move_row).within(MOST)
    else:
        alike = all(
            theirs.shape == ours.shape and np.allclose(theirs, ours, rtol=_TOLERANCE, atol=_TOLERANCE)
            for theirs, ours in zip(found, expected, strict=True)
        )
    if not alike:
        raise ModelError(f"{folder / ONNX} does not compute what the weights beside it do")
