"""The PyTorch side of inference.py: on a GPU if there is one, else on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from ringrift_loop.network.export import Inference, load_network


class TorchEvaluator:
    """A model in PyTorch."""

    backend: Final = "torch"

    def __init__(
        self, folder: Path, *, threads: int = 1, expected_digest: str | None = None, plays: str | None = None
    ) -> None:
        """Verify and load; see `open_evaluator`."""
        net, manifest = load_network(folder, expected_digest)
        manifest.side_of(plays)
        self.manifest: Final = manifest
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._net = Inference(net).eval().to(self._device)
        # torch has one pool of threads a process; the last evaluator opened sets it.
        torch.set_num_threads(threads)

    def evaluate(
        self, planes: NDArray[np.float32], move_row: NDArray[np.int64], move_features: NDArray[np.int32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Evaluate; see inference.Evaluator."""
        inputs = (torch.from_numpy(array).to(self._device) for array in (planes, move_row, move_features))
        with torch.inference_mode():
            logits, values = self._net(*inputs)
        return logits.cpu().numpy(), values.cpu().numpy()
