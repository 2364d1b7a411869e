"""How much of its time a worker computes: the coordinator says what it may, the worker looks about and keeps to it.

The coordinator sees a machine once in half a minute. So the file that it writes beside the models holds more than a
duty: how much of the machine workers and others may use together. Each worker looks every second at what others use
now, and gives way or takes what they left, within what it was allowed; a host that nobody reaches does so too. A worker
that rests on purpose sends heartbeats as always, so nobody takes it for one that hangs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Annotated

from msgspec import Meta

from ringrift_loop.checked_json import File, line, parse
from ringrift_loop.errors import DataError
from ringrift_loop.layout import HostDirectory
from ringrift_loop.machine.files import open_plain, write_whole
from ringrift_loop.machine.utilization import CpuCounters, RecentUse, read_cpu

MIN_DUTY = 0.1
"""Workers never stop altogether: they must notice a new model, and that the machine is free again."""
QUIET_POINTS = 4.0
"""A duty that would move the machine's use by fewer percent points is kept: no action without a reason."""
_MAX_BYTES = 4096
_NAP_S = 0.25  # between two looks whether the rest is over, or the worker told to stop
_LOOK_S = 1.0  # between two looks at the machine
_WINDOW_S = 5.0  # over which others' use is averaged: the machine's own short tasks are no reason to change
_LEAST_WINDOW_S = 2.0
_MEMORY_S = 15.0  # time constant of the duty that is told: about one sample's length together with its weight

Duty = Annotated[float, Meta(gt=0, le=1)]


class Allowance(File, frozen=True):
    """What a host's workers may use of its machine; points are percent of the machine."""

    duty: Duty = 1.0  # share of the time, with others as the coordinator last saw them
    most: Duty = 1.0  # not more, whatever others leave
    room: Annotated[float, Meta(ge=0, le=100)] | None = None  # points of workers and others together; None: no limit
    appetite: Annotated[float, Meta(ge=1, le=1e5)] = 100.0  # points of all the machine's workers at full duty
    workers: Annotated[int, Meta(ge=0, lt=1 << 16)] = 1  # that play on the machine

    def beside(self, others: float) -> float:
        """The duty while others use `others` points."""
        if self.room is None:
            return self.duty
        duty = min(self.most, max(MIN_DUTY, (self.room - others) / self.appetite))
        return self.duty if abs(duty - self.duty) * self.appetite < QUIET_POINTS else duty

    def serves(self, wanted: Allowance) -> bool:
        """Whether workers that have this one need not be told the other."""
        if (self.workers, self.room is None) != (wanted.workers, wanted.room is None):
            return False
        return (
            abs(self.duty - wanted.duty) < 1e-6
            and abs(self.most - wanted.most) < 1e-6
            and abs((self.room or 0.0) - (wanted.room or 0.0)) < QUIET_POINTS / 2.0
            and abs(math.log(self.appetite / wanted.appetite)) < 0.1
        )


def write_allowance(host_dir: HostDirectory, allowance: Allowance) -> None:
    """Put the file in place of the last one; the workers look at it every second."""
    write_whole(host_dir.pace, line(allowance))


def read_allowance(host_dir: HostDirectory) -> Allowance:
    """What the file says; without one everything is allowed.

    Raises:
        DataError: the file is not what `write_allowance` writes.
    """
    try:
        with open_plain(host_dir.pace) as file:
            raw = file.read(_MAX_BYTES)
    except FileNotFoundError:
        return Allowance()
    except OSError as error:
        raise DataError(f"{host_dir.pace} cannot be read: {error}") from error
    return parse(raw, Allowance, str(host_dir.pace))


class Neighbours:
    """What the machine does besides the loop's workers, as one of them sees it.

    Args:
        counters: the machine's counters now.
        own: CPU seconds of this process so far.
    """

    def __init__(
        self, counters: Callable[[], CpuCounters] = lambda: read_cpu({}), own: Callable[[], float] = time.process_time
    ) -> None:
        self._recent = RecentUse(counters, own, window_s=_WINDOW_S, least_s=_LEAST_WINDOW_S)

    def use(self, workers: int) -> float | None:
        """What others used in the last seconds, points; None: not known yet.

        Args:
            workers: that play on the machine. They are taken to use as much as this one does: all keep the same duty.
        """
        use = self._recent.look()
        return None if use is None else min(100.0, max(0.0, use[0] - max(1, workers) * use[1]))


class Pace:
    """Rests in proportion to what was computed, so that the share of computing comes to the duty.

    Args:
        neighbours: what others use of the machine, points, given the number of workers; None: not known.
        own: CPU seconds of this process, by the machine's cores.
        clock: seconds of a clock that nobody sets.
        sleep: waits.
    """

    def __init__(
        self,
        neighbours: Callable[[int], float | None] | None = None,
        *,
        own: Callable[[], float] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.allowance = Allowance()
        self._own = _machine_seconds(read_cpu({}).cpus) if own is None else own
        self._used = self._own()
        self._others: float | None = None
        self._neighbours = Neighbours().use if neighbours is None else neighbours
        self._clock, self._sleep = clock, sleep
        self._duty, self._look_at = 1.0, -math.inf
        self._computed = self._passed = 0.0

    @property
    def duty(self) -> float:
        """What is allowed beside the neighbours as they were seen last."""
        if self._clock() >= self._look_at:
            self._look_at = self._clock() + _LOOK_S
            self._others = None if self.allowance.room is None else self._neighbours(self.allowance.workers)
            self._duty = self.allowance.duty if self._others is None else self.allowance.beside(self._others)
        return self._duty

    @property
    def kept(self) -> float:
        """The share of the time that was computed of late."""
        return min(1.0, max(1e-3, self._computed / self._passed)) if self._passed else self.allowance.duty

    def rest(self, busy_s: float, *, until: Callable[[], bool]) -> None:
        """Wait as long as the duty asks for after `busy_s` seconds of work, or until `until` says that it is over."""
        began, used = self._clock(), self._own()
        took_s, self._used = used - self._used, used
        while (left := began + busy_s * (1.0 / self._duty_after(busy_s, took_s) - 1.0) - self._clock()) > 0 and (
            not until()
        ):
            self._sleep(min(left, _NAP_S))
        passed = busy_s + self._clock() - began
        fades = math.exp(-passed / _MEMORY_S)
        self._computed, self._passed = self._computed * fades + busy_s, self._passed * fades + passed

    def _duty_after(self, busy_s: float, took_s: float) -> float:
        """The duty, or less where the last work took more of the machine than the coordinator has seen workers take.

        Beside a training they get little of a processor, and look as if they wanted little.
        """
        duty, room = self.duty, self.allowance.room
        if room is None or self._others is None or busy_s <= 0.0 or took_s <= 0.0:
            return duty
        appetite = 100.0 * self.allowance.workers * took_s / busy_s
        return min(duty, max(MIN_DUTY, (room - self._others) / appetite))


def _machine_seconds(cpus: float) -> Callable[[], float]:
    return lambda: time.process_time() / cpus
