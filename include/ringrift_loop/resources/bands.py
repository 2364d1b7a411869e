"""The band that a utilization should lie in, and where a value stands in it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ringrift_loop.config import ResourceTargets


class Zone(StrEnum):
    """Where a utilization stands."""

    UNKNOWN = "unknown"
    BELOW = "below"
    OPTIMAL = "optimal"
    ABOVE = "above"
    CRITICAL = "critical"


@dataclass(frozen=True)
class Band:
    """Limits of one resource, in percent of the machine."""

    low: float
    target: float
    high: float
    critical: float

    @property
    def unlimited(self) -> bool:
        """Whether the machine may be used whole: `cpu_max: 100`."""
        return self.high >= 100.0

    @property
    def room(self) -> float:
        """What strangers and the loop may use together."""
        return 100.0 if self.unlimited else self.target

    def zone(self, percent: float | None) -> Zone:
        """Where a value stands; no value is never a low one."""
        if percent is None:
            return Zone.UNKNOWN
        if percent < self.low:
            return Zone.BELOW
        if percent <= self.high:
            return Zone.OPTIMAL
        return Zone.ABOVE if percent <= self.critical else Zone.CRITICAL


def cpu_band(targets: ResourceTargets) -> Band:
    """The band of CPUs."""
    return Band(targets.cpu_min, targets.cpu_target, targets.cpu_max, targets.cpu_critical)


def gpu_band(targets: ResourceTargets) -> Band:
    """The band of GPUs."""
    return Band(targets.gpu_min, targets.gpu_target, targets.gpu_max, targets.gpu_critical)
