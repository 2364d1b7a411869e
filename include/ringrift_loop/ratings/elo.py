"""Ratings as a pure function of the match log: how strong each participant is, and how sure that is.

A rating tells how likely its holder is to win, and nothing else: the winner is Luce's choice among the seats (Luce
1959, the first stage of Plackett and Luce's model), of which Bradley-Terry is the case of two. Every seat has an
advantage of its own. Some participants are anchors with a rating fixed for ever; every other is estimated, with a prior
of a few drawn games against its parent. The estimate is the mode of the posterior (Newton's method), its errors are the
inverse of the curvature there, and the error of a *difference* comes from that whole matrix. Nothing depends on the
order of the games. The sums are in likelihood.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import log, sqrt
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ringrift_loop.ratings.likelihood import LogLikelihood, RatedGame, wins_of

ELO_PER_NAT = 400.0 / log(10.0)
"""One unit of log-odds in Elo."""

_MAX_STEPS = 200
_TOLERANCE = 1e-9

FloatArray = npt.NDArray[np.float64]


class Difference(NamedTuple):
    """How much stronger one participant is than another."""

    gain: float
    """Elo."""
    stderr: float
    """Standard error of the gain, Elo, from the covariance of both ratings."""

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Lower and upper limit of the gain, Elo."""
        half = NormalDist().inv_cdf(0.5 + confidence / 2) * self.stderr
        return self.gain - half, self.gain + half


@dataclass(frozen=True)
class Priors:
    """What is assumed before any game is seen."""

    parent_draws: float = 3.0
    """Drawn games between a model and its parent: a new net is probably about as strong (2 to 4: Lc0, OpenBench)."""
    free_stderr: float = 800.0
    """Elo; spread around the mean anchor of participants without a parent. Keeps a 100:0 score finite."""
    seat_stderr: float = 100.0
    """Elo; spread of the seat advantages around none."""


@dataclass(frozen=True, eq=False)
class RatingTable:
    """The ratings of one variant."""

    participants: tuple[str, ...]
    """Sorted; K of them."""
    ratings: FloatArray
    """Elo [K]."""
    covariance: FloatArray
    """Elo squared [K, K]; rows and columns of anchors are zero."""
    games: Mapping[str, int]
    """Games each took part in."""
    seat_advantages: tuple[float, ...]
    """Elo per seat, sum zero."""

    @property
    def players(self) -> int:
        """Seats of a game."""
        return len(self.seat_advantages)

    def __contains__(self, participant: object) -> bool:
        return participant in self.participants

    def index(self, participant: str) -> int:
        """Row of a participant; KeyError if it is not in the table."""
        try:
            return self.participants.index(participant)
        except ValueError:
            raise KeyError(f"{participant!r} has no rating; rated are {', '.join(self.participants)}") from None

    def elo(self, participant: str) -> float:
        """The participant's rating, Elo."""
        return float(self.ratings[self.index(participant)])

    def stderr(self, participant: str) -> float:
        """Standard error of the rating relative to the anchors, Elo."""
        row = self.index(participant)
        return sqrt(max(0.0, float(self.covariance[row, row])))

    def difference(self, a: str, b: str) -> Difference:
        """How much stronger `a` is than `b`."""
        i, j = self.index(a), self.index(b)
        cov = self.covariance
        variance = float(cov[i, i] + cov[j, j] - 2.0 * cov[i, j])
        return Difference(float(self.ratings[i] - self.ratings[j]), sqrt(max(0.0, variance)))


def fit(
    games: Iterable[RatedGame],
    *,
    anchors: Mapping[str, float],
    parents: Mapping[str, str] | None = None,
    priors: Priors | None = None,
) -> RatingTable:
    """Return the ratings that the games of one variant imply.

    Args:
        games: in any order; all with the same number of seats.
        anchors: Elo of the fixed participants; without any the scale floats around 0, held by the priors alone.
        parents: participant -> the participant it was trained from. An entry whose parent plays in no game is ignored.
        priors: default `Priors()`.

    Raises:
        ValueError: games of different numbers of players, or places that are no finishing order.
    """
    priors = priors or Priors()
    counts = Counter(games)
    seats = {len(game.seats) for game in counts} or {2}
    if len(seats) > 1:
        raise ValueError(f"games of one variant have one number of seats, got {sorted(seats)}")
    names = tuple(sorted({name for game in counts for name in game.seats} | set(anchors)))
    rows = {name: row for row, name in enumerate(names)}
    likelihood = LogLikelihood(len(names), seats.pop(), wins_of(counts, rows))
    _add_priors(likelihood, rows, anchors, parents or {}, priors)
    start = np.zeros(likelihood.size)
    free = np.ones(likelihood.size, dtype=bool)
    for name, elo in anchors.items():
        start[rows[name]] = elo / ELO_PER_NAT
        free[rows[name]] = False
    return _table(names, counts, likelihood, *_maximise(likelihood, start, free))


def _add_priors(
    likelihood: LogLikelihood,
    rows: Mapping[str, int],
    anchors: Mapping[str, float],
    parents: Mapping[str, str],
    priors: Priors,
) -> None:
    centre = sum(anchors.values()) / max(1, len(anchors)) / ELO_PER_NAT
    pairs = []
    for name, row in rows.items():
        if name in anchors:
            continue
        parent = parents.get(name, name)
        if parent in rows and parent != name:
            pairs.append((row, rows[parent]))
        else:
            likelihood.add_normal(row, centre, priors.free_stderr / ELO_PER_NAT)
    likelihood.add_draws(pairs, priors.parent_draws)
    for seat in range(likelihood.seats):
        likelihood.add_normal(likelihood.participants + seat, 0.0, priors.seat_stderr / ELO_PER_NAT)


def _maximise(
    likelihood: LogLikelihood, start: FloatArray, free: npt.NDArray[np.bool_]
) -> tuple[FloatArray, FloatArray]:
    """Newton's method with step halving: the mode, and the inverse curvature (zero where not free)."""
    x = start.copy()
    value, gradient, curvature = likelihood.evaluate(x)
    for _ in range(_MAX_STEPS):
        inner = curvature[np.ix_(free, free)]
        step = np.linalg.solve(inner, gradient[free]) if free.any() else np.zeros(0)
        if not free.any() or float(np.abs(step).max()) < _TOLERANCE:
            break
        scale = 1.0
        while scale > 1e-6:
            trial = x.copy()
            trial[free] += scale * step
            trial_value, trial_gradient, trial_curvature = likelihood.evaluate(trial)
            # Close to the mode the gain drowns in rounding: accept it then.
            if trial_value >= value - 1e-9 * abs(value):
                break
            scale /= 2.0
        x, value, gradient, curvature = trial, trial_value, trial_gradient, trial_curvature
    else:
        raise ArithmeticError(f"the rating fit did not converge in {_MAX_STEPS} steps")
    covariance = np.zeros((likelihood.size, likelihood.size))
    if free.any():
        inverse = np.linalg.inv(curvature[np.ix_(free, free)])
        covariance[np.ix_(free, free)] = (inverse + inverse.T) / 2.0
    return x, covariance


def _table(
    names: tuple[str, ...],
    counts: Mapping[RatedGame, int],
    likelihood: LogLikelihood,
    mode: FloatArray,
    covariance: FloatArray,
) -> RatingTable:
    games = dict.fromkeys(names, 0)
    for game, number in counts.items():
        for name in set(game.seats):
            games[name] += number
    k = likelihood.participants
    seat = mode[k:] - mode[k:].mean()
    return RatingTable(
        participants=names,
        ratings=mode[:k] * ELO_PER_NAT,
        covariance=covariance[:k, :k] * ELO_PER_NAT**2,
        games=games,
        seat_advantages=tuple(float(s) * ELO_PER_NAT for s in seat),
    )
