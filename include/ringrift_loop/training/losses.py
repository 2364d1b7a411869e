"""The losses of a batch, each a mean over the rows that it applies to.

Their weights are the configuration's `training.loss`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as fn

from ringrift_loop.config.schema import LossWeights
from ringrift_loop.network.model import Predictions
from ringrift_loop.training.batches import IGNORED, Batch


class TensorBatch(NamedTuple):
    """A `batches.Batch` as tensors on the training device; the same fields."""

    planes: Tensor
    move_row: Tensor
    move_features: Tensor
    policy: Tensor
    searched: Tensor
    value: Tensor
    owner: Tensor
    score: Tensor
    moves_left: Tensor
    share: Tensor

    @classmethod
    def of(cls, batch: Batch, device: torch.device) -> TensorBatch:
        """The batch on a device; planes cell by cell, which convolutions are faster on."""
        tensors = cls(*(torch.from_numpy(array).to(device) for array in batch))
        return tensors._replace(planes=tensors.planes.contiguous(memory_format=torch.channels_last))


class Losses(NamedTuple):
    """Scalars; `total` is their weighted sum, scaled by the batch's `share`."""

    total: Tensor
    policy: Tensor
    """Cross-entropy with the search's distribution less the distribution's own entropy, nats; full searches only."""
    value: Tensor
    """Cross-entropy with the target share less the target's entropy, nats."""
    owner: Tensor
    """Cross-entropy of the final owner, mean over cells, nats."""
    score: Tensor
    """Huber loss of the final territory and eliminated rings."""
    moves_left: Tensor
    """Huber loss of log2(1 + plies until the end)."""


def compute_losses(predictions: Predictions, batch: TensorBatch, weights: LossWeights) -> Losses:
    """The losses of a batch.

    Policy and value are divergences from their targets: 0 is perfect, and figures of windows with different targets
    compare.
    """
    policy = policy_divergence(predictions.policy, batch)
    value = value_divergence(predictions.value, batch.value).mean()
    owner = fn.cross_entropy(predictions.owner, batch.owner, ignore_index=IGNORED)
    # Absent seats are 0 in the target and take no part; their number is that of seats that cannot have a share.
    present = (predictions.value > -1e3).to(predictions.score.dtype)[:, :, None]
    score = (fn.smooth_l1_loss(predictions.score, batch.score, reduction="none") * present).sum() / (
        present.sum() * predictions.score.shape[2]
    )
    moves_left = fn.smooth_l1_loss(predictions.moves_left, batch.moves_left)
    by_row = weights.value * value + weights.owner * owner + weights.score * score + weights.moves_left * moves_left
    # The policy loss is a mean over full searches, of which another process's part of the batch has another number.
    total = weights.policy * batch.share[1] * policy + batch.share[0] * by_row
    return Losses(total, policy, value, owner, score, moves_left)


def policy_divergence(logits: Tensor, batch: TensorBatch) -> Tensor:
    """Mean Kullback-Leibler divergence over the batch's full searches; 0 if it has none. `logits` is [T]."""
    return _per_move(logits, batch).sum() / batch.searched.sum().clamp(min=1.0)


def policy_divergences(logits: Tensor, batch: TensorBatch) -> Tensor:
    """Kullback-Leibler divergence of each of the batch's rows, [B]; 0 where there was no full search."""
    per_move = _per_move(logits, batch)
    return torch.zeros(len(batch.searched), dtype=per_move.dtype).index_add(0, batch.move_row, per_move)


def _per_move(logits: Tensor, batch: TensorBatch) -> Tensor:
    target = batch.policy
    return torch.xlogy(target, target) - target * log_softmax_by_row(logits, batch.move_row, len(batch.searched))


def value_divergence(logits: Tensor, target: Tensor) -> Tensor:
    """Kullback-Leibler divergence [B] of the predicted shares [B, 4] from the target [B, 4]."""
    return (torch.xlogy(target, target) - target * fn.log_softmax(logits, 1)).sum(1)


def log_softmax_by_row(logits: Tensor, move_row: Tensor, rows: int) -> Tensor:
    """Log-probabilities [T]: a softmax over the moves of each of the `rows` states."""
    highest = torch.full((rows,), -torch.inf, dtype=logits.dtype, device=logits.device)
    highest = highest.scatter_reduce(0, move_row, logits.detach(), "amax")
    shifted = logits - highest.index_select(0, move_row)
    sums = torch.zeros(rows, dtype=logits.dtype, device=logits.device).index_add(0, move_row, shifted.exp())
    return shifted - sums.log().index_select(0, move_row)
