"""Measuring a candidate on rows of its training games and of the holdout (`ratings/holdout.py`)."""

from __future__ import annotations

from collections.abc import Iterator
from math import hypot
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ringrift_loop.network.model import RingRiftNet
from ringrift_loop.ratings.holdout import Gap, Holdout
from ringrift_loop.training.batches import BatchMaker
from ringrift_loop.training.losses import TensorBatch, policy_divergences, value_divergence
from ringrift_loop.training.targets import by_game
from ringrift_loop.training.window import Window

_ROWS = 2048
_BATCH = 128


def compare_holdout(net: RingRiftNet, maker: BatchMaker, window: Window) -> Holdout:
    """Measure a network on an even choice of rows of the training games and of the holdout.

    Args:
        net: on the CPU; evaluated, not changed.
        maker: makes batches of the window, with the value targets that the training had.
        window: what the network was trained on.
    """
    net.eval()
    train, holdout = (_measured(net, maker, window, window.row_numbers(validation=side)) for side in (False, True))
    return Holdout(
        train_games=train.value.games,
        games=holdout.value.games,
        policy=_gap(train.policy, holdout.policy),
        value=_gap(train.value, holdout.value),
    )


class _Head(NamedTuple):
    loss: float
    guess: float
    error: float
    games: int


class _Side(NamedTuple):
    policy: _Head
    value: _Head


def _gap(train: _Head, holdout: _Head) -> Gap:
    return Gap(train.loss, holdout.loss, holdout.guess, hypot(train.error, holdout.error))


def _measured(net: RingRiftNet, maker: BatchMaker, window: Window, rows: NDArray[np.int64]) -> _Side:
    chosen = rows[np.linspace(0, len(rows) - 1, min(len(rows), _ROWS)).astype(np.int64)]
    parts = list(_losses(net, maker, chosen))
    policy, even_policy, value, even_value = (np.concatenate(part) for part in zip(*parts, strict=True))
    game, searched = window.game[chosen], window.searched[chosen] == 1
    return _Side(
        _head(policy[searched], even_policy[searched], game[searched], window.num_games),
        _head(value, even_value, game, window.num_games),
    )


def _losses(net: RingRiftNet, maker: BatchMaker, rows: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.float64], ...]]:
    """Of each row: its policy loss, that of an even guess, its value loss, that of an even guess."""
    for at in range(0, len(rows), _BATCH):
        part = rows[at : at + _BATCH]
        batch = TensorBatch.of(maker.make(part, np.zeros(len(part), np.int64)), torch.device("cpu"))
        with torch.inference_mode():
            said = net(*batch[:3])
            # Logits that are all alike are an even guess; absent seats keep theirs, which is out of reach.
            even = torch.where(said.value > -1e3, 0.0, said.value)
            losses = (
                policy_divergences(said.policy, batch),
                policy_divergences(torch.zeros_like(said.policy), batch),
                value_divergence(said.value, batch.value),
                value_divergence(even, batch.value),
            )
        yield tuple(loss.double().numpy() for loss in losses)


def _head(loss: NDArray[np.float64], guess: NDArray[np.float64], game: NDArray[np.int32], games: int) -> _Head:
    if len(loss) == 0:
        return _Head(0.0, 0.0, 0.0, 0)
    mean, found = float(loss.mean()), by_game(loss, game, games)
    return _Head(mean, float(guess.mean()), found.error(mean), int((found.rows > 0).sum()))
