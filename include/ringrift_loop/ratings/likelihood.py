"""The logarithm of the posterior of a rating fit, with its gradient and curvature.

The parameters x are, in natural log-odds: one strength per participant, then one advantage per seat. Of a game counts
who won it, as in searches, value targets and gates; with three and four players the order of the others tells nothing.
The likelihood that item i wins among items with values v (strength + seat advantage) is Luce's

    P(i) = exp(v[i]) / sum over l of exp(v[l])

Several who share the first place have equal parts of the one win; for two players that is half a win each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


class RatedGame(NamedTuple):
    """One game of the match log, as far as ratings look at it."""

    seats: tuple[str, ...]
    """Participant per seat; one participant may hold several seats."""
    places: tuple[int, ...]
    """Finishing place per seat, 1 = first; equal places are a tie (a game cut off is one tie of all)."""


@dataclass(frozen=True, eq=False)
class Wins:
    """Distinct line-ups with a winner, and how often each was seen."""

    participant: IntArray
    """[U, P]: participant row, the winner first, then the others by seat."""
    seat: IntArray
    """[U, P]: the seat it had."""
    weight: FloatArray
    """[U]: games."""


def wins_of(counts: Mapping[RatedGame, int], rows: Mapping[str, int]) -> Wins:
    """Return the wins that the games stand for, in an order of their own, so that the same games give the same sums.

    Args:
        counts: game -> how often it occurred.
        rows: participant -> row.

    Raises:
        ValueError: a game's places are no finishing order (1, 2, 2, 4 is one; 1, 3 and 2, 2 are none).
    """
    weights: dict[tuple[tuple[int, ...], tuple[int, ...]], float] = {}
    for game, count in sorted(counts.items()):
        winners = _winners(game.places)
        for winner in winners:
            order = (winner, *(seat for seat in range(len(game.seats)) if seat != winner))
            key = (tuple(rows[game.seats[seat]] for seat in order), order)
            weights[key] = weights.get(key, 0.0) + count / len(winners)
    players = len(next(iter(weights))[0]) if weights else 2
    return Wins(
        participant=np.array([key[0] for key in weights], dtype=np.int64).reshape(-1, players),
        seat=np.array([key[1] for key in weights], dtype=np.int64).reshape(-1, players),
        weight=np.array(list(weights.values()), dtype=np.float64),
    )


def _winners(places: Sequence[int]) -> list[int]:
    """The seats that share the first place."""
    if any(place != 1 + sum(other < place for other in places) for place in places):
        raise ValueError(f"places must be a finishing order such as 1, 2, 2, 4, got {list(places)}")
    return [seat for seat, place in enumerate(places) if place == 1]


class LogLikelihood:
    """A concave function of the parameters, and its derivatives; priors are added to it term by term."""

    def __init__(self, participants: int, seats: int, wins: Wins) -> None:
        """Take the games.

        Args:
            participants: K, number of strengths.
            seats: P, number of seats.
            wins: rows below K, seats below P.
        """
        self.participants = participants
        self.seats = seats
        self.size = participants + seats
        # Each item's value is the sum of these two parameters.
        self._columns = np.stack([wins.participant, participants + wins.seat], axis=-1)
        self._weight = wins.weight
        self._draws = np.zeros((0, 2), dtype=np.int64)
        self._draw_weight = 0.0
        self._normals: list[tuple[int, float, float]] = []

    def add_draws(self, pairs: Iterable[tuple[int, int]], games: float) -> None:
        """Add that many drawn games, without seats, to each pair of participants."""
        self._draws = np.array(list(pairs), dtype=np.int64).reshape(-1, 2)
        self._draw_weight = games

    def add_normal(self, parameter: int, mean: float, stderr: float) -> None:
        """Add a normal prior to one parameter (natural log-odds)."""
        self._normals.append((parameter, mean, stderr))

    def evaluate(self, x: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        """Return the value at x, the gradient [n], and the curvature [n, n]: minus the Hessian, never negative."""
        gradient = np.zeros(self.size)
        curvature = np.zeros((self.size, self.size))
        value = _add_choice(x, self._columns, self._weight, gradient, curvature)
        if len(self._draws):
            half = np.full(len(self._draws), self._draw_weight / 2.0)
            for pair in (self._draws, self._draws[:, ::-1]):
                value += _add_choice(x, pair[:, :, None], half, gradient, curvature)
        for parameter, mean, stderr in self._normals:
            z = (x[parameter] - mean) / stderr
            value -= 0.5 * z * z
            gradient[parameter] -= z / stderr
            curvature[parameter, parameter] += 1.0 / stderr**2
        return float(value), gradient, curvature


def _add_choice(
    x: FloatArray, columns: IntArray, weight: FloatArray, gradient: FloatArray, curvature: FloatArray
) -> float:
    """Add the terms "the first of these items was chosen" and return their logarithm.

    Args:
        x: parameters [n].
        columns: [U, m, d]: the d parameters whose sum is the value of item m.
        weight: games [U].
        gradient: [n], added to.
        curvature: [n, n], added to.
    """
    values = x[columns].sum(axis=-1)
    top = values.max(axis=1, keepdims=True)
    exps = np.exp(values - top)
    total = exps.sum(axis=1, keepdims=True)
    share = exps / total
    residual = -share
    residual[:, 0] += 1.0
    depth = columns.shape[2]
    np.add.at(gradient, columns, (weight[:, None] * residual)[:, :, None].repeat(depth, axis=2))
    block = weight[:, None, None] * (share[:, :, None] * np.eye(share.shape[1]) - share[:, :, None] * share[:, None, :])
    flat = columns.reshape(len(columns), -1)
    spread = block.repeat(depth, axis=1).repeat(depth, axis=2)
    np.add.at(curvature, (flat[:, :, None], flat[:, None, :]), spread)
    return float((weight * (values[:, 0] - top[:, 0] - np.log(total[:, 0]))).sum())
