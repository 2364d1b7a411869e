"""How long others had the processor instead of this process: time that its own work did not take."""

from __future__ import annotations

from pathlib import Path

from ringrift_loop.machine.giving_way import rested_s

_SCHEDSTAT = Path("/proc/self/schedstat")


def queued_s() -> float:
    """Seconds that the main thread was ready to run and did not, or gave way, since the process began.

    Linux counts the former (Documentation/scheduler/sched-stats.rst): time on a processor, time in a run queue, both in
    ns; elsewhere they are unknown and count as 0.
    """
    try:
        waited = int(_SCHEDSTAT.read_text().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        waited = 0.0
    return waited + rested_s()
