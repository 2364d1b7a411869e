"""Work that others come before: a job rests between its steps while strangers leave it less than it takes.

Self-play gives way first (`selfplay/pace.py`), down to almost nothing. What a training or a gate takes beside it is
whole cores, which strangers would find taken. So a job that is told how much of the machine the loop and others may use
together looks every other second at what processes that are not the loop's use, and rests until its own share is within
what is left. It is told by `ROOM_VARIABLE`; without that, as from a terminal, it rests never.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable

import psutil

from ringrift_loop.errors import ConfigError
from ringrift_loop.machine.utilization import CpuCounters, RecentUse, read_cpu

ROOM_VARIABLE = "RINGRIFT_CPU_ROOM"
"""Percent of the machine that strangers and the loop may use together; unset or 100: all of it."""
LEAST_SHARE = 0.1
"""Of the time, that a job works in any case: it has a limit to end within."""
LOOP_POINTS = 15.0
"""Percent of the machine that is left to the rest of the loop: Airflow, and workers at their least duty; on two cores
they were seen to use 7 and 10."""
_OURS = "RINGRIFT_"
_PROGRAM = "ringrift_loop.cli"
_LOOK_S = 2.0
_WINDOW_S = 5.0
_LEAST_WINDOW_S = 1.0
_NAP_S = 0.5
_LEAST_NAP_S = 0.001


class OurProcesses:
    """The loop's processes on this machine, as far as this user may look at them.

    They are this process, and those that run the command line or have one of its variables in their environment.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[int, float], tuple[bool, bool]] = {}
        self.jobs = 1

    def seconds(self) -> float:
        """CPU seconds of those that run, and of their children that have ended; counts the jobs among them."""
        known, self._known = self._known, {}
        total, jobs = 0.0, {}
        for process in psutil.process_iter(["ppid", "create_time", "cpu_times"]):
            key = (process.pid, process.info["create_time"] or 0.0)
            ours, is_job = self._known[key] = known.get(key) or _kind(process)
            times = process.info["cpu_times"]
            if ours and times is not None:
                total += times.user + times.system + times.children_user + times.children_system
            if is_job:
                jobs[process.pid] = process.info["ppid"]
        self.jobs = max(1, sum(parent not in jobs for parent in jobs.values()))
        return total


def _kind(process: psutil.Process) -> tuple[bool, bool]:
    """Whether a process is the loop's, and whether it is one that gives way, or a child of such a one."""
    try:
        words, environment = process.cmdline(), process.environ()
    except psutil.Error:
        return process.pid == os.getpid(), False
    ours = process.pid == os.getpid() or _PROGRAM in words or any(name.startswith(_OURS) for name in environment)
    return ours, ROOM_VARIABLE in environment


class GivingWay:
    """Rests between steps so that the jobs of a machine stay within what strangers leave of `room`.

    Args:
        room: percent of the machine that strangers and the loop may use together; None: all of it, it rests never.
        ours: the loop's processes; None: those of this machine.
        counters: the machine's counters now.
        own: CPU seconds of this process.
        clock: seconds of a clock that nobody sets.
        sleep: waits.
    """

    def __init__(
        self,
        room: float | None,
        ours: OurProcesses | None = None,
        *,
        counters: Callable[[], CpuCounters] = lambda: read_cpu({}),
        own: Callable[[], float] = time.process_time,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.rested_s = 0.0
        self._room = None if room is None or room >= 100.0 else room
        self._ours = OurProcesses() if ours is None else ours
        self._recent = RecentUse(counters, self._ours.seconds, window_s=_WINDOW_S, least_s=_LEAST_WINDOW_S)
        self._own, self._clock, self._sleep = own, clock, sleep
        self._look_at, self._cores = -math.inf, math.inf
        self._at, self._used = clock(), own()

    @classmethod
    def told(cls) -> GivingWay:
        """As the environment says.

        Raises:
            ConfigError: it says no percentage.
        """
        text = os.environ.get(ROOM_VARIABLE, "")
        try:
            return cls(float(text) if text else None)
        except ValueError as error:
            raise ConfigError(
                f"{ROOM_VARIABLE} must be a percentage such as 70, or unset, got {text[:40]!r}"
            ) from error

    def rest(self) -> None:
        """Wait as long as the work since the last call asks for."""
        if self._room is None:
            return
        began = self._clock()
        busy, used = began - self._at, self._own() - self._used
        while (left := min(used / self._allowed(), busy / LEAST_SHARE) - (self._clock() - self._at)) > _LEAST_NAP_S:
            self._sleep(min(left, _NAP_S))
        self._at, self._used = self._clock(), self._own()
        self.rested_s += self._at - began

    def _allowed(self) -> float:
        """Cores that this process may use."""
        if self._room is not None and self._clock() >= self._look_at:
            self._look_at = self._clock() + _LOOK_S
            use = self._recent.look()
            if use is not None:
                strangers = min(100.0, max(0.0, use[0] - use[1]))
                left = max(0.1, self._room - strangers - LOOP_POINTS)
                self._cores = left / 100.0 * self._recent.cpus / self._ours.jobs
        return self._cores


_here: GivingWay | None = None


def give_way() -> None:
    """Rest between two steps of work as long as the environment and the machine's strangers ask for."""
    global _here
    if _here is None:
        _here = GivingWay.told()
    _here.rest()


def rested_s() -> float:
    """Seconds that this process has rested so far."""
    return 0.0 if _here is None else _here.rested_s
