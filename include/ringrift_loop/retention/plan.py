"""Which files go: a pure function of what lies there, what refers to it, and the limits.

Whatever something refers to stays, whatever its age and size; so does everything younger than a day, because what is
being made has no row in the ledger yet. Of the rest goes what is older than its kind's age, and then the oldest until
the kind keeps to its quota.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

SEGMENTS, TRAINING, MODELS, MATCHES, LOGS = "segments", "training", "models", "matches", "logs"
KINDS = (SEGMENTS, TRAINING, MODELS, MATCHES, LOGS)
DAY_S = 86_400.0
MIN_AGE_S = DAY_S
GIB = float(1 << 30)


@dataclass(frozen=True)
class Item:
    """One file or folder that could be deleted."""

    kind: str
    path: str
    """Unique within its kind."""
    size: int
    """Bytes."""
    changed_at: float
    """When anything in it was last written, UTC seconds."""
    reference: str | None
    """What refers to it, in words; None: nothing."""


@dataclass(frozen=True)
class Limit:
    """How long and how much of one kind is kept."""

    age_s: float
    quota: float
    """Bytes of the kind, what is referred to included."""


@dataclass(frozen=True)
class Choice:
    """An item that goes, and why."""

    item: Item
    why: str


def choose(items: Iterable[Item], limits: Mapping[str, Limit], *, now: float) -> list[Choice]:
    """The items that go, kind by kind, the oldest first."""
    by_kind: dict[str, list[Item]] = {kind: [] for kind in limits}
    for item in items:
        by_kind[item.kind].append(item)
    return [choice for kind, limit in limits.items() for choice in _of_kind(by_kind[kind], limit, now)]


def _of_kind(items: Sequence[Item], limit: Limit, now: float) -> list[Choice]:
    total = sum(item.size for item in items)
    free = [item for item in items if item.reference is None and now - item.changed_at >= MIN_AGE_S]
    chosen = []
    for item in sorted(free, key=lambda item: (item.changed_at, item.path)):
        age_s = now - item.changed_at
        if age_s > limit.age_s:
            why = f"{age_s / DAY_S:.0f} days old, kept for {limit.age_s / DAY_S:g}"
        elif total > limit.quota:
            why = f"{total / GIB:.2f} GiB of {item.kind}, at most {limit.quota / GIB:g}"
        else:
            break
        total -= item.size
        chosen.append(Choice(item, why))
    return chosen
