"""The plan of a block: one opening, and who sits where in each of its games. Match ids come from here."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class BlockPlan:
    """Games to play from one opening; the same plan always has the same ids, so a game is stored once."""

    variant: str
    purpose: str
    """shadow, gate, champion, tournament or manual."""
    seatings: tuple[tuple[str, ...], ...]
    """Participant id per seat, for each game."""
    seed: int
    """Of the opening; counts the blocks of a pairing: 0, 1, 2, ..."""

    @property
    def id(self) -> str:
        """32 hex characters."""
        games = ";".join(",".join(seats) for seats in self.seatings)
        return _digest(f"{self.variant}/{self.purpose}/{games}/{self.seed}")

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


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
