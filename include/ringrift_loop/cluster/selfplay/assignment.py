"""Which variant each worker slot plays: weights act through the share of recent games. Pure functions.

A slot keeps its variant for at least `DWELL_S`, because changing over costs an unfinished round of games; at most one
slot changes at a time. When there are as many slots as variants, each variant begins with one and keeps it, unless its
weight is worth clearly less than a slot: then it lends it for a time, until its share of the recent games is too small.
How many of the slots play at all is a share that was agreed on elsewhere (`playing`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

DWELL_S = 600.0
RECENT_S = 3600.0  # games of this last time count as a variant's share
# A slot changes when the two variants' shares are off by this much together; counting noise is less.
_SHARE_GAP = 0.1
# A variant lends its only slot when its weight's share of all slots is below this: equal weights never move it.
_LENDS_BELOW = 0.8


@dataclass(frozen=True, order=True)
class Slot:
    """One worker's place on a host."""

    host: str
    number: int

    def __str__(self) -> str:
        return f"{self.host}/{self.number}"


@dataclass(frozen=True)
class Held:
    """What a slot plays now."""

    variant: str
    since: float  # UTC seconds


def playing(slots: Sequence[Slot], share: float) -> list[Slot]:
    """The slots that may play while self-play is held to a share of them; the others rest.

    The same slots always give way first: each host keeps its lowest numbers, in step with the other hosts, so that all
    of them are left with about the same part. A smaller share never wakes a slot that rests under a larger one.

    Args:
        slots: all slots, each host's together.
        share: 0..1 of them, rounded to whole slots; above 0 at least one plays.
    """
    if not slots or share <= 0:
        return []
    number = max(1, min(len(slots), math.floor(share * len(slots) + 0.5)))
    sizes = Counter(slot.host for slot in slots)
    # The middle of each slot's part of its host; a host with 2 slots has 1/4 and 3/4. The sort keeps ties in order.
    ranked = sorted(slots, key=lambda slot: (2 * slot.number + 1) / (2 * sizes[slot.host]))
    chosen = set(ranked[:number])
    return [slot for slot in slots if slot in chosen]


def assign(
    slots: Sequence[Slot],
    held: Mapping[Slot, Held],
    weights: Mapping[str, float],
    recent: Mapping[str, int],
    *,
    at: float,
) -> dict[Slot, str]:
    """The variant of every slot.

    Args:
        slots: all slots that should play.
        held: what slots were assigned before; slots that are gone are ignored.
        weights: curriculum weight of every variant that the loop improves, above 0.
        recent: games per variant within the last `RECENT_S` seconds.
        at: UTC seconds.
    """
    gaps = share_gaps(weights, recent)
    chosen = {slot: held[slot].variant for slot in slots if slot in held and held[slot].variant in weights}
    for slot in slots:
        if slot not in chosen:
            chosen[slot] = _most_wanted(gaps, weights, Counter(chosen.values()), len(slots))
    change = _change(chosen, held, gaps, weights, at=at)
    if change is not None:
        chosen[change[0]] = change[1]
    return chosen


def share_gaps(weights: Mapping[str, float], recent: Mapping[str, int]) -> dict[str, float]:
    """By how much each variant's share of the recent games falls short of its weight's share; sums to 0."""
    total, games = sum(weights.values()), sum(recent.get(variant, 0) for variant in weights)
    if games == 0:
        return dict.fromkeys(weights, 0.0)
    return {variant: weight / total - recent.get(variant, 0) / games for variant, weight in weights.items()}


def _most_wanted(
    gaps: Mapping[str, float], weights: Mapping[str, float], slots_of: Mapping[str, int], slots: int
) -> str:
    """For a free slot: a variant without any first, then the one with too few slots for its weight."""
    total = sum(weights.values())

    def want(variant: str) -> tuple[bool, float, float]:
        count = slots_of.get(variant, 0)
        missing = slots * weights[variant] / total - count
        return (count == 0, gaps[variant], missing) if count == 0 else (False, missing, gaps[variant])

    return max(weights, key=want)  # the first in the configuration's order when all is equal


def _change(
    chosen: Mapping[Slot, str],
    held: Mapping[Slot, Held],
    gaps: Mapping[str, float],
    weights: Mapping[str, float],
    *,
    at: float,
) -> tuple[Slot, str] | None:
    """The slot that should change over now, and to what."""
    slots_of = Counter(chosen.values())
    # Slots that a variant's weight is worth; with fewer slots than variants they take turns anyway.
    entitled = {variant: len(chosen) * weight / sum(weights.values()) for variant, weight in weights.items()}
    to = max(gaps, key=lambda variant: gaps[variant])
    movable = [
        slot
        for slot, variant in chosen.items()
        if variant != to
        and (slots_of[variant] > 1 or len(chosen) < len(gaps) or entitled[variant] < _LENDS_BELOW)
        and slot in held
        and held[slot].variant == variant
        and at - held[slot].since >= DWELL_S
    ]
    if not movable:
        return None
    slot = min(movable, key=lambda slot: (gaps[chosen[slot]], slot))
    return (slot, to) if gaps[to] - gaps[chosen[slot]] > _SHARE_GAP else None
