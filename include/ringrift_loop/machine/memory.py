"""What processes use of this machine's memory, how much they may use, and the watch that tells when it is too much.

What counts is what would be free if they ended: their own pages, shared memory and what was swapped out. Pages of files
count for nobody, the kernel drops them when memory is wanted. Address space is no measure: numba, torch and CUDA
reserve many times what they use.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil

from ringrift_loop.machine.cgroups import CGROUPS, Cgroups

GIB = 1 << 30
_KIB = 1024
_PART = "RssAnon", "RssShmem", "VmSwap"
_EXACT = "Pss_Anon", "Pss_Shmem", "SwapPss"
_LOOK_SHARE = 0.02  # of the watcher's time, for looking

WORKER_LEAST_GIB = 2.0
"""What any worker may use. Measured with 64 games at once: 0.3 GiB on hexagonal_4p, the largest variant, with a network
of 2 blocks x 32 channels; 0.5 GiB while it compiles its kernels. The rest is for larger networks and the change of
models."""
GPU_WORKER_LEAST_GIB = 6.0
"""The same with an NVIDIA driver: torch and CUDA take 2 to 3 GiB of the host's memory, by what is known of them; this
project has not measured it."""
_WORKERS_SHARE = 0.5  # of the machine's memory, for a worker on every core
_JOB_SHARE = 0.5  # of the machine's memory, for one job: a training, or the games of a gate


def memory_total(cgroups: Cgroups = CGROUPS) -> int:
    """The memory that this process's machine or container has, bytes."""
    total = int(psutil.virtual_memory().total)
    limit = cgroups.memory_limit()
    return total if limit is None else min(total, limit.limit_bytes)


def worker_limit(memory_gb: float = 0.0, cgroups: Cgroups = CGROUPS) -> int:
    """The bytes that a self-play worker may use: what is configured, or a share of this machine's memory.

    Args:
        memory_gb: GiB; 0 derives it: a worker is one core's work and gets its core's share of half the memory, and
            at least what the largest variant needs, more where a worker evaluates on a GPU.
        cgroups: where limits are looked up.
    """
    if memory_gb:
        return int(memory_gb * GIB)
    limit = cgroups.cpu_limit()
    cores = float(psutil.cpu_count() or 1)
    cores = cores if limit is None else max(1.0, min(cores, limit.cores))
    least = GPU_WORKER_LEAST_GIB if has_gpu_driver() else WORKER_LEAST_GIB
    return max(int(least * GIB), int(_WORKERS_SHARE * memory_total(cgroups) / cores))


def has_gpu_driver() -> bool:
    """Whether NVIDIA's driver is there, so that a program may compute on a GPU."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


def job_limit(memory_gb: float = 0.0, cgroups: Cgroups = CGROUPS) -> int:
    """The bytes that a job may use with everything it starts: what is configured (GiB), or half of the memory."""
    return int(memory_gb * GIB) if memory_gb else int(_JOB_SHARE * memory_total(cgroups))


def cap_own_data(limit_bytes: int) -> None:
    """Let this process's own requests for memory fail far above its limit, where no watch would be quick enough.

    The kernel counts what is asked for, not what is used: a worker asks for a third more than it uses, so the cap is
    well above the limit. Nothing is done where there is a GPU driver: it asks for much that nobody uses.
    """
    if sys.platform == "linux" and not has_gpu_driver():
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        wanted = 2 * limit_bytes + GIB
        resource.setrlimit(
            resource.RLIMIT_DATA, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard)
        )


def over_text(used_bytes: int, limit_bytes: int) -> str:
    """`used 3.2 GiB of its 3.0 GiB`, with as many digits as it takes to see that it is more."""
    digits = 1 if used_bytes - limit_bytes >= GIB // 10 else 3
    return f"used {used_bytes / GIB:.{digits}f} GiB of its {limit_bytes / GIB:.{digits}f} GiB"


def used_bytes(pids: Iterable[int]) -> int:
    """What processes use together; memory that they share counts once for each, so it is an upper bound."""
    return sum(_sum(pid, "status", _PART) for pid in pids)


class MemoryWatch:
    """Looks now and then at what a process uses with all that it has started.

    Args:
        leader: leads the session that is watched; what has left the session counts as long as a parent is in it.
        limit_bytes: what they may use together.
        clock: seconds of a clock that nobody sets.
    """

    def __init__(self, leader: int, limit_bytes: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._leader, self.limit_bytes, self._clock = leader, limit_bytes, clock
        self._next = 0.0

    def excess(self) -> str | None:
        """`used ... of its ...` when it is too much; None when it is not, and between two looks."""
        began = self._clock()
        if began < self._next:
            return None
        pids = family(self._leader)
        used = used_bytes(pids)
        if used > self.limit_bytes:
            used = _exact_bytes(pids)  # slower, so only when it matters
        # On a machine with thousands of processes a look takes its time.
        self._next = began + (self._clock() - began) / _LOOK_SHARE
        return over_text(used, self.limit_bytes) if used > self.limit_bytes else None


def family(leader: int) -> set[int]:
    """The processes of a session, and their descendants wherever they went."""
    if sys.platform != "linux":
        with contextlib.suppress(psutil.Error):
            return {leader, *(child.pid for child in psutil.Process(leader).children(recursive=True))}
        return set()
    found, children = {leader}, dict[int, list[int]]()
    for pid in psutil.pids():
        with contextlib.suppress(OSError, ValueError, IndexError):
            # The second field, the name in brackets, may hold anything; 4 is the parent, 6 the session.
            fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
            children.setdefault(int(fields[1]), []).append(pid)
            if int(fields[3]) == leader:
                found.add(pid)
    waiting = list(found)
    while waiting:
        for child in children.get(waiting.pop(), ()):
            if child not in found:
                found.add(child)
                waiting.append(child)
    return found


def _exact_bytes(pids: Iterable[int]) -> int:
    """As `used_bytes`, with shared memory divided among those who share it, where the kernel tells."""
    return sum(_sum(pid, "smaps_rollup", _EXACT) or _sum(pid, "status", _PART) for pid in pids)


def _sum(pid: int, file: str, names: tuple[str, ...]) -> int:
    """Fields `name: 123 kB` of a process's file, added up in bytes; 0 for one that has ended."""
    total = 0
    try:
        for line in Path(f"/proc/{pid}/{file}").read_text(errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name in names:
                total += int(value.split()[0]) * _KIB
    except (OSError, ValueError, IndexError):
        with contextlib.suppress(psutil.Error):
            return int(psutil.Process(pid).memory_info().rss) if sys.platform != "linux" else 0
    return total
