from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from ringrift_loop.config.schema import LossWeights
from ringrift_loop.network.model import ABSENT, Predictions
from ringrift_loop.training.losses import (
    TensorBatch,
    compute_losses,
    log_softmax_by_row,
    policy_divergence,
    value_divergence,
)

ROW = torch.tensor([0, 0, 0, 1, 1, 2])
LOGITS = torch.tensor([0.3, -1.0, 2.0, 50.0, 48.0, 7.0])


def _batch(policy: Tensor, searched: Tensor) -> TensorBatch:
    rows = len(searched)
    return TensorBatch(
        planes=torch.zeros(rows, 1, 2, 2),
        move_row=ROW,
        move_features=torch.zeros(len(ROW), 6),
        policy=policy,
        searched=searched,
        value=torch.tensor([[1.0, 0.0, 0.0, 0.0]]).repeat(rows, 1),
        owner=torch.zeros(rows, 4, dtype=torch.int64),
        score=torch.full((rows, 4, 2), 0.5),
        moves_left=torch.full((rows,), 3.0),
        share=torch.ones(2),
    )


def test_each_states_moves_have_a_softmax_of_their_own() -> None:
    probabilities = log_softmax_by_row(LOGITS, ROW, 3).exp().numpy()
    for row in range(3):
        part = LOGITS[row == ROW].numpy().astype(np.float64)
        expected = np.exp(part - part.max()) / np.exp(part - part.max()).sum()
        np.testing.assert_allclose(probabilities[ROW.numpy() == row], expected, rtol=1e-5)


def test_a_policy_equal_to_its_target_loses_nothing() -> None:
    target = log_softmax_by_row(LOGITS, ROW, 3).exp()
    assert float(policy_divergence(LOGITS, _batch(target, torch.ones(3)))) == pytest.approx(0.0, abs=1e-6)


def test_only_full_searches_count_for_the_policy() -> None:
    target = torch.tensor([0.0, 1.0, 0.0, 0.0, 0.0, 0.0])
    loss = policy_divergence(LOGITS, _batch(target, torch.tensor([1.0, 0.0, 0.0])))
    assert float(loss) == pytest.approx(-float(torch.log_softmax(LOGITS[:3], 0)[1]), rel=1e-5)
    assert float(policy_divergence(LOGITS, _batch(torch.zeros(6), torch.zeros(3)))) == 0.0


def test_the_value_of_absent_seats_does_not_matter() -> None:
    logits = torch.tensor([[0.4, -0.2, ABSENT, ABSENT]])
    target = torch.tensor([[0.25, 0.75, 0.0, 0.0]])
    p = torch.softmax(logits[0, :2], 0)
    expected = 0.25 * torch.log(0.25 / p[0]) + 0.75 * torch.log(0.75 / p[1])
    assert float(value_divergence(logits, target)[0]) == pytest.approx(float(expected), rel=1e-5)


def test_the_total_is_the_weighted_sum_and_scores_of_absent_seats_are_left_out() -> None:
    batch = _batch(torch.tensor([0.2, 0.3, 0.5, 0.6, 0.4, 1.0]), torch.ones(3))
    score = torch.full((3, 4, 2), 0.5)
    score[:, 2:] = 9.0
    value = torch.tensor([[0.1, 0.2, ABSENT, ABSENT]]).repeat(3, 1)
    predictions = Predictions(LOGITS, value, torch.zeros(3, 5, 4), score, torch.full((3,), 3.5))
    weights = LossWeights(policy=1.0, value=2.0, owner=3.0, score=4.0, moves_left=5.0)
    losses = compute_losses(predictions, batch, weights)
    assert float(losses.score) == 0.0
    assert float(losses.owner) == pytest.approx(np.log(5), rel=1e-5)
    assert float(losses.moves_left) == pytest.approx(0.125)
    expected = losses.policy + 2 * losses.value + 3 * losses.owner + 4 * losses.score + 5 * losses.moves_left
    assert float(losses.total) == pytest.approx(float(expected))
