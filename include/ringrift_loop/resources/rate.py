"""How many self-play games an hour may be asked for: the guide's negotiation, without its traps. Pure functions.

The answer depends on the request and on what was seen, never on the answer before, so asking twice is asking once; no
data means no change; and nothing that a reason says gets past the memory of a GPU.
"""

from __future__ import annotations

from dataclasses import dataclass

from ringrift_loop.resources.bands import Band, Zone

MIN_RATE, MAX_RATE = 100, 1_000_000
"""Games an hour of the whole fleet that may be approved. One core plays some 30,000 games of square8_2p."""
WARNING_FACTOR, CRITICAL_FACTOR = 0.7, 0.3
OK, WARNING, CRITICAL = "ok", "warning", "critical"
_MOST, _LEAST = 1.5, 0.5
_POINTS = 50.0  # of utilization outside the band that double, or undo, a rate


@dataclass(frozen=True)
class Answer:
    """An approved rate and why it is so."""

    rate: int
    reason: str


def memory_status(percent: float | None, *, warning: float, critical: float) -> str:
    """Where the fullest GPU stands; a machine without a GPU, or without a word of one, is `ok`."""
    if percent is None:
        return OK
    return CRITICAL if percent >= critical else WARNING if percent >= warning else OK


def memory_factor(status: str) -> float:
    """By how much new work on GPUs is cut."""
    return {OK: 1.0, WARNING: WARNING_FACTOR, CRITICAL: CRITICAL_FACTOR}[status]


def negotiate(requested: float, band: Band, *, used: float | None, memory: str) -> Answer:
    """The approved rate for a requested one.

    Args:
        requested: games an hour.
        band: of the resource that limits: GPUs where there are any, else CPUs.
        used: its mean utilization over the machines that said something; None: none did.
        memory: `memory_status` of the fullest GPU.
    """
    factor, why = 1.0, f"utilization {used:.0f}% is within {band.low:.0f}-{band.high:.0f}%" if used is not None else ""
    zone = band.zone(used)
    if used is None:
        why = "no machine has told its utilization: the request stands as it is"
    elif zone is Zone.BELOW:
        factor = min(_MOST, 1.0 + (band.low - used) / _POINTS)
        why = f"utilization {used:.0f}% is below {band.low:.0f}%"
    elif zone in (Zone.ABOVE, Zone.CRITICAL):
        factor = max(_LEAST, 1.0 - (used - band.high) / _POINTS)
        why = f"utilization {used:.0f}% is above {band.high:.0f}%"
        if zone is Zone.CRITICAL:
            factor = min(factor, CRITICAL_FACTOR)
            why += f", and critical from {band.critical:.0f}%"
    if memory != OK:
        factor = min(factor, 1.0) * memory_factor(memory)
        why += f"; GPU memory: {memory}, new work is cut to {memory_factor(memory):.0%}"
    rate = round(min(MAX_RATE, max(MIN_RATE, requested * factor)))
    return Answer(rate, f"{why}: {requested:.0f} games/h asked for, {rate} approved")
