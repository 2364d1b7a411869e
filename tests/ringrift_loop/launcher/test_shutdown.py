from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ringrift_loop.errors import ConfigError, DataError, LoopError
from ringrift_loop.launcher.environment import LAUNCH_VARIABLE
from ringrift_loop.launcher.leftovers import (
    check_ledger,
    is_running,
    launch_lock,
    ledger_lease,
    lock_file,
    stop_local_workers,
)
from ringrift_loop.launcher.shutdown import LaunchRecord, stop_everything
from ringrift_loop.layout import RunDirectory
from ringrift_loop.ledger import leases
from ringrift_loop.ledger.database import Ledger
from ringrift_loop.ledger.migrate import migrate
from ringrift_loop.machine.processes import ProcessRecord, boot_mark, spawn

MARK = f"test-launch-{os.getpid()}"  # whoever else runs these tests on the machine has another
OBEDIENT = "import time\nprint('ready', flush=True)\ntime.sleep(60)"
DEAF = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('ready', flush=True)\ntime.sleep(60)"


def with_child(code: str) -> str:
    """A component that waits for its child, as a scheduler waits for its tasks."""
    return (
        "import signal, subprocess, sys\n"
        "signal.signal(signal.SIGTERM, lambda *_: None)\n"
        f"subprocess.run([sys.executable, '-c', {code!r}])"
    )


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def start(started: list[subprocess.Popen[bytes]], code: str) -> ProcessRecord:
    env = {**os.environ, LAUNCH_VARIABLE: MARK}
    process = spawn((sys.executable, "-c", code), env=env, stdout=subprocess.PIPE)
    started.append(process)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return ProcessRecord.of(process.pid)


def launch_of(**components: ProcessRecord) -> LaunchRecord:
    return LaunchRecord(MARK, {name.replace("_", "-"): each for name, each in components.items()})


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_components_that_obey_are_ended_without_force(started: list[subprocess.Popen[bytes]]) -> None:
    launch = launch_of(scheduler=start(started, OBEDIENT), api_server=start(started, OBEDIENT))
    workers_stopped: list[bool] = []
    assert stop_everything(launch, stop_workers=lambda: workers_stopped.append(True), limit_s=10) == []
    assert workers_stopped == [True]
    assert not any(lives(each.pid) for each in launch.components.values())


def test_tasks_are_told_to_end_when_their_scheduler_waits_for_them(started: list[subprocess.Popen[bytes]]) -> None:
    launch = launch_of(scheduler=start(started, with_child(OBEDIENT)))
    assert stop_everything(launch, stop_workers=lambda: None, limit_s=20) == []


def test_whoever_does_not_listen_is_killed_with_its_children_and_named(started: list[subprocess.Popen[bytes]]) -> None:
    launch = launch_of(scheduler=start(started, with_child(DEAF)), api_server=start(started, DEAF))
    # A child that the kernel has not taken away yet is named as well.
    assert stop_everything(launch, stop_workers=lambda: None, limit_s=2)[:2] == ["scheduler", "api-server"]
    assert not any(process.info["environ"].get(LAUNCH_VARIABLE) == MARK for process in marked())


def marked() -> list[psutil.Process]:
    found = psutil.process_iter(["environ", "status"])
    return [each for each in found if each.info["environ"] and each.info["status"] != psutil.STATUS_ZOMBIE]


def test_a_process_that_left_its_group_is_found_by_its_mark(started: list[subprocess.Popen[bytes]]) -> None:
    stray = start(started, OBEDIENT)
    killed = stop_everything(LaunchRecord(MARK), stop_workers=lambda: None, limit_s=2)
    assert len(killed) == 1
    assert str(stray.pid) in killed[0]


def test_another_launch_is_left_alone(started: list[subprocess.Popen[bytes]]) -> None:
    other = start(started, OBEDIENT)
    reused_number = LaunchRecord("another launch", {"scheduler": ProcessRecord(other.pid, "an earlier boot:1")})
    assert stop_everything(reused_number, stop_workers=lambda: None, limit_s=2) == []
    assert lives(other.pid)


def test_record_survives_the_launcher(tmp_path: Path) -> None:
    launch = launch_of(scheduler=ProcessRecord.of(os.getpid()))
    launch.save(tmp_path / "launch.json")
    assert LaunchRecord.load(tmp_path / "launch.json") == launch
    assert LaunchRecord.load(tmp_path / "missing.json") is None


def test_what_a_killed_launch_of_an_earlier_version_left_is_found_by_its_mark(
    tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    left = start(started, OBEDIENT)
    component = f'{{"name": "scheduler", "pid": {left.pid}, "start_time": 1.5}}'
    (tmp_path / "launch.json").write_text(f'{{"launch_id": "{MARK}", "components": [{component}]}}')
    launch = LaunchRecord.load(tmp_path / "launch.json")
    assert launch == LaunchRecord(MARK)
    assert stop_everything(launch, stop_workers=lambda: None, limit_s=1)
    assert not lives(left.pid)


def test_a_damaged_record_is_an_error_and_no_reason_to_start(tmp_path: Path) -> None:
    (tmp_path / "launch.json").write_text('{"launch_id": 1}')
    with pytest.raises(DataError, match="is not a launch record"):
        LaunchRecord.load(tmp_path / "launch.json")


def test_one_launch_at_a_time_owns_a_run_directory(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    with (
        launch_lock(directory),
        pytest.raises(ConfigError, match=rf"in use by another `ringrift-loop up` \(process {os.getpid()}\)"),
        launch_lock(directory),
    ):
        pass
    with launch_lock(directory):
        assert is_running(directory)
    assert not is_running(directory)


def test_the_guardian_of_a_killed_launch_holds_the_run_directory_until_it_has_ended(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    with launch_lock(directory) as lock:
        guardian = subprocess.Popen(["sleep", "0.5"], pass_fds=(lock,))
    lock_file(directory).write_text("999999999\n")  # its launcher is gone
    with pytest.raises(ConfigError, match="999999999"), launch_lock(directory, wait_s=0.0):
        pass
    with launch_lock(directory):
        assert guardian.wait(timeout=0.5) == 0


def test_one_launch_at_a_time_owns_a_ledger_also_from_another_machine(tmp_path: Path) -> None:
    url = RunDirectory(tmp_path).ledger_url
    migrate(url)
    ledger = Ledger.open(url)
    with ledger_lease(ledger) as lease:
        check_ledger(ledger, lease)
        second = pytest.raises(ConfigError, match=rf"another loop runs on this ledger .*{re.escape(lease.holder)}")
        with second, ledger_lease(Ledger.open(url)):
            pass
        with ledger.begin() as conn:  # this machine slept, and one elsewhere did not wait
            leases.acquire(conn, leases.LOOP, "elsewhere:17:0", ttl_s=60.0, at=time.time() + 61.0)
        with pytest.raises(LoopError, match=r"another one has taken its ledger: .* to elsewhere:17:0"):
            check_ledger(ledger, lease)
    with ledger.begin() as conn:
        leases.release(conn, leases.LOOP, "elsewhere:17:0")
        leases.acquire(conn, leases.LOOP, "elsewhere:17:0", ttl_s=60.0, at=time.time())
    with pytest.raises(ConfigError, match=r"by elsewhere:17:0, renewed or free in (60|59) s"), ledger_lease(ledger):
        pass


def test_the_ledger_of_a_launch_that_was_killed_here_is_free_at_once(tmp_path: Path) -> None:
    url = RunDirectory(tmp_path).ledger_url
    migrate(url)
    ledger = Ledger.open(url)
    killed = subprocess.Popen(["true"])
    killed.wait()
    with ledger.begin() as conn:
        holder = f"{socket.gethostname()}:{boot_mark()}:{killed.pid}:0"
        leases.acquire(conn, leases.LOOP, holder, ttl_s=60.0, at=time.time())
        assert leases.running_loop(conn, at=time.time()) is None
    with ledger_lease(ledger) as lease:
        check_ledger(ledger, lease)
    with ledger.begin() as conn:  # the same number on a machine of the same name says nothing
        leases.acquire(conn, leases.LOOP, holder.replace(boot_mark(), "0" * 8), ttl_s=60.0, at=time.time())
    with pytest.raises(ConfigError, match="another loop runs on this ledger"), ledger_lease(ledger):
        pass


def test_a_configuration_that_has_become_wrong_keeps_nothing_from_being_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("RINGRIFT_CONFIG", str(tmp_path / "gone.yaml"))
    stop_local_workers(RunDirectory(tmp_path))
    assert "the self-play workers could not be looked up" in caplog.text


def test_guardian_ends_what_a_killed_launcher_left(tmp_path: Path, started: list[subprocess.Popen[bytes]]) -> None:
    directory = RunDirectory(tmp_path)
    directory.airflow.mkdir(parents=True)
    component = start(started, OBEDIENT)
    launch_of(scheduler=component).save(directory.airflow / "launch.json")
    reading, writing = os.pipe()
    command = (sys.executable, "-m", "ringrift_loop.launcher.guardian", str(tmp_path), str(reading))
    guardian = subprocess.Popen(command, pass_fds=(reading,))
    os.close(reading)
    assert lives(component.pid)
    os.close(writing)  # as the kernel does when the launcher is killed
    assert guardian.wait(timeout=30) == 0
    assert not lives(component.pid)
    assert not (directory.airflow / "launch.json").exists()


def test_guardian_does_nothing_after_an_orderly_end(tmp_path: Path, started: list[subprocess.Popen[bytes]]) -> None:
    directory = RunDirectory(tmp_path)
    directory.airflow.mkdir(parents=True)
    component = start(started, OBEDIENT)
    launch_of(scheduler=component).save(directory.airflow / "launch.json")
    reading, writing = os.pipe()
    command = (sys.executable, "-m", "ringrift_loop.launcher.guardian", str(tmp_path), str(reading))
    guardian = subprocess.Popen(command, pass_fds=(reading,))
    os.write(writing, b".")
    assert guardian.wait(timeout=30) == 0
    assert lives(component.pid)
    os.close(reading)
    os.close(writing)
