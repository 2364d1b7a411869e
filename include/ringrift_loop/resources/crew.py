"""How many of a machine's workers rest altogether, where their duty leaves nothing to give. Pure functions.

A duty spans a factor of ten. Only when that is used up, and for minutes, does a worker rest (it is drained: finished
games are kept), or play again; at once only where memory runs short. They rest one at a time and are woken together, as
many as find room: a machine whose strangers have left should not take half an hour to come back. Never do more play
than the inventory has slots.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ringrift_loop.resources.control import STALE_S

PATIENCE_S = 300.0
"""So long must the least duty have been too much before a worker rests."""
WAKE_S = 120.0
"""So long must a full duty have been too little before workers are woken."""
SETTLE_S = 180.0
"""So long after a change the workers' use says nothing about what they use at full duty: one drains, or compiles."""


@dataclass(frozen=True)
class Crew:
    """The workers of one machine; times are UTC seconds."""

    resting: int = 0
    crowded_since: float | None = None  # at the least duty, and still too much; None: it is not so
    idle_since: float | None = None  # at full duty, and still too little
    changed_at: float | None = None
    at: float | None = None  # of the last look

    def settled(self, at: float) -> bool:
        """Whether as many workers run as should."""
        return self.changed_at is None or at - self.changed_at > SETTLE_S


def next_crew(
    before: Crew,
    slots: int,
    *,
    crowded: bool,
    idle: bool,
    least: int,
    at: float,
    room: int = 1,
    surplus: int = 0,
) -> Crew:
    """The crew after a look at the machine.

    Args:
        before: the crew until now.
        slots: of the machine's hosts.
        crowded: its workers are at the least duty and it is still above its band, or they make more than may be made.
        idle: they are at full duty and it is still below its band, and nothing else holds them back.
        least: so many play in any case.
        at: UTC seconds; a gap in the samples starts the waiting anew.
        room: workers that would fit in when it is idle, 1 or more.
        surplus: workers that the machine's memory has no room for; they rest without waiting, the last one too.
    """
    gap = before.at is None or at - before.at > STALE_S
    crowded_since = _since(None if gap else before.crowded_since, crowded, at)
    idle_since = _since(None if gap else before.idle_since, idle and not crowded, at)
    resting = min(before.resting, slots)  # the inventory may have fewer now
    crew = replace(before, resting=resting, crowded_since=crowded_since, idle_since=idle_since, at=at)
    change = 0
    if surplus > 0 and resting < slots:
        change = min(surplus, slots - resting)
    elif crowded_since is not None and at - crowded_since >= PATIENCE_S and slots - resting > least:
        change = 1
    elif idle_since is not None and at - idle_since >= WAKE_S and resting > 0:
        change = -min(resting, room)
    if change == 0:
        return crew
    return replace(crew, resting=resting + change, crowded_since=None, idle_since=None, changed_at=at)


def _since(before: float | None, holds: bool, at: float) -> float | None:
    if not holds:
        return None
    return at if before is None else before


def share_out(slots: Mapping[str, int], resting: int) -> dict[str, int]:
    """The slots that play on each host of a machine: one after the other rests where most still play."""
    left = dict(slots)
    for _ in range(min(resting, sum(left.values()))):
        left[max(left, key=lambda host: (left[host], host))] -= 1
    return left
