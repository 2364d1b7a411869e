"""How busy this machine is, and with whose work, from the kernel's counters.

A container with a limit on its CPUs is a machine of its own: its limit is 100 %, and what runs within it is what
counts. GPUs are asked by NVML where there is a driver.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import psutil
from msgspec import Meta

from ringrift_loop.machine.cgroups import CGROUPS, Cgroups

LEAST_S = 5.0  # between two readings that tell something
_WHOLE_DISK = 200 << 30


@dataclass(frozen=True)
class CpuCounters:
    """CPU seconds up to a moment; two of the same machine make a `CpuUse`."""

    machine: str  # id of the machine or limited container, until its next start
    at: float  # seconds since the machine's start
    busy_s: float  # of all processes
    groups: Mapping[str, float]  # of the groups that were asked for, with their children that have ended
    cpus: float  # cores that 100 % stands for


@dataclass(frozen=True)
class CpuUse:
    """Average use between two readings, percent of the machine."""

    cpu_percent: float
    groups: Mapping[str, float]
    seconds: float


def read_cpu(groups: Mapping[str, Collection[int]], cgroups: Cgroups = CGROUPS) -> CpuCounters:
    """The counters now.

    Args:
        groups: name -> pids; each stands for its descendants too, and a process counts in the first group that has it.
        cgroups: where limits are looked up.
    """
    limit = cgroups.cpu_limit()
    taken: set[int] = set()
    seconds: dict[str, float] = {}
    for name, pids in groups.items():
        members = _with_descendants(pids) - taken
        taken |= members
        seconds[name] = sum(map(_seconds, members))
    times = psutil.cpu_times()
    at = time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()
    if limit is not None and limit.cores < (psutil.cpu_count() or 1):
        machine = f"{_boot()}-{limit.folder.stat().st_ino}"
        return CpuCounters(machine, at, limit.usage_s(), seconds, limit.cores)
    idle = times.idle + getattr(times, "iowait", 0.0)
    # A guest's time is counted in user and nice already; what a hypervisor takes away is work of others.
    guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    return CpuCounters(_boot(), at, sum(times) - idle - guests, seconds, float(psutil.cpu_count() or 1))


def cpu_use(before: CpuCounters, now: CpuCounters) -> CpuUse | None:
    """The use between two readings; None when they are not of one machine, too close, or a group's processes ended."""
    passed = now.at - before.at
    if before.machine != now.machine or before.cpus != now.cpus or passed < LEAST_S:
        return None
    if any(seconds < before.groups.get(name, 0.0) for name, seconds in now.groups.items()):
        return None  # processes of a group have ended, and with them what is known of whose work it was

    def percent(late: float, early: float) -> float:
        return min(100.0, max(0.0, 100.0 * (late - early) / (passed * now.cpus)))

    groups = {name: percent(seconds, before.groups.get(name, 0.0)) for name, seconds in now.groups.items()}
    return CpuUse(percent(now.busy_s, before.busy_s), groups, passed)


class RecentUse:
    """What the machine does now, beside what some processes do, for those who look every second or two.

    Args:
        counters: the machine's counters now.
        part: CPU seconds of those processes so far.
        window_s: over which the use is averaged.
        least_s: before so much has passed nothing is known.
    """

    def __init__(
        self, counters: Callable[[], CpuCounters], part: Callable[[], float], *, window_s: float, least_s: float
    ) -> None:
        self._counters, self._part = counters, part
        self._window_s, self._least_s = window_s, least_s
        self._seen: deque[tuple[CpuCounters, float]] = deque()
        self.cpus = 1.0  # cores that 100 % stands for

    def look(self) -> tuple[float, float] | None:
        """The use of the whole machine and of the part in the last seconds, percent; None: not known yet."""
        now, part = self._counters(), self._part()
        if self._seen:
            last, part_before = self._seen[-1]
            # Where processes have ended, what is known of their work has ended with them.
            if (now.machine, now.cpus) != (last.machine, last.cpus) or part < part_before:
                self._seen.clear()
        self._seen.append((now, part))
        self.cpus = now.cpus
        while len(self._seen) > 2 and now.at - self._seen[1][0].at >= self._window_s:
            self._seen.popleft()
        first, part_before = self._seen[0]
        if now.at - first.at < self._least_s:
            return None
        seconds = (now.at - first.at) * now.cpus
        return 100.0 * (now.busy_s - first.busy_s) / seconds, 100.0 * (part - part_before) / seconds


def memory_percent(cgroups: Cgroups = CGROUPS) -> float:
    """Memory in use that cannot be had at once, percent of the machine's or of the container's limit."""
    machine = psutil.virtual_memory()
    limit = cgroups.memory_limit()
    if limit is not None and limit.limit_bytes < machine.total:
        return 100.0 * limit.used_bytes / limit.limit_bytes
    return 100.0 * (machine.total - machine.available) / machine.total


def disk_percent(folder: Path) -> float:
    """What is taken of a folder's file system, percent: of its room or its files, whichever is scarcer.

    Of one above 200 GiB the last 200 GiB count as the whole: 10 GiB free are scarce, however much lies beside them.

    Raises:
        OSError: there is no such folder.
    """
    status = os.statvfs(folder)
    room = min(status.f_blocks * status.f_frsize, _WHOLE_DISK)
    taken = [1.0 - status.f_bavail * status.f_frsize / room] if room else []
    taken += [1.0 - status.f_favail / status.f_files] if status.f_files else []
    return min(100.0, max(0.0, 100.0 * max(taken, default=0.0)))


@dataclass(frozen=True)
class GpuUse:
    """One GPU at this moment; None where the driver does not tell."""

    index: Annotated[int, Meta(ge=0, lt=64)]
    percent: Annotated[float, Meta(ge=0, le=100)] | None
    memory_used_mib: Annotated[int, Meta(ge=0, lt=1 << 32)]
    memory_total_mib: Annotated[int, Meta(ge=0, lt=1 << 32)]
    mig: bool = False  # split by its owner: its own figures are those of no part


def read_gpus() -> tuple[tuple[GpuUse, ...], str | None]:
    """Every GPU, and what is wrong where the driver is there and does not answer; no GPU is no fault."""
    try:
        import pynvml
    except ImportError:
        return (), None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        absent = (pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_DRIVER_NOT_LOADED)
        return (), None if error.value in absent else f"NVML: {error}"
    try:
        return tuple(_gpu(index) for index in range(pynvml.nvmlDeviceGetCount())), None
    except pynvml.NVMLError as error:
        return (), f"NVML: {error}"
    finally:
        with contextlib.suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()


def _gpu(index: int) -> GpuUse:
    import pynvml

    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    mig, percent = False, None
    with contextlib.suppress(pynvml.NVMLError):  # older than MIG
        mig = pynvml.nvmlDeviceGetMigMode(handle)[0] == pynvml.NVML_DEVICE_MIG_ENABLE
    with contextlib.suppress(pynvml.NVMLError):  # not told for a card that is split
        percent = float(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu)
    return GpuUse(index, percent, int(memory.used) >> 20, int(memory.total) >> 20, mig)


def _with_descendants(pids: Collection[int]) -> set[int]:
    found: set[int] = set()
    children = _children()
    waiting = list(pids)
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += children.get(pid, ())
    return found


def _children() -> dict[int, list[int]]:
    children: dict[int, list[int]] = {}
    for process in psutil.process_iter(["pid", "ppid"]):
        children.setdefault(process.info["ppid"], []).append(process.info["pid"])
    return children


def _seconds(pid: int) -> float:
    """CPU seconds of a process and of its children that have ended; 0 when it is gone."""
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return f"{psutil.boot_time():.0f}"
