"""How much of its time a worker computes: the coordinator writes a duty beside the models, the worker keeps to it.

A worker that rests on purpose sends heartbeats as always, so nobody takes it for one that hangs.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from ringrift_loop.errors import DataError
from ringrift_loop.layout import HostDirectory
from ringrift_loop.machine.files import open_plain, write_json

VERSION = 1
_MAX_BYTES = 4096
_NAP_S = 0.25  # between two looks whether the rest is over, or the worker told to stop


def write_duty(host_dir: HostDirectory, duty: float) -> None:
    """Let the workers of a host compute for a share of their time, 0..1, from their next look on."""
    if not 0.0 < duty <= 1.0:
        raise DataError(f"a duty is above 0 and at most 1, got {duty!r:.40}")
    write_json(host_dir.pace, {"v": VERSION, "duty": duty})


def read_duty(host_dir: HostDirectory) -> float:
    """The duty that the file names; 1 without one.

    Raises:
        DataError: the file holds something else.
    """
    try:
        with open_plain(host_dir.pace) as file:
            document = json.loads(file.read(_MAX_BYTES))
    except FileNotFoundError:
        return 1.0
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{host_dir.pace} names no duty: {error}") from error
    duty = document.get("duty") if isinstance(document, dict) and document.get("v") == VERSION else None
    if isinstance(duty, bool) or not isinstance(duty, (int, float)) or not 0.0 < duty <= 1.0:
        raise DataError(f"{host_dir.pace} names no duty above 0 and at most 1, got {str(document)[:80]!r}")
    return float(duty)


class Pace:
    """Rests in proportion to what was computed, so that the share of computing comes to the duty.

    Args:
        clock: seconds of a clock that nobody sets.
        sleep: waits.
    """

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.duty = 1.0
        self._clock, self._sleep = clock, sleep

    def rest(self, busy_s: float, *, until: Callable[[], bool]) -> None:
        """Wait as long as the duty asks for after `busy_s` seconds of work, or until `until` says that it is over."""
        over = self._clock() + busy_s * (1.0 / self.duty - 1.0)
        while (left := over - self._clock()) > 0 and not until():
            self._sleep(min(left, _NAP_S))
