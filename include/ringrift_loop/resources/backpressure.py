"""Backpressure: how much of the self-play that machines have room for the rest of the loop can take. Pure functions.

Three things press: a disk that fills up (the coordinator's or a host's), sealed games that wait on hosts, and games
that wait for training. Each has a level at which it begins to press and a lower one at which it ends, so that a level
that wavers switches nothing to and fro. The factor follows from the level and from what pressed before, never from how
often one asks; what is not known stays as it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import fmean

from ringrift_loop.config import DataIngestion, ResourceTargets, Training
from ringrift_loop.json_value import JsonValue

DISK, SYNC, TRAINING = "disk", "sync", "training"
_FIRST = 0.8  # factor where something begins to press
_LEAST = {DISK: 0.3, SYNC: 0.2, TRAINING: 0.25}
_DISK_EASE = 5.0  # percent below `disk_max` at which a disk ends to press
_SYNC_AGES = 5.0  # times `max_age_seconds` that the oldest waiting game may be old
_SYNC_SEGMENTS = 500  # segments that may be left on a host after a visit; a report lists 2,000 at most


@dataclass(frozen=True)
class Cause:
    """One thing that presses."""

    kind: str  # DISK, SYNC or TRAINING
    subject: str  # a host or a variant; empty: the coordinator
    factor: float  # 0..1
    reason: str


@dataclass(frozen=True)
class Seen:
    """What may press; None: not known now."""

    disk: float | None = None  # of the coordinator, percent
    disks: Mapping[str, float | None] = field(default_factory=dict)  # of each host, percent
    waiting: Mapping[str, tuple[int, float] | None] = field(default_factory=dict)  # host -> segments, age of oldest, s
    pending: Mapping[str, int] = field(default_factory=dict)  # variant -> games that no training has consumed


@dataclass(frozen=True)
class Limits:
    """Where it begins."""

    targets: ResourceTargets
    host_targets: Mapping[str, ResourceTargets]  # where they differ on a host
    ingestion: DataIngestion
    training: Training


@dataclass(frozen=True)
class Backpressure:
    """Everything that presses now."""

    causes: tuple[Cause, ...] = ()

    @classmethod
    def parse(cls, value: JsonValue) -> Backpressure:
        """What the ledger holds; nothing when it holds nothing."""
        rows = value if isinstance(value, list) else []
        return cls(tuple(Cause(**row) for row in rows if isinstance(row, dict)))  # type: ignore[arg-type]

    def on(self, host: str) -> tuple[float, str]:
        """The factor of a host's workers, and why; 0: they rest altogether."""
        pressing = [one for one in self.causes if not one.subject or (one.kind != TRAINING and one.subject == host)]
        return min((one.factor for one in pressing), default=1.0), "; ".join(one.reason for one in pressing)

    def on_variant(self, variant: str) -> float:
        """By how much a variant's share of self-play is cut, because its games wait for training."""
        own = (one.factor for one in self.causes if one.kind == TRAINING and one.subject == variant)
        return next(own, 1.0)

    def factor(self, hosts: Iterable[str]) -> float:
        """The mean over hosts: the share of self-play that is let through."""
        factors = [self.on(host)[0] for host in hosts]
        return fmean(factors) if factors else 1.0


def press(before: Backpressure, seen: Seen, limits: Limits) -> Backpressure:
    """What presses after a look."""
    held = {(one.kind, one.subject): one for one in before.causes}
    found = [_disk(held.get((DISK, "")), "", seen.disk, limits.targets)]
    for host, percent in sorted(seen.disks.items()):
        targets = limits.host_targets.get(host, limits.targets)
        found.append(_disk(held.get((DISK, host)), host, percent, targets))
    for host, waiting in sorted(seen.waiting.items()):
        found.append(_sync(held.get((SYNC, host)), host, waiting, limits.ingestion))
    variants = [_training(held.get((TRAINING, v)), v, n, limits.training) for v, n in sorted(seen.pending.items())]
    found += variants
    if variants and all(variants):
        # As long as one variant's training keeps up, it gets the others' share instead (`on_variant`).
        least = max((one for one in variants if one is not None), key=lambda one: one.factor)
        found.append(Cause(TRAINING, "", least.factor, f"training is behind with every variant: {least.reason}"))
    return Backpressure(tuple(one for one in found if one is not None))


def _disk(before: Cause | None, host: str, percent: float | None, targets: ResourceTargets) -> Cause | None:
    if percent is None:
        return before
    begins, full = targets.disk_max, targets.disk_critical
    ends = begins - _DISK_EASE
    paused = before is not None and before.factor == 0.0
    where = f"the disk of {host}" if host else "the coordinator's disk"
    if percent >= full or (paused and percent >= begins):
        till = f"self-play rests until it is below {begins:.0f}%"
        return Cause(DISK, host, 0.0, f"{where} is {percent:.0f}% full (critical from {full:.0f}%): {till}")
    factor = _slowed(percent, before, begins=begins, full=full, ends=ends, least=_LEAST[DISK])
    reason = f"{where} is {percent:.0f}% full (at most {begins:.0f}%, eased below {ends:.0f}%)"
    return None if factor is None else Cause(DISK, host, factor, reason)


def _sync(before: Cause | None, host: str, waiting: tuple[int, float] | None, config: DataIngestion) -> Cause | None:
    if waiting is None:
        return before
    segments, oldest_s = waiting
    most_s = _SYNC_AGES * config.max_age_seconds
    level = max(segments / _SYNC_SEGMENTS, oldest_s / most_s)
    factor = _slowed(level, before, begins=1.0, full=4.0, ends=0.5, least=_LEAST[SYNC])
    reason = f"sync is behind with {host}: {segments} segments wait there, the oldest for {oldest_s:.0f} s"
    return None if factor is None else Cause(SYNC, host, factor, reason)


def _training(before: Cause | None, variant: str, pending: int, config: Training) -> Cause | None:
    most = config.backlog_factor * config.trigger_threshold_games
    factor = _slowed(pending / most, before, begins=1.0, full=4.0, ends=0.5, least=_LEAST[TRAINING])
    reason = f"{pending} games of {variant} wait for training (more than {most:.0f})"
    return None if factor is None else Cause(TRAINING, variant, factor, reason)


def _slowed(
    level: float, before: Cause | None, *, begins: float, full: float, ends: float, least: float
) -> float | None:
    """The factor, in steps of a tenth; None when nothing presses.

    It falls in a straight line from where it begins to `least` at `full`, and stays at its first value until the level
    is below `ends`.
    """
    if level < (begins if before is None else ends):
        return None
    share = min(1.0, max(0.0, (level - begins) / (full - begins)))
    return max(least, round(_FIRST - share * (_FIRST - least), 1))
