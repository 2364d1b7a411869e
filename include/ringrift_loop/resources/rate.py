"""How many self-play games an hour may be asked for, and how the machines keep to it. Pure functions.

The answer depends on the request and on what was seen, never on the answer before, so asking twice is asking once; no
data means no change; and nothing that a reason says gets past the memory of a GPU. What a worker makes at full duty is
learned from heartbeats; from that follows the duty above which no machine goes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from ringrift_loop.resources.bands import Band, Zone

MIN_RATE, MAX_RATE = 100, 1_000_000
"""Games an hour of the whole fleet that may be approved. One core plays some 30,000 games of square8_2p."""
WARNING_FACTOR, CRITICAL_FACTOR = 0.7, 0.3
OK, WARNING, CRITICAL = "ok", "warning", "critical"
_MOST, _LEAST = 1.5, 0.5
_POINTS = 50.0  # of utilization outside the band that double, or undo, a rate
AIM = 0.95
"""Of a rate in force is aimed at: what workers make wavers by some percent."""
_KEPT_DUTIES = 10  # samples in the 300 s that a heartbeat's rate is the mean of
_LEARN = 0.3  # weight of a new rate in what is known of a worker


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


@dataclass(frozen=True)
class Output:
    """What one worker of a machine makes."""

    per_worker: float | None = None  # games an hour at full duty; None: not known yet
    duties: Sequence[float] = ()  # of the time that a heartbeat's rate is the mean of, oldest first


def learned(before: Output, games_per_hour: Sequence[float], duty: float) -> Output:
    """What is known after a sample.

    Args:
        before: until now.
        games_per_hour: as the workers that play tell it, means over five minutes; a worker that has finished no game
            yet tells 0, and nothing is learned from it.
        duty: that the workers had.
    """
    duties = (*before.duties[-(_KEPT_DUTIES - 1) :], duty)
    told = [rate for rate in games_per_hour if rate > 0]
    if not told:
        return Output(before.per_worker, duties)
    new = fmean(told) / fmean(duties)
    return Output(new if before.per_worker is None else before.per_worker + _LEARN * (new - before.per_worker), duties)


@dataclass(frozen=True)
class Producer:
    """A machine as far as a rate is concerned."""

    slots: int  # of its hosts
    playing: int  # workers that may play
    per_worker: float | None  # games an hour of one at full duty; None: not known
    duty: float  # that its workers would have without a rate


def duty_cap(machines: Mapping[str, Producer], rate: float) -> float:
    """The duty above which no machine goes, so that all of them make `rate` games an hour at most; 1 holds nobody.

    Machines that want less than the cap leave their share to the others.
    """
    full = {name: one.playing * each for name, one, each in _known(machines)}
    left, rest = rate, sum(full.values())
    for name in sorted(full, key=lambda name: machines[name].duty):
        if machines[name].duty * rest >= left:
            return left / rest if rest > 0 else 1.0
        left -= machines[name].duty * full[name]
        rest -= full[name]
    return 1.0


def workers_within(machines: Mapping[str, Producer], rate: float, duty: float) -> dict[str, int]:
    """How many workers of each machine make `rate` games an hour together at a duty, at least one of all.

    Every machine keeps its first worker before another gets its second. A machine is left out while nothing is known
    of any worker: nothing is concluded from that.
    """
    known = {name: each for name, _, each in _known(machines)}
    within = dict.fromkeys(known, 0)
    left = rate
    turns = sorted((number, name) for name in known for number in range(machines[name].slots))
    for index, (_, name) in enumerate(turns):
        left -= known[name] * duty
        if left < 0 and index > 0:
            break
        within[name] += 1
    return within


def _known(machines: Mapping[str, Producer]) -> list[tuple[str, Producer, float]]:
    """The machines with what one of their workers makes; one that has told nothing yet is taken for a middling one."""
    told = [one.per_worker for one in machines.values() if one.per_worker is not None]
    if not told:
        return []
    middling = median(told)
    return [(name, one, middling if one.per_worker is None else one.per_worker) for name, one in machines.items()]
