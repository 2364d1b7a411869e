"""Who meets whom in a shadow tournament.

Ten blocks in a row hold five of candidate against champion, three of the pairing that tells most about the difference
between these two (or of champion and predecessor, as long as it is open whether the champion is the weaker one), one of
the champion against one of its ancestors 3, 10 and 30 promotions back (the check against going round in circles, as Lc0
does it) and one against a baseline (the check against drift): the ancestor that is compared with it least surely, and
the baseline whose game tells most about the distance to the anchor. Which of the ten comes next follows from the number
of blocks that the match log holds, so a run that is repeated or lost upsets nothing. While there is only one model, it
plays six of ten blocks against the baselines, and these play the others among themselves: a model that beats them all
tells little about the scale between them. Until the anchor has played, the first block is against it: without it the
ratings have no zero.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from ringrift_loop.ratings.blocks import win_chance
from ringrift_loop.ratings.elo import ELO_PER_NAT, RatingTable
from ringrift_loop.tournament.participants import ANCHORS

Pairing = tuple[str, str]
"""Participant and opponent."""

DUEL: Final = "duel"
SHARPEN: Final = "sharpen"
ANCESTOR: Final = "ancestor"
BASELINE: Final = "baseline"
CYCLE: Final = (DUEL, SHARPEN, DUEL, ANCESTOR, DUEL, SHARPEN, DUEL, BASELINE, DUEL, SHARPEN)
"""Purposes of ten blocks in a row."""

ANCESTORS_BACK: Final = (3, 10, 30)


@dataclass(frozen=True)
class Field:
    """Who can play in a variant."""

    candidate: str | None
    """The newest model, while nobody has decided about it."""
    champions: tuple[str, ...]
    """Newest first, the current one leading; empty before the first."""
    baselines: tuple[str, ...]
    watched: bool = False
    """Whether the champion has yet to show that it is no weaker than its predecessor (`watch.py`)."""

    @property
    def duellists(self) -> Pairing | None:
        """The two whose difference matters: candidate and champion, else the last two champions."""
        if self.candidate and self.champions:
            return self.candidate, self.champions[0]
        return self.champions[:2] if len(self.champions) > 1 else None  # type: ignore[return-value]

    @property
    def leader(self) -> str | None:
        """The champion, or the candidate while there is none."""
        return self.champions[0] if self.champions else self.candidate

    @property
    def ancestors(self) -> tuple[str, ...]:
        """The champions some promotions back, as far as there are so many."""
        return tuple(self.champions[back] for back in ANCESTORS_BACK if back < len(self.champions))


def next_pairings(
    field: Field, blocks: int, *, played: Mapping[Pairing, int], table: RatingTable | None
) -> list[Pairing]:
    """Return the pairings of the next blocks.

    Args:
        field: who can play.
        blocks: how many pairings to return.
        played: blocks that each pair, sorted, has had in shadow tournaments.
        table: the present ratings; None before the first fit.
    """
    counts = Counter(played)
    first = sum(counts.values())
    chosen = []
    for number in range(first, first + blocks):
        pairing = _pairing(field, CYCLE[number % len(CYCLE)], counts, table)
        counts[pair_of(pairing)] += 1
        chosen.append(pairing)
    return chosen


def anchoring(field: Field) -> Pairing:
    """The pairing that gives the ratings their zero: the leader, or before it a baseline, against the anchor."""
    anchor = next(name for name in field.baselines if name in ANCHORS)
    return field.leader or next(name for name in field.baselines if name != anchor), anchor


def pair_of(pairing: Pairing) -> Pairing:
    """The pairing without regard to who is named first."""
    return min(pairing), max(pairing)


def _pairing(field: Field, purpose: str, played: Counter[Pairing], table: RatingTable | None) -> Pairing:
    duel, leader = field.duellists, field.leader
    if leader is None or (duel is None and purpose in (SHARPEN, ANCESTOR)):
        return _least_played(combinations(field.baselines, 2), played)
    if purpose == ANCESTOR and field.ancestors:
        return _most_telling([((leader, other), (leader, other)) for other in field.ancestors], played, table)
    if purpose == BASELINE or duel is None:
        anchor = next((name for name in field.baselines if name in ANCHORS), field.baselines[0])
        return _most_telling([((leader, other), (leader, anchor)) for other in field.baselines], played, table)
    if purpose == SHARPEN and field.watched:
        return field.champions[0], field.champions[1]
    if purpose == SHARPEN:
        others = [name for name in (*field.champions[1:4], *field.ancestors, *field.baselines) if name not in duel]
        pairings = [duel, *((one, other) for one in duel for other in dict.fromkeys(others))]
        return _most_telling([(pairing, duel) for pairing in pairings], played, table)
    return duel


def _least_played(pairings: Iterable[Pairing], played: Counter[Pairing]) -> Pairing:
    return min(pairings, key=lambda pairing: (played[pair_of(pairing)], pairing))


def _most_telling(
    choices: Sequence[tuple[Pairing, Pairing]], played: Counter[Pairing], table: RatingTable | None
) -> Pairing:
    """Of pairings, each with the difference that it is for, the one whose next game cuts that one's variance most.

    One with somebody who has no rating yet comes first.
    """
    unknown = [pairing for pairing, _ in choices if table is None or not set(pairing) <= set(table.participants)]
    if table is None or unknown:
        return _least_played(unknown, played)
    return max(choices, key=lambda choice: variance_cut(table, choice[1], choice[0]))[0]


def variance_cut(table: RatingTable, duel: Pairing, pairing: Pairing) -> float:
    """Return by how much one game of `pairing` lowers the variance of the difference of `duel`, in Elo squared.

    A game adds w d d' to the inverse covariance, with d the difference of the two players and w = p (1 - p) in natural
    log-odds, p the chance that the first, alone, wins; the change of the covariance is that of Sherman and Morrison.
    """
    (a, b), (i, j) = ((table.index(one), table.index(other)) for one, other in (duel, pairing))
    cov = table.covariance
    cross = cov[a, i] - cov[a, j] - cov[b, i] + cov[b, j]
    own = cov[i, i] + cov[j, j] - 2.0 * cov[i, j]
    p = win_chance(table.difference(*pairing).gain, table.players)
    weight = p * (1.0 - p) / ELO_PER_NAT**2
    return float(weight * cross**2 / (1.0 + weight * own))
