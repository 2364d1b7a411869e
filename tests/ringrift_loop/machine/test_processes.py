"""Processes that are written down, signalled and found only when they are the ones that were meant."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ringrift_loop.cluster.agent.job_supervisor import Supervisor
from ringrift_loop.cluster.agent.workers import WorkerRecord
from ringrift_loop.errors import DataError
from ringrift_loop.machine.processes import ProcessRecord, kill_marked, marked_processes

FORKS = """
import os, time
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
time.sleep(60)
"""


def test_a_record_knows_its_process_by_its_start_and_not_by_its_number(tmp_path: Path) -> None:
    ours = ProcessRecord.of(os.getpid())
    ours.write(tmp_path / "record.json")
    assert ProcessRecord.read(tmp_path / "record.json") == ours
    assert ours.alive
    assert not ProcessRecord(os.getpid(), "an earlier boot:12").alive
    assert ProcessRecord.read(tmp_path / "none.json") is None


def test_a_child_that_has_ended_is_dead_and_leaves_no_zombie() -> None:
    with subprocess.Popen([sys.executable, "-S", "-c", ""], stdout=subprocess.PIPE) as child:
        record = ProcessRecord.of(child.pid)
        assert child.stdout is not None
        child.stdout.read()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not record.alive
        with pytest.raises(ChildProcessError):
            os.waitpid(child.pid, os.WNOHANG)


def test_records_of_earlier_versions_are_read(tmp_path: Path) -> None:
    worker = {"v": 1, "pid": 5, "start": "boot:7", "variant": "hex8_2p", "stop_requested_at": None}
    (tmp_path / "0.pid.json").write_text(json.dumps(worker))
    assert WorkerRecord.read(tmp_path / "0.pid.json") == WorkerRecord(5, "boot:7", "hex8_2p")
    (tmp_path / "process.json").write_text('{"v": 1, "pid": 5, "start": "boot:7", "token": "ab"}')
    assert Supervisor.read(tmp_path / "process.json") == Supervisor(5, "boot:7", "ab")


@pytest.mark.parametrize(
    "text",
    [
        '{"v": 1, "pid": -1, "start": "x"}',
        '{"v": 1, "pid": 2147483648, "start": "x"}',
        '{"v": 1, "pid"',
        '{"v": 2, "pid": 5, "start": "x"}',
        '{"v": 1, "pid": "5", "start": "x"}',
        "[]",
        "[" * 10**5,
    ],
)
def test_what_is_no_record_is_refused_with_the_file_and_the_remedy(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(DataError, match=r"x.json is not a process record: .*; end the process by hand and delete"):
        ProcessRecord.read(tmp_path / "x.json")


def test_everything_with_a_mark_is_killed_wherever_it_went_and_nothing_else() -> None:
    code = [sys.executable, "-S", "-c", FORKS]
    with (
        subprocess.Popen(code, env={"RINGRIFT_TEST_MARK": "this one"}, start_new_session=True) as ours,
        subprocess.Popen(code, env={"RINGRIFT_TEST_MARK": "another"}, start_new_session=True) as other,
    ):
        while len(marked_processes("RINGRIFT_TEST_MARK", "this one")) < 8:
            assert ours.poll() is None
        assert len(kill_marked("RINGRIFT_TEST_MARK", "this one")) == 8
        assert marked_processes("RINGRIFT_TEST_MARK", "this one") == []
        assert other.poll() is None
        assert kill_marked("RINGRIFT_TEST_MARK", "another")
