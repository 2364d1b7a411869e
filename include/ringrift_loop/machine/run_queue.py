"""How long this process has waited for a processor that others had: time that its own work did not take."""

from __future__ import annotations

from pathlib import Path

_SCHEDSTAT = Path("/proc/self/schedstat")


def queued_s() -> float:
    """Seconds that the main thread was ready to run and did not, since the process began; 0 where none are told.

    Linux counts them (Documentation/scheduler/sched-stats.rst): time on a processor, time in a run queue, both in ns.
    """
    try:
        return int(_SCHEDSTAT.read_text().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0
