"""A process that outlives a killed launcher by a few seconds and ends what it left behind.

It holds the reading end of a pipe. A launcher that ends as it should writes one byte first; a launcher that is killed
closes the pipe without a word, and then the guardian ends everything the launch record names, as the launcher would
have. Run as `python -m ringrift_loop.launcher.guardian RUN_DIRECTORY PIPE LOCK`.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from ringrift_loop.layout import RunDirectory


def wait_and_clean(directory: RunDirectory, pipe: int) -> bool:
    """Wait until the launcher is gone; True when it had been killed and this process cleaned up."""
    if os.read(pipe, 1):
        return False
    from ringrift_loop.launcher.leftovers import end_leftovers

    end_leftovers(directory, spare=(os.getpid(),))
    return True


def main(arguments: list[str]) -> int:
    """Entry point; the lock's descriptor is held open until the clean-up is over."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    wait_and_clean(RunDirectory(Path(arguments[0])), int(arguments[1]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
