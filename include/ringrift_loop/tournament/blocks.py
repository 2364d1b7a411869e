"""The plan of a block: one opening, and who sits where in each of its games. Match ids come from here."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import count
from types import MappingProxyType

_OWN_OPENINGS: Mapping[str, int] = MappingProxyType({"shadow": 1, "tournament": 2})
"""Purposes with other openings than the gates': models search without noise, so the same opening is the same game, and
a game that is told twice would count twice in the ratings and in the watch over a champion."""


@dataclass(frozen=True)
class BlockPlan:
    """Games to play from one opening; the same plan always has the same ids, so a game is stored once."""

    variant: str
    purpose: str
    """shadow, gate, champion, tournament or manual."""
    seatings: tuple[tuple[str, ...], ...]
    """Participant id per seat, for each game."""
    seed: int
    """Counts the blocks of a pairing: 0, 1, 2, ..."""

    @property
    def id(self) -> str:
        """32 hex characters."""
        games = ";".join(",".join(seats) for seats in self.seatings)
        return _digest(f"{self.variant}/{self.purpose}/{games}/{self.seed}")

    @property
    def opening(self) -> int:
        """Seed of its opening, which no block of the same two for another purpose of the loop has."""
        return self.seed + (_OWN_OPENINGS.get(self.purpose, 0) << 32)

    def match_id(self, game: int) -> str:
        """32 hex characters for the game with that index."""
        return _digest(f"{self.id}/{game}/{','.join(self.seatings[game])}")

    @property
    def participants(self) -> tuple[str, ...]:
        """Everyone who plays in it, sorted."""
        return tuple(sorted({name for seats in self.seatings for name in seats}))


def paired_block(variant: str, purpose: str, participant: str, opponent: str, players: int, seed: int) -> BlockPlan:
    """A block with the participant once in every seat and the opponent in all others."""
    seatings = tuple(
        tuple(participant if seat == own else opponent for seat in range(players)) for own in range(players)
    )
    return BlockPlan(variant, purpose, seatings, seed)


class FreshBlocks:
    """Paired blocks of one purpose that have not been played, of each pair those with the lowest seeds."""

    def __init__(self, variant: str, purpose: str, players: int, played: Collection[str]) -> None:
        """Begin with the ids of all blocks of that purpose that have been played.

        Their number would not tell the next seed: of blocks that were played side by side when a process was killed,
        some are there and an earlier one is not.
        """
        self._variant, self._purpose, self._players, self._played = variant, purpose, players, frozenset(played)
        self._seeds: dict[tuple[str, str], count[int]] = {}

    def next(self, participant: str, opponent: str) -> BlockPlan:
        """The next one of a pair; who is named first makes no other block."""
        seeds = self._seeds.setdefault((min(participant, opponent), max(participant, opponent)), count())
        for seed in seeds:
            plan, turned = (
                paired_block(self._variant, self._purpose, one, other, self._players, seed)
                for one, other in ((participant, opponent), (opponent, participant))
            )
            if plan.id not in self._played and turned.id not in self._played:
                return plan
        raise AssertionError  # there is always another number


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
