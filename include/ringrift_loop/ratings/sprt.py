"""The sequential test that watches over a champion: has it turned out weaker than its predecessor?

The generalised sequential probability ratio test of two gains (Van den Bergh, "A practical introduction to the GSPRT",
as fishtest uses it): the log-likelihood ratio from mean and spread of block scores, compared with Wald's limits. It is
looked at every few blocks, in the order in which blocks are counted; the first answer stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import log
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from ringrift_loop.ratings.blocks import Evidence, evidence_of, evidence_of_counts, win_chance
from ringrift_loop.ratings.looks import block_distribution

_RUNS = 20_000
_SEED = 20_260_102

Answer = Literal["worse", "sound", "open"]


@dataclass(frozen=True)
class Sprt:
    """The gains that are told apart, and how often either is mistaken for the other."""

    elo0: float = -25.0
    """Gain of a champion that has to go."""
    elo1: float = 0.0
    """Gain of one that may stay."""
    alpha: float = 0.05
    """Share of champions with gain `elo0` that stay."""
    beta: float = 0.05
    """Share of champions with gain `elo1` that have to go."""
    look_games: int = 20
    """Between two looks, for each opponent: a win among more players is rarer, so its count is normal later."""
    most_blocks: int = 2000
    """Who has played so many without an answer stays."""

    def llr(self, evidence: Evidence) -> Any:
        """The log-likelihood ratio of `elo1` to `elo0`; of arrays of evidence an array."""
        score0, score1 = (win_chance(gain, evidence.players) for gain in (self.elo0, self.elo1))
        return evidence.blocks * (score1 - score0) * (2.0 * evidence.mean - score0 - score1) / (2.0 * evidence.variance)

    @property
    def limits(self) -> tuple[float, float]:
        """Log-likelihood ratios from which on it is `elo0`, and `elo1` (Wald 1945)."""
        return log(self.beta / (1.0 - self.alpha)), log((1.0 - self.beta) / self.alpha)

    def looks(self, players: int) -> range:
        """Blocks after which it is looked at."""
        step = -(-self.look_games * (players - 1) // players)
        return range(step, self.most_blocks + step, step)


class Watch(NamedTuple):
    """The answer, and what it rests on."""

    answer: Answer
    llr: float
    """At the look that gave the answer, or at the last one; 0 before the first."""
    blocks: int
    """Counted there."""


def watch(rule: Sprt, scores: Sequence[float], players: int) -> Watch:
    """What the rule says of block scores in their order; more blocks never change an answer."""
    low, high = rule.limits
    llr, seen = 0.0, 0
    for blocks in rule.looks(players):
        if blocks > len(scores):
            return Watch("open", llr, seen)
        llr, seen = float(rule.llr(evidence_of(np.asarray(scores[:blocks], float), players))), blocks
        if not low < llr < high:
            return Watch("worse" if llr <= low else "sound", llr, seen)
    return Watch("sound", llr, seen)


class WatchRates(NamedTuple):
    """How the rule treats champions of a known gain."""

    equal: float
    """Share of champions as strong as their predecessors that have to go."""
    worse: float
    """Share of those `elo0` weaker that have to go."""
    games_equal: float
    games_worse: float

    def sentence(self) -> str:
        """The rates for people."""
        return (
            f"an equal champion is taken back {self.equal:.1%} of the time ({self.games_equal:.0f} games on average "
            f"until the answer), one at the lower limit {self.worse:.0%} ({self.games_worse:.0f} games)"
        )


@cache
def watch_rates(rule: Sprt, players: int) -> WatchRates:
    """The rule's error rates, simulated (standard error below 0.2 points) with independent games of a block."""
    equal, games_equal = simulate(rule, players, rule.elo1)
    worse, games_worse = simulate(rule, players, rule.elo0)
    return WatchRates(equal, worse, games_equal, games_worse)


def simulate(rule: Sprt, players: int, gain: float, *, runs: int = _RUNS, seed: int = _SEED) -> tuple[float, float]:
    """Return the share of champions of this gain that have to go, and the mean number of games until the answer."""
    values, odds = block_distribution(players, gain)
    rng = np.random.default_rng(seed)
    low, high = rule.limits
    counts = np.zeros((runs, len(values)))
    gone: npt.NDArray[np.bool_] = np.zeros(runs, dtype=bool)
    games = np.zeros(runs)
    running = np.arange(runs)
    played = 0
    for blocks in rule.looks(players):
        counts[running] += rng.multinomial(blocks - played, odds, size=len(running))
        games[running], played = blocks * players, blocks
        llr = rule.llr(evidence_of_counts(counts[running], values, players))
        gone[running[llr <= low]] = True
        running = running[(llr > low) & (llr < high)]
        if not len(running):
            break
    return float(gone.mean()), float(games.mean())
