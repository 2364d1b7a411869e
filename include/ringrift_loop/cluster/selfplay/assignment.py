"""Which worker slots play, when not all of them may. Pure functions.

Every slot that plays follows its host's plan of variants by weight (`selfplay/plan.py`). How many play at all is a
share that was agreed on elsewhere.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Slot:
    """One worker's place on a host."""

    host: str
    number: int

    def __str__(self) -> str:
        return f"{self.host}/{self.number}"


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
