"""What processes use, measured on real ones."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from ringrift_loop.machine import memory
from ringrift_loop.machine.memory import GIB, MemoryWatch, family, over_text, used_bytes, worker_limit

MIB = 1 << 20
# Takes 80 MiB, then makes a child that shares them, and one in a session of its own.
SHARING = (
    "import os, time\n"
    "kept = b'x' * (80 << 20)\n"
    "if os.fork() == 0: time.sleep(600)\n"
    "if os.fork() == 0: os.setsid(); time.sleep(600)\n"
    "print('ready', flush=True); time.sleep(600)"
)


@pytest.fixture
def sharing() -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-S", "-c", SHARING], stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    process.stdout.readline()
    yield process.pid
    for pid in family(process.pid):
        subprocess.run(["kill", "-9", str(pid)], check=False)
    process.wait(10)
    process.stdout.close()


def wait(found: Callable[[], bool]) -> None:
    over = time.monotonic() + 20.0
    while not found():
        assert time.monotonic() < over, "it did not happen in time"
        time.sleep(0.02)


def test_descendants_count_wherever_they_went(sharing: int) -> None:
    wait(lambda: len(family(sharing)) == 3)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what is shared")
def test_memory_that_processes_share_counts_once_before_anybody_is_ended_for_it(sharing: int) -> None:
    wait(lambda: used_bytes(family(sharing)) > 3 * 80 * MIB)
    assert MemoryWatch(sharing, 160 * MIB).excess() is None
    excess = MemoryWatch(sharing, 70 * MIB).excess()
    assert excess is not None
    assert excess.endswith("of its 0.068 GiB") and excess.startswith("used 0.0")


def test_looking_takes_a_fiftieth_of_the_time_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    now, looked_s = 0.0, 0.0

    def slow(leader: int) -> set[int]:  # as on a machine with thousands of processes
        nonlocal now, looked_s
        now, looked_s = now + 0.05, looked_s + 0.05
        return {leader}

    monkeypatch.setattr(memory, "family", slow)
    watch = MemoryWatch(1 << 30, 1, clock=lambda: now)
    while now < 100.0:
        watch.excess()
        now += 0.5
    assert 0.0 < looked_s <= 2.05


def test_the_text_shows_that_it_is_more() -> None:
    assert over_text(int(3.2 * GIB), 3 * GIB) == "used 3.2 GiB of its 3.0 GiB"
    assert over_text(3 * GIB + 5 * MIB, 3 * GIB) == "used 3.005 GiB of its 3.000 GiB"


def test_what_is_configured_is_the_limit() -> None:
    assert worker_limit(0.5) == GIB // 2
