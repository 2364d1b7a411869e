"""Lower priority for a child process: workers and trainings must never starve what schedules them."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

# Linux with autogroup scheduling weighs whole sessions against each other; nice counts only within one.
_SESSION_WEIGHT = Path("/proc/self/autogroup")
_ATTEMPTS = 1000


def lower_priority(by: int) -> bool:
    """Lower this process's priority, and its session's where it leads one.

    Args:
        by: as for `os.nice`, 0..19.

    Returns:
        False when the kernel did not take the session's weight. For 0.1 s after any process has changed one, root's
        too, it takes none from other users: hundreds that start together all find their moment within 30 s.
    """
    level = os.nice(by)
    if os.getpid() != os.getsid(0):
        return True
    for _ in range(_ATTEMPTS):
        try:
            _SESSION_WEIGHT.write_text(str(level))
        except BlockingIOError:
            time.sleep(random.uniform(0.01, 0.05))
        except OSError:
            return True  # a kernel without autogroups, where nice is all there is
        else:
            return True
    return False
