"""Evaluating batches of states with a model: ONNX Runtime or PyTorch behind one protocol.

Which is faster depends on the machine: `benchmarks/inference.py` prints both. On CPUs ONNX Runtime is (docs/log.md), on
GPUs PyTorch; `auto` chooses so.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from ringrift_loop.errors import ModelError
from ringrift_loop.network.artifact import ONNX, Manifest, read_checked, verify

BACKENDS: Final = ("auto", "onnxruntime", "torch")


class Evaluator(Protocol):
    """A loaded model."""

    @property
    def manifest(self) -> Manifest:
        """What was loaded."""
        ...

    @property
    def backend(self) -> str:
        """`onnxruntime` or `torch`."""
        ...

    def evaluate(
        self, planes: NDArray[np.float32], move_row: NDArray[np.int64], move_features: NDArray[np.int32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Evaluate B states and their T legal moves.

        Args:
            planes: float32 [B, NUM_PLANES, side, side], B at least 1 (encoding.encode_states).
            move_row: int64 [T], T at least 1: the state each move belongs to.
            move_features: int32 [T, MOVE_COLUMNS] (move_features.encode_moves).

        Returns:
            Policy logits float32 [T], to be normalised over the moves of each state, and the shares of the win
            float32 [B, 4], rows sum to 1, seats counted from the mover, 0 for seats that the variant lacks.
        """
        ...


def open_evaluator(
    folder: Path,
    *,
    backend: str = "auto",
    threads: int = 1,
    expected_digest: str | None = None,
    plays: str | None = None,
) -> Evaluator:
    """Verify and load a model.

    Args:
        folder: the model's folder.
        backend: one of BACKENDS.
        threads: threads of one evaluation on a CPU.
        expected_digest: refuse any other model.
        plays: the variant whose states it will get; by default the model's own.

    Raises:
        ModelError: the model does not verify or load, or cannot play that variant.
        ValueError: no such backend.
    """
    if backend not in BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(BACKENDS)}, got {backend!r}")
    if backend == "auto":
        backend = "torch" if _has_gpu() else "onnxruntime"
    if backend == "torch":
        # Hosts without the `train` extra have no torch and never get here.
        from ringrift_loop.network.torch_inference import TorchEvaluator

        return TorchEvaluator(folder, threads=threads, expected_digest=expected_digest, plays=plays)
    return OnnxEvaluator(folder, threads=threads, expected_digest=expected_digest, plays=plays)


class OnnxEvaluator:
    """A model in ONNX Runtime on the CPU."""

    backend: Final = "onnxruntime"

    def __init__(
        self, folder: Path, *, threads: int = 1, expected_digest: str | None = None, plays: str | None = None
    ) -> None:
        """Verify and load; see `open_evaluator`."""
        self.manifest: Final = verify(folder, expected_digest)
        side = self.manifest.side_of(plays)
        self._session = open_session(read_checked(folder / ONNX), str(folder / ONNX), threads)
        own = self._session.get_inputs()[0].shape[-1]
        if own != side and isinstance(own, int):
            # Files of earlier programs take one size of board; the weights fit every size.
            self._session = open_session(_exported_again(folder, own, side), str(folder / ONNX), threads)

    def evaluate(
        self, planes: NDArray[np.float32], move_row: NDArray[np.int64], move_features: NDArray[np.int32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Evaluate; see Evaluator."""
        logits, values = self._session.run(
            None, {"planes": planes, "move_row": move_row, "move_features": move_features}
        )
        return logits, values


def open_session(onnx: bytes, where: str, threads: int = 1) -> onnxruntime.InferenceSession:
    """An ONNX model, ready to run; `where` names it in the error.

    Raises:
        ModelError: ONNX Runtime refuses it.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Spinning threads would take the cores of the games that wait for the result.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelError(f"{where} does not load in ONNX Runtime: {error}") from error


def _exported_again(folder: Path, own: int, side: int) -> bytes:
    """The ONNX model of a folder's weights, for every size of board."""
    try:
        from ringrift_loop.network.export import export_onnx, load_network

        net, _ = load_network(folder)
        return export_onnx(net)
    except ImportError as error:
        raise ModelError(
            f"{folder / ONNX} is of an earlier program and takes planes of {own} x {own}, not {side} x {side}; "
            f"exporting it again needs {error.name} on this machine; models made by this program take every size"
        ) from error


def _has_gpu() -> bool:
    try:
        # NVIDIA's driver. Without it there is no use for torch, which costs 1.7 s and 185 MB a process (docs/log.md).
        ctypes.CDLL("libcuda.so.1")
        import torch
    except (OSError, ImportError):
        return False
    return torch.cuda.is_available()
