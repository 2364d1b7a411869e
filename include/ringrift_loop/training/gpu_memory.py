"""How many rows of a batch a GPU takes at once, from the memory that is free on it.

A batch that does not fit is taken in pieces, halved until one fits. Their gradients add up to the whole batch's, so the
schedule, the samples and, but for rounding, the result stay what they were.
"""

from __future__ import annotations

import logging

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ringrift_loop.config.schema import Training
from ringrift_loop.errors import JobOutOfMemory
from ringrift_loop.training.losses import TensorBatch, compute_losses

_log = logging.getLogger(__name__)

SAMPLE_ROWS = 32
KEPT_SHARE = 0.1
"""Of the card, that is left to others: as `resource_targets.gpu_memory_critical` has it."""
_COPIES = 8
"""Of the weights: themselves, gradients and the team's buckets of them, two moments, average, best, one in passing."""
_BACKWARD = 2.0
"""What a step takes beside what the forward pass keeps: gradients of the activations, workspaces, fragments."""
_MIB = 1 << 20


def kept_bytes_a_row(net: nn.Module, batch: TensorBatch, settings: Training) -> float:
    """What the forward pass keeps for the backward pass, bytes a row; measured on the batch, where it lies."""
    kept: dict[int, Tensor] = {}  # by storage, several tensors may share one; held, or its place would be used again

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    net.train()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        losses = compute_losses(net(*batch[:3]), batch, settings.loss)
    for parameter in net.parameters():
        kept.pop(parameter.untyped_storage().data_ptr(), None)
    del losses
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values()) / len(batch.planes)


def needed_bytes(net: nn.Module, row_bytes: float, rows: int) -> int:
    """What a training needs on its GPU with so many rows at once."""
    weights = sum(parameter.numel() * parameter.element_size() for parameter in net.parameters())
    return int(_COPIES * weights + _BACKWARD * row_bytes * rows)


def pieces_that_fit(net: nn.Module, row_bytes: float, rows: int, *, free: int, total: int) -> int:
    """In how many pieces a GPU takes `rows` rows: 1, 2, 4, ...

    Args:
        net: the network.
        row_bytes: see `kept_bytes_a_row`.
        rows: of the batch, or of this process's part of it.
        free: bytes that nobody uses.
        total: bytes of the GPU.

    Raises:
        JobOutOfMemory: not even one row fits.
    """
    room = free - int(KEPT_SHARE * total)
    pieces = 1
    while (needed := needed_bytes(net, row_bytes, -(-rows // pieces))) > room:
        if pieces >= rows:
            raise JobOutOfMemory(
                f"a single row needs {needed // _MIB} MiB, of {free // _MIB} MiB that are free of the GPU's "
                f"{total // _MIB}, {max(0, room) // _MIB} may be used; free some, or use a smaller network"
            )
        pieces = min(2 * pieces, rows)
    at_once = -(-rows // pieces)
    text = "%d rows at once: %d MiB of the GPU's %d, %d are free"
    if pieces > 1:
        _log.warning(
            f"{text}; a batch of %d rows is taken in %d pieces", at_once, *_mib(needed, total, free), rows, pieces
        )
    else:
        _log.info(text, at_once, *_mib(needed, total, free))
    return pieces


def sample_rows(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """An even choice of a few rows."""
    return rows[np.linspace(0, len(rows) - 1, min(len(rows), SAMPLE_ROWS)).astype(np.int64)]


def _mib(*numbers: int) -> list[int]:
    return [number // _MIB for number in numbers]
