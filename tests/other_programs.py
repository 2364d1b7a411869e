"""Programs of others that tests start, Airflow or sshd. That one of them does not end is no finding about the loop."""

from __future__ import annotations

import contextlib
import subprocess
from typing import Any

import psutil


def end(process: subprocess.Popen[Any], *, grace_s: float = 20.0) -> None:
    """End it, and by force after a while: it and all that it has started.

    Under load Airflow's scheduler was seen to live on after SIGTERM, for minutes.
    """
    family: list[psutil.Process] = []
    with contextlib.suppress(psutil.NoSuchProcess):
        family = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    try:
        process.wait(grace_s)
    except subprocess.TimeoutExpired:
        process.kill()
        for member in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()  # psutil knows a pid that is somebody else's by now
        process.wait()
