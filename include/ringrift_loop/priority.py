"""Lower priority for a job process: workers and trainings must never starve what schedules them."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

# Linux with autogroup scheduling weighs whole sessions against each other; nice counts only within one.
_SESSION_WEIGHT = Path("/proc/self/autogroup")


def lower_priority(by: int) -> None:
    """Lower this process's priority, and its session's where it leads one.

    Args:
        by: as for `os.nice`, 0..19.
    """
    level = os.nice(by)
    if os.getpid() == os.getsid(0):
        # No such file: a kernel without autogroups, where the line above is all there is.
        with contextlib.suppress(OSError):
            _SESSION_WEIGHT.write_text(str(level))
