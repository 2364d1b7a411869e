"""The confidence rule of the champion gate: judge at a few fixed numbers of games, and know how often that errs.

At each look the candidate is accepted when the posterior probability of a gain above zero reaches `confidence` and
the point criteria hold. The posterior has a normal prior around no gain: successive nets are tens of Elo apart, so a
large gain seen in few games is mostly luck, and without the prior the looks would accept twice as many equal models.
A candidate is rejected early when a gain worth having has become unlikely. Games that would tell small gains from none
cost more than the next training, which goes on from a rejected candidate and adds to its gain (docs/2-architecture.md).
`error_rates` plays the rule itself many times against a known gain; the gate prints the result.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, reduce
from statistics import NormalDist
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from ringrift_loop.ratings.blocks import Evidence, evidence_of_counts, gain_of
from ringrift_loop.ratings.elo import ELO_PER_NAT

REFERENCE_GAIN = 25.0
"""Elo; the gain for which the power is stated and below which nobody would miss a candidate."""

_RUNS = 50_000
_SEED = 20_260_101


@dataclass(frozen=True)
class LooksRule:
    """When the champion gate looks, and what it asks for."""

    looks: tuple[int, ...] = (100, 200, 400, 800)
    """Games after which the result is judged, rising; rounded up to whole blocks."""
    confidence: float = 0.975
    elo_threshold: float = 0.0
    """Least gain as a point estimate, Elo."""
    min_games: int = 0
    gain_prior: float = 30.0
    """Elo; spread of the gains of candidates, around zero."""
    futility: float = 0.1
    """Reject once a gain of REFERENCE_GAIN would look this bad with this probability only; 0: never."""

    def blocks(self, look: int, players: int) -> int:
        """Blocks played at a look: enough for its games, in every seat."""
        return -(-self.looks[look] // players)

    def certainty(self, evidence: Evidence) -> Any:
        """Return how many standard deviations the posterior mean of the gain lies above zero; arrays give arrays.

        By the share of the wins, on which the prior is as wide as near no gain. In Elo the error grows without limit
        towards a clean sweep, and the prior would take a candidate that wins every game for a lucky one.
        """
        fair = 1.0 / evidence.players
        prior = self.gain_prior * fair * (1.0 - fair) / ELO_PER_NAT
        return (evidence.mean - fair) / evidence.stderr * prior / np.sqrt(prior**2 + evidence.stderr**2)

    def judge(self, look: int, games: int, evidence: Evidence) -> Judgement:
        """Return what the rule says at a look; arrays of evidence give arrays of verdicts.

        Args:
            look: index into `looks`.
            games: games played.
            evidence: of the complete blocks among them.
        """
        gain, stderr = gain_of(evidence)
        confident = self.certainty(evidence) >= NormalDist().inv_cdf(self.confidence)
        accepted = np.logical_and(confident, (gain >= self.elo_threshold) & (games >= self.min_games))
        hopeless = np.full_like(accepted, look == len(self.looks) - 1)
        if self.futility > 0.0:
            hopeless |= (gain - REFERENCE_GAIN) / stderr < NormalDist().inv_cdf(self.futility)
        return Judgement(accepted, ~accepted & hopeless)


class Judgement(NamedTuple):
    """A verdict at one look, or arrays of them; neither means: go on."""

    accepted: npt.NDArray[np.bool_]
    rejected: npt.NDArray[np.bool_]

    @property
    def verdict(self) -> Literal["accept", "reject", "continue"]:
        """The verdict on a single match."""
        if bool(self.accepted):
            return "accept"
        return "reject" if bool(self.rejected) else "continue"


class ErrorRates(NamedTuple):
    """How the rule treats candidates of a known gain."""

    false_promotion: float
    """Share of equal models that are accepted."""
    power: float
    """Share of models REFERENCE_GAIN stronger that are accepted."""
    games_equal: float
    """Mean games for an equal model."""
    games_reference: float
    """Mean games for one REFERENCE_GAIN stronger."""

    def sentence(self) -> str:
        """The rates for people."""
        return (
            f"with these settings an equal model passes {self.false_promotion:.1%} of the time"
            f" ({self.games_equal:.0f} games on average), a +{REFERENCE_GAIN:.0f} model {self.power:.0%}"
            f" ({self.games_reference:.0f} games)"
        )


@cache
def error_rates(rule: LooksRule, players: int) -> ErrorRates:
    """Return the rule's error rates, simulated (standard error below 0.2 points) with independent games of a block."""
    equal, games_equal = simulate(rule, players, 0.0)
    power, games_reference = simulate(rule, players, REFERENCE_GAIN)
    return ErrorRates(equal, power, games_equal, games_reference)


def simulate(
    rule: LooksRule, players: int, gain: float, *, runs: int = _RUNS, seed: int = _SEED
) -> tuple[float, float]:
    """Return the share of runs accepted, and the mean number of games, for a candidate of this gain in Elo."""
    values, odds = block_distribution(players, gain)
    rng = np.random.default_rng(seed)
    counts = np.zeros((runs, len(values)))
    accepted = np.zeros(runs, dtype=bool)
    games = np.zeros(runs)
    running = np.ones(runs, dtype=bool)
    played = 0
    for look in range(len(rule.looks)):
        blocks = rule.blocks(look, players)
        counts[running] += rng.multinomial(blocks - played, odds, size=int(running.sum()))
        games[running] = blocks * players
        played = blocks
        judgement = rule.judge(look, blocks * players, evidence_of_counts(counts, values, players))
        accepted |= running & judgement.accepted
        running &= ~(judgement.accepted | judgement.rejected)
    return float(accepted.mean()), float(games.mean())


def block_distribution(players: int, gain: float) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Possible shares of a block's games won, and their probabilities against players - 1 equal opponents."""
    strength = float(np.exp(gain / ELO_PER_NAT))
    won = strength / (strength + (players - 1))
    block = reduce(np.convolve, [np.array([1.0 - won, won])] * players)
    return np.arange(len(block)) / (len(block) - 1), block
