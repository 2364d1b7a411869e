from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ringrift_loop.machine import run_queue
from ringrift_loop.machine.run_queue import queued_s

# Two processes that want the same processor: each waits while the other has it.
_CROWD = """
import os, time
from ringrift_loop.machine.run_queue import queued_s
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
child = os.fork()
until = time.monotonic() + (0.6 if child else 1.2)
before, began, used = queued_s(), time.monotonic(), time.process_time()
while time.monotonic() < until:
    pass
if child:
    waited = time.monotonic() - began - (time.process_time() - used)
    print(queued_s() - before, waited)
    os.kill(child, 9)
    os.waitpid(child, 0)
"""


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="the kernel does not count it")
def test_waiting_for_a_processor_is_counted() -> None:
    queued, waited = map(float, subprocess.check_output([sys.executable, "-c", _CROWD], text=True).split())
    assert queued > 0.1
    assert queued == pytest.approx(waited, abs=0.1)


def test_where_nothing_is_told_nothing_has_waited(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, text in (("missing", None), ("empty", ""), ("odd", "a b c")):
        if text is not None:
            (tmp_path / name).write_text(text)
        monkeypatch.setattr(run_queue, "_SCHEDSTAT", tmp_path / name)
        assert queued_s() == 0.0
