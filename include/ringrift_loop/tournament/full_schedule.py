"""Who meets whom in a full tournament, how often, and in which order. Pure functions.

Every champion meets the champions 1, 3, 10 and 30 promotions before it and every baseline. The order matters where time
is short: the next block is the one that takes most from the sum of the variances of all champions' ratings.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from ringrift_loop.ratings.blocks import win_chance
from ringrift_loop.ratings.elo import ELO_PER_NAT, Priors, RatingTable
from ringrift_loop.tournament.participants import ANCHORS
from ringrift_loop.tournament.schedule import ANCESTORS_BACK, Field, Pairing, pair_of

FULL_ANCESTORS_BACK: Final = (1, *ANCESTORS_BACK)


def full_pairings(field: Field) -> list[Pairing]:
    """Every pairing of a full tournament, the champion that leads first; empty without a champion."""
    champions = field.champions
    return [
        (own, other)
        for number, own in enumerate(champions)
        for other in (
            *(champions[number + back] for back in FULL_ANCESTORS_BACK if number + back < len(champions)),
            *field.baselines,
        )
    ]


def missing_blocks(
    pairings: Sequence[Pairing], played: Mapping[Pairing, int], per_pairing: int
) -> tuple[int, dict[Pairing, int]]:
    """Return the round that is not complete yet, counted from 1, and the blocks that each pairing lacks in it.

    A round is complete when every pairing has had `per_pairing` blocks in it. A new champion's pairings have had none,
    so they are played until they have caught up; then the next round begins, and there is always something to play.

    Args:
        pairings: at least one.
        played: blocks that each pair, sorted, has had in full tournaments.
        per_pairing: blocks of a round.
    """
    had = {pairing: played.get(pair_of(pairing), 0) for pairing in pairings}
    number = min(had.values()) // per_pairing + 1
    return number, {
        pairing: number * per_pairing - had[pairing] for pairing in pairings if had[pairing] < number * per_pairing
    }


def by_variance_removed(
    missing: Mapping[Pairing, int], *, champions: Collection[str], table: RatingTable | None, games: int
) -> Iterator[Pairing]:
    """Yield the pairing of each missing block, the one first that removes most variance from the champions' ratings.

    After each choice the covariance is that after its games, by Sherman and Morrison's formula as in
    `schedule.variance_cut`; so a pairing that has become well known yields to another. Who has no rating yet is as
    uncertain as the rating fit's prior, and meets everybody on equal terms.

    Args:
        missing: blocks by pairing.
        champions: whose variances are summed up.
        table: the present ratings; None before the first fit.
        games: of a block, one for each seat.
    """
    pairings = list(missing)
    names = sorted({name for pairing in pairings for name in pairing})
    own = np.array([names.index(one) for one, _ in pairings], np.intp)
    other = np.array([names.index(two) for _, two in pairings], np.intp)
    targets = np.array([name in champions for name in names], bool)
    left = np.array([missing[pairing] for pairing in pairings], np.int64)
    covariance = _covariance(names, table)
    weight = np.array([games * _information(table, pairing, games) for pairing in pairings])
    places = np.arange(len(pairings))
    while left.any():
        cross = covariance[:, own] - covariance[:, other]
        variance = cross[own, places] - cross[other, places]
        removed = weight * (cross[targets] ** 2).sum(axis=0) / (1.0 + weight * variance)
        best = int(np.where(left > 0, removed, -np.inf).argmax())
        yield pairings[best]
        left[best] -= 1
        column = cross[:, best]
        covariance -= weight[best] / (1.0 + weight[best] * variance[best]) * np.outer(column, column)


def _covariance(names: Sequence[str], table: RatingTable | None) -> npt.NDArray[np.float64]:
    """Elo squared [K, K] of these participants."""
    covariance = np.diag([0.0 if name in ANCHORS else Priors().free_stderr ** 2 for name in names])
    rated = [row for row, name in enumerate(names) if table is not None and name in table]
    if table is not None and rated:
        rows = [table.index(names[row]) for row in rated]
        covariance[np.ix_(rated, rated)] = table.covariance[np.ix_(rows, rows)]
    return covariance


def _information(table: RatingTable | None, pairing: Pairing, players: int) -> float:
    """What one game adds to the inverse covariance, per Elo squared."""
    is_rated = table is not None and all(name in table for name in pairing)
    p = win_chance(table.difference(*pairing).gain if table is not None and is_rated else 0.0, players)
    return p * (1.0 - p) / ELO_PER_NAT**2
