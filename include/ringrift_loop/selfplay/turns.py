"""Which variant a worker plays next, so that each has its weight's share of the time in which the worker computes.

A variant's credit is the time that its share came to, minus the time that it had; all credits together are nought. Of
the variants that will have deserved a turn by its end, the next goes to the one whose credit would be first to reach a
whole turn: earliest deadline first, as in proportionate fairness (Baruah, Cohen, Plaxton and Varvel 1996). So no
variant is ever more than a turn ahead or behind. New weights hold from now on; nobody catches up for what was played
by the old ones.
"""

from __future__ import annotations

from collections.abc import Mapping

TURN_S = 15.0
"""Computed seconds of one turn. Changing over costs nothing but warm caches, since the games stay where they are."""


def next_turn(credits: Mapping[str, float], shares: Mapping[str, float], turn_s: float) -> str:
    """The variant whose turn it is.

    Args:
        credits: seconds by which each variant is behind; they sum to 0.
        shares: of the time, above 0; they sum to 1. Of equals the first is taken.
        turn_s: length of a turn.
    """
    due = [name for name, share in shares.items() if credits[name] + share * turn_s > 0]
    return min(due, key=lambda name: (turn_s - credits[name]) / shares[name])


class Turns:
    """The turns of one worker.

    Args:
        turn_s: computed seconds of a turn.
        first: which variant begins among equals, counted round; different for each worker of a host.
    """

    def __init__(self, turn_s: float = TURN_S, *, first: int = 0) -> None:
        self._turn_s, self._first = turn_s, first
        self._weights: dict[str, float] = {}
        self._shares: dict[str, float] = {}
        self._credits: dict[str, float] = {}
        self.at_play: str | None = None
        """The variant whose turn it is."""
        self._left_s = 0.0

    def share_by(self, weights: Mapping[str, float]) -> None:
        """Divide the time by these weights from now on, all above 0.

        Who is new begins without credit; what a variant that leaves was owed, or owes, goes to the others.
        """
        if weights == self._weights:
            return
        self._weights = dict(weights)
        names, total = list(weights), sum(weights.values())
        begin = self._first % len(names) if names else 0
        self._shares = {name: weights[name] / total for name in names[begin:] + names[:begin]}
        over = sum(self._credits.get(name, 0.0) for name in names)
        self._credits = {name: self._credits.get(name, 0.0) - over * share for name, share in self._shares.items()}
        if self.at_play not in self._shares:
            self.at_play = None

    def choose(self) -> str | None:
        """The variant to play now: the one at play until its turn is over; None without any."""
        if self._shares and (self.at_play is None or self._left_s <= 0):
            self.at_play, self._left_s = next_turn(self._credits, self._shares, self._turn_s), self._turn_s
        return self.at_play

    def played(self, seconds: float) -> None:
        """Count time that was computed for the variant at play."""
        if self.at_play is None:
            return
        for name, share in self._shares.items():
            self._credits[name] += share * seconds
        self._credits[self.at_play] -= seconds
        self._left_s -= seconds
