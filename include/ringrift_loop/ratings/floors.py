"""The rule of the regression gate's games: does a model win more than a floor, found out with as few games as may be.

The plain test plays all games and passes with more wins than the floor asks for. This one looks after each fifth of
them and stops where the rest would hardly change that verdict: it asks how likely so many wins so early are, or so few,
if the plain test ended just on the other side. That is a matter of the order in which wins and losses come, which no
strength has a part in (a sequential conditional probability ratio test, Xiong 1995, JASA 90), so that the error rates
stay those of the plain test, whoever plays. `error_rates` has both, exact for games that are independent.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import exp, inf, lgamma
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

DISCORD = 0.02
"""A look stops where the plain test would end otherwise with this probability at most."""
LOOKS = 5

FloatArray = npt.NDArray[np.float64]
Verdict = Literal["pass", "fail", "continue"]


@dataclass(frozen=True)
class FloorRule:
    """When the games against a baseline may stop, and with which verdict."""

    games: int
    """Of the plain test; rounded up to whole blocks."""
    players: int
    floor: float
    """Share of the games that must be exceeded, 0 to below 1."""

    @property
    def looks(self) -> tuple[int, ...]:
        """Games after which the result is judged, rising, in whole blocks; the last are all."""
        blocks = -(-self.games // self.players)
        return tuple(sorted({-(-blocks * look // LOOKS) * self.players for look in range(1, LOOKS + 1)}))

    @property
    def need(self) -> int:
        """Wins among all games with which the plain test passes."""
        games = self.looks[-1]
        # By the quotients, as it is judged: the product .58 * 100 is a little less than 58.
        return next(wins for wins in range(games + 1) if wins / games > self.floor)

    def judge(self, games: int, wins: int) -> Verdict:
        """What the rule says after so many games.

        Raises:
            ValueError: it does not look there.
        """
        if games not in self.looks or not 0 <= wins <= games:
            raise ValueError(f"the rule looks after {self.looks} games, got {wins} wins of {games}")
        too_few, enough = _bounds(self)[self.looks.index(games)]
        return "fail" if wins <= too_few else "pass" if wins >= enough else "continue"


class ErrorRates(NamedTuple):
    """How the rule treats models of a known strength, beside the test that plays all games."""

    strong: float
    """The share of wins, half-way from the floor to all games, for which the power is stated."""
    at_floor: float
    """Share of models that win just the floor and pass."""
    at_floor_plain: float
    power: float
    """Share of models that win `strong` and pass."""
    power_plain: float
    games_strong: float
    """Mean games for one that wins `strong`."""
    games: int
    """Of the plain test."""

    def sentence(self) -> str:
        """The rates for people."""
        return (
            f"a model that wins just the floor passes {self.at_floor:.1%} of the time (after all {self.games} games "
            f"{self.at_floor_plain:.1%}), one that wins {self.strong:.0%} passes {self.power:.1%} "
            f"({self.power_plain:.1%}) after {self.games_strong:.0f} games on average"
        )


@cache
def error_rates(rule: FloorRule) -> ErrorRates:
    """The rule's error rates, exact for independent games."""
    strong = (1.0 + rule.floor) / 2.0
    at_floor, _ = passes(rule, rule.floor)
    power, games = passes(rule, strong)
    plain = [float(_binomial(rule.looks[-1], share)[rule.need :].sum()) for share in (rule.floor, strong)]
    return ErrorRates(strong, at_floor, plain[0], power, plain[1], games, rule.looks[-1])


def passes(rule: FloorRule, share: float) -> tuple[float, float]:
    """The probability that a model which wins this share of its games passes, and the mean number of games."""
    running = np.ones(1)
    passed = mean = 0.0
    played = 0
    for games, (too_few, enough) in zip(rule.looks, _bounds(rule), strict=True):
        mean += (games - played) * float(running.sum())
        running, played = np.convolve(running, _binomial(games - played, share)), games
        wins = np.arange(len(running))
        passed += float(running[wins >= enough].sum())
        running = np.where((wins > too_few) & (wins < enough), running, 0.0)
    return passed, mean


@cache
def _bounds(rule: FloorRule) -> tuple[tuple[int, int], ...]:
    """For each look the most wins with which it fails, and the fewest with which it passes; -1 and games + 1: none."""
    total, need = rule.looks[-1], rule.need
    bounds = []
    for games in rule.looks:
        few = np.cumsum(_early_wins(total, need, games))
        many = np.cumsum(_early_wins(total, need - 1, games)[::-1])[::-1]
        bounds.append((int((few <= DISCORD).sum()) - 1, games + 1 - int((many <= DISCORD).sum())))
    return (*bounds[:-1], (need - 1, need))


def _early_wins(total: int, wins: int, games: int) -> FloatArray:
    """Probability of 0 to `games` wins in the first games when all `total` hold `wins`, in any order [games + 1]."""
    if not 0 <= wins <= total:  # such an end does not exist: nothing stops a look from deciding
        return np.zeros(games + 1)
    early = range(games + 1)
    every = _log_choose(total, games)
    return np.array([exp(_log_choose(wins, k) + _log_choose(total - wins, games - k) - every) for k in early])


def _log_choose(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) if 0 <= k <= n else -inf


def _binomial(games: int, share: float) -> FloatArray:
    """Probability of 0 to `games` wins [games + 1]."""
    if share in (0.0, 1.0):
        certain: FloatArray = np.eye(games + 1)[round(share) * games]
        return certain
    wins = np.arange(games + 1)
    logs = np.array([_log_choose(games, k) for k in wins.tolist()])
    odds: FloatArray = np.exp(logs + wins * np.log(share) + (games - wins) * np.log1p(-share))
    return odds
