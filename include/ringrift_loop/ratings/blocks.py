"""Results of two participants against each other, block by block: the evidence that gates judge.

A block is one opening, played once with the one participant in every seat and the other in all remaining seats. Its
games share the opening, so the block, not the game, is the sampling unit (with two players this is the pentanomial
model of fishtest). The figure of a game is the participant's share of the win: its expectation over a block is one over
the number of players when both are equally strong, whatever the seats are worth. Second and later places count nowhere.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from ringrift_loop.ratings.elo import ELO_PER_NAT, Difference

FloatArray = npt.NDArray[np.float64]
_Z95 = 1.96


class BlockGame(Protocol):
    """What is needed of a match."""

    @property
    def block(self) -> str:
        """The block it belongs to."""

    @property
    def seats(self) -> Sequence[str]:
        """Participant per seat."""

    @property
    def places(self) -> Sequence[int]:
        """Finishing place per seat."""


class Evidence(NamedTuple):
    """Mean and spread of block scores; numbers, or arrays of them for many simulated matches at once."""

    blocks: Any
    mean: Any
    """Share of the games won, 0..1; one over the number of players is equal strength."""
    variance: Any
    """Of one block's score."""
    players: int
    """The participant and its opponents, 2 to 4."""

    @property
    def stderr(self) -> Any:
        """Standard error of the mean."""
        return np.sqrt(self.variance / self.blocks)


def share_won(places: Sequence[int], seat: int) -> float:
    """Share of the win that a seat has: 1 when it alone is first, a part where several are."""
    return 1.0 / places.count(1) if places[seat] == 1 else 0.0


def block_scores(games: Iterable[BlockGame], participant: str, opponent: str) -> FloatArray:
    """Return the participant's share of the wins in every complete block, sorted by block: float64 [B].

    A block is complete when the participant sat alone in each seat once, with the opponent in all others; games of
    other line-ups are left out.
    """
    scores: dict[str, dict[int, float]] = defaultdict(dict)
    players: dict[str, int] = {}
    for game in games:
        own = [seat for seat, name in enumerate(game.seats) if name == participant]
        if len(own) == 1 and all(name == opponent for seat, name in enumerate(game.seats) if seat != own[0]):
            scores[game.block][own[0]] = share_won(game.places, own[0])
            players[game.block] = len(game.seats)
    complete = (seats for block, seats in sorted(scores.items()) if len(seats) == players[block])
    return np.array([sum(seats.values()) / len(seats) for seats in complete])


class WinShare(NamedTuple):
    """How often a participant won, with its 95 % interval."""

    games: int
    share: float
    low: float
    high: float


def win_share(games: Iterable[BlockGame], participant: str, opponent: str, players: int) -> WinShare:
    """Return the participant's share of the wins of complete blocks against copies of the opponent.

    The interval is from the blocks, with the two virtual ones of `evidence_of`: winning every game of a few proves
    little. Without a complete block it is all of 0..1.
    """
    scores = block_scores(games, participant, opponent)
    if not len(scores):
        return WinShare(0, 0.0, 0.0, 1.0)
    share, evidence = float(scores.mean()), evidence_of(scores, players)
    low, high = (float(evidence.mean + side * _Z95 * evidence.stderr) for side in (-1.0, 1.0))
    return WinShare(len(scores) * players, share, min(share, max(0.0, low)), max(share, min(1.0, high)))


def evidence_of(scores: FloatArray, players: int) -> Evidence:
    """Return the evidence in block scores [B], B may be 0.

    Two virtual blocks are added, of which an equal player's share is won and the rest lost: the estimate stays finite
    after a clean sweep, the spread stays above zero when all blocks ended alike, and two blocks weigh nothing against
    the hundred games of the first look.
    """
    return evidence_of_counts(np.ones_like(scores), scores, players)


def evidence_of_counts(counts: FloatArray, values: FloatArray, players: int) -> Evidence:
    """Return the evidence in counts [..., V] of blocks with the scores `values` [V]; see `evidence_of`."""
    won = 2.0 / players
    blocks = counts.sum(axis=-1) + 2.0
    mean = (counts @ values + won) / blocks
    square = (counts @ values**2 + won) / blocks
    return Evidence(blocks, mean, square - mean**2, players)


def win_chance(gain: float, players: int) -> float:
    """Return the probability of winning against `players` - 1 equal opponents, each `gain` Elo weaker."""
    return float(1.0 / (1.0 + (players - 1) * np.exp(-gain / ELO_PER_NAT)))


def gain_of(evidence: Evidence) -> Difference:
    """Return the Elo gain that the evidence shows (arrays in, arrays out), its error by the delta method."""
    slope = ELO_PER_NAT / (evidence.mean * (1.0 - evidence.mean))
    gain = ELO_PER_NAT * np.log((evidence.players - 1) * evidence.mean / (1.0 - evidence.mean))
    return Difference(gain, evidence.stderr * slope)
