"""Worker processes: detached, one a slot, signalled only when they are the ones written down."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from ringrift_loop.cluster.agent import workers as processes
from ringrift_loop.cluster.agent.workers import WorkerSpec, read_record, start_worker, stop_worker, worker_command
from ringrift_loop.errors import DataError
from ringrift_loop.layout import HostDirectory

SPEC = WorkerSpec("a", 0)


@pytest.fixture
def folder(tmp_path: Path) -> HostDirectory:
    return HostDirectory(tmp_path / "host")


def test_a_worker_is_detached_recorded_and_alive_until_told_to_finish(folder: HostDirectory, stage: Any) -> None:
    record = start_worker(folder, SPEC, stage.command)
    stage.wait_for(1)
    assert os.getsid(record.pid) == record.pid != os.getsid(0)
    assert read_record(folder, 0) == record
    assert record.alive
    assert stop_worker(folder, 0)
    with contextlib.suppress(ChildProcessError):  # reaped already
        os.waitpid(record.pid, 0)
    assert not record.alive
    assert not stop_worker(folder, 0)


def test_a_slot_runs_one_worker(folder: HostDirectory, stage: Any) -> None:
    first = start_worker(folder, SPEC, stage.command)
    assert start_worker(folder, SPEC, stage.command) == first
    stage.wait_for(1)


def test_a_pid_that_belongs_to_another_by_now_is_never_signalled(folder: HostDirectory) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        record = {"v": 1, "pid": stranger.pid, "start": "an earlier boot:123", "variant": "square8_2p"}
        folder.worker_process(0).parent.mkdir(parents=True)
        folder.worker_process(0).write_text(json.dumps(record))
        assert not stop_worker(folder, 0)
        assert not stop_worker(folder, 0, kill=True)
        assert stranger.poll() is None
        stranger.communicate(b"\n")
    assert stranger.returncode == 0


def test_a_worker_whose_starter_died_before_writing_it_down_is_found_by_its_heartbeat(
    folder: HostDirectory, stage: Any
) -> None:
    pid = start_worker(folder, SPEC, stage.command).pid
    stage.wait_for(1)
    folder.worker_process(0).unlink()
    found = start_worker(folder, SPEC, stage.command)
    assert (found.pid, found.variant) == (pid, None)
    assert stop_worker(folder, 0)


def test_a_heartbeat_that_names_a_strangers_pid_adopts_nothing(folder: HostDirectory) -> None:
    folder.heartbeat(0).parent.mkdir(parents=True)
    for pid in (os.getpid(), 1, -1, "x", None):
        folder.heartbeat(0).write_text(json.dumps({"pid": pid}))
        assert read_record(folder, 0) is None


def test_a_stubborn_worker_and_its_children_are_killed_as_a_group(folder: HostDirectory, stage: Any) -> None:
    stage.manner = "stubborn"
    record = start_worker(folder, SPEC, stage.command)
    stage.wait_for(1)
    stop_worker(folder, 0, at=5.0)
    asked = read_record(folder, 0)
    assert asked is not None
    assert (asked.alive, asked.stop_requested_at) == (True, 5.0)
    stop_worker(folder, 0, kill=True, at=9.0)
    with contextlib.suppress(ChildProcessError):  # reaped already
        os.waitpid(record.pid, 0)
    again = read_record(folder, 0)
    assert again is not None
    assert (again.alive, again.stop_requested_at) == (False, 5.0)


def test_an_unreadable_record_stops_everything_instead_of_starting_a_second_worker(
    folder: HostDirectory, stage: Any
) -> None:
    folder.worker_process(0).parent.mkdir(parents=True)
    folder.worker_process(0).write_text('{"v": 1, "pid"')
    with pytest.raises(DataError, match="not a process record"):
        start_worker(folder, SPEC, stage.command)


def test_a_worker_inherits_no_secrets_of_its_starter(
    folder: HostDirectory, stage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "secret")
    monkeypatch.setenv("RINGRIFT_LEDGER_URL", "postgresql://user:password@host/db")
    monkeypatch.setenv("RINGRIFT_CONFIG", "/some/file.yaml")
    record = start_worker(folder, SPEC, stage.command)
    stage.wait_for(1)
    environment = psutil.Process(record.pid).environ()
    assert environment["RINGRIFT_CONFIG"] == "/some/file.yaml"
    assert not [key for key in environment if key.startswith("AIRFLOW") or "LEDGER" in key]


def test_output_goes_to_the_slots_log_and_a_large_log_is_set_aside(
    folder: HostDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shout(_folder: HostDirectory, _spec: WorkerSpec) -> list[str]:
        return [sys.executable, "-c", "import sys; print('out'); print('err', file=sys.stderr)"]

    monkeypatch.setattr(processes, "_LOG_LIMIT_BYTES", 5)
    for _ in range(2):
        with contextlib.suppress(ChildProcessError):  # reaped already
            os.waitpid(start_worker(folder, SPEC, shout).pid, 0)
    assert folder.worker_log(0).read_text() == "out\nerr\n"
    assert folder.worker_log(0).with_suffix(".1.log").read_text() == "out\nerr\n"


def test_the_real_command_is_understood_by_the_real_parser(folder: HostDirectory) -> None:
    from ringrift_loop.cli import build_parser

    spec = WorkerSpec("a", 3, Path("/config.yaml"))
    command = worker_command(folder, spec)
    assert command[:3] == [sys.executable, "-m", "ringrift_loop.cli"]
    args = build_parser("selfplay").parse_args(command[3:])
    assert (args.root, args.plan, args.variant, args.slot, args.nice) == (folder.root, True, None, 3, 15)
    assert (args.host, args.config_file) == ("a", Path("/config.yaml"))
