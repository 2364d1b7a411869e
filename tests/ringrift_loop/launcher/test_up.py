"""One real start of the whole stack, on free ports in a folder of its own, and two ways to end it."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ringrift_loop.launcher.airflow_api import COMPONENTS, AirflowApi
from ringrift_loop.launcher.environment import LAUNCH_VARIABLE
from ringrift_loop.layout import RunDirectory
from ringrift_loop.ledger import leases, promotions, state
from ringrift_loop.ledger.database import Ledger
from ringrift_loop.ledger.migrate import migrate
from ringrift_loop.ledger.run_directory import claim

PROJECT = Path(__file__).resolve().parents[3]
START_LIMIT_S = 240.0
pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Up:
    """A running `ringrift-loop up` and what it has printed."""

    def __init__(self, home: Path, *options: str, **variables: str) -> None:
        self.port, self.metrics_port = free_port(), free_port()
        env = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "RINGRIFT"))}
        # What a shell may bring along.
        env |= {"http_proxy": "http://127.0.0.1:9", "AIRFLOW__CORE__EXECUTOR": "NoSuchExecutor"} | variables
        env["RINGRIFT__METRICS_PORT"] = str(self.metrics_port)
        env["RINGRIFT__STATSD_PORT"] = str(free_port(socket.SOCK_DGRAM))
        command = (sys.executable, "-m", "ringrift_loop.cli", "up", "--home", str(home), "--port", str(self.port))
        command = (*command, *options)
        self.process = subprocess.Popen(command, cwd=PROJECT, env=env, stderr=subprocess.PIPE, text=True)
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as stream:
            for text in stream:
                with self._news:
                    self.lines.append(text.rstrip())
                    self._news.notify_all()
        with self._news:
            self.lines.append("(end)")
            self._news.notify_all()

    def wait_for(self, pattern: str, limit_s: float) -> str:
        """The first line that matches."""

        def found() -> str | None:
            return next((each for each in self.lines if re.search(pattern, each) or each == "(end)"), None)

        with self._news:
            line = self._news.wait_for(found, timeout=limit_s)
        assert line is not None and line != "(end)", f"no line with {pattern!r} in {self.lines}"
        return line

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)
        self._reader.join()


def run_directory(folder: Path) -> Path:
    return folder / "50% of it, läuft?"


def champions_of(home: Path) -> set[str]:
    with Ledger.open(RunDirectory(home).ledger_url).read() as connection:
        return set(promotions.all_champions(connection))


def processes_of(home: Path) -> list[psutil.Process]:
    """Everything alive that was started for this run directory, the launcher and its guardian included."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            environment = process.environ()
            is_ours = environment.get("RINGRIFT_HOME") == str(home) and LAUNCH_VARIABLE in environment
            if (is_ours or str(home) in process.cmdline()) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


@pytest.fixture
def up(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Up]:
    """A start with the options that a test asks for."""
    # Halted: the stack runs and syncs, and no self-play takes the cores from it.
    home = run_directory(tmp_path)
    url = RunDirectory(home).ledger_url
    migrate(url)
    with Ledger.open(url).begin() as connection:
        state.set_halt(connection, True, at=time.time())
    running = Up(home, *getattr(request, "param", ()))
    yield running
    running.end()


def test_the_stack_starts_works_survives_a_killed_component_and_ends_without_a_trace(up: Up, tmp_path: Path) -> None:
    up.wait_for(f"the loop is up: http://127.0.0.1:{up.port}", START_LIMIT_S)
    home = run_directory(tmp_path)
    command = up.wait_for("for the airflow command", 10)
    assert shlex.split(command)[-2:] == ["source", str(home / "airflow" / "environment.sh")]

    assert champions_of(home) == {"square8_2p", "hex8_2p"}  # those that come with the package

    api = AirflowApi(f"http://127.0.0.1:{up.port}")
    assert api.health() == dict.fromkeys(COMPONENTS, "healthy")
    assert api.import_errors() == {}
    assert api.paused_dags() == []
    with urllib.request.urlopen(f"http://127.0.0.1:{up.metrics_port}/metrics", timeout=10) as page:
        assert page.status == 200

    # No login, so no site that points its own name here is answered.
    stranger = urllib.request.Request(f"http://127.0.0.1:{up.port}/auth/token", headers={"Host": "stranger.example"})
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(stranger, timeout=10)
    assert any("the page has no login" in each for each in up.lines)
    # The ledger was there before, made with this test's umask.
    # A model's own folder is open, as it is on hosts; the one around it is not.
    open_to_others = ["find", str(home), "-perm", "/077", "-not", "-name", "ledger.db*", "-not", "-path", "*/models/*"]
    assert subprocess.run(open_to_others, capture_output=True, text=True, check=False).stdout == ""

    # A dead component comes back, with a line that says so.
    (triggerer,) = [
        each for each in processes_of(home) if "triggerer" in each.cmdline() and each.ppid() == up.process.pid
    ]
    triggerer.kill()
    up.wait_for("triggerer was ended by signal 9; starting it again in 1 s", 30)

    # Nothing listens on other interfaces than the local one.
    for process in processes_of(home):
        with contextlib.suppress(psutil.Error):
            for connection in process.net_connections("tcp"):
                if connection.status == psutil.CONN_LISTEN:
                    assert connection.laddr.ip == "127.0.0.1", (process.cmdline(), connection.laddr)

    begin = time.monotonic()
    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(25) == 0
    assert time.monotonic() - begin < 20.0  # the promise that the command's help makes
    assert processes_of(home) == []


def test_a_second_run_directory_on_a_ledger_is_refused_before_anything_is_started(tmp_path: Path) -> None:
    first = RunDirectory(tmp_path / "first")
    migrate(first.ledger_url)
    claim(Ledger.open(first.ledger_url), first, at=1.0)
    second = Up(tmp_path / "second", RINGRIFT_LEDGER_URL=first.ledger_url)
    assert second.process.wait(60) == 2
    second.end()
    assert [line.split(": ", 1)[1].split(",")[0] for line in second.lines[:-1]] == [
        f"the ledger belongs to the run directory {first.root}"
    ]


def test_a_second_loop_on_a_ledger_is_refused_before_anything_is_started(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    migrate(directory.ledger_url)
    with Ledger.open(directory.ledger_url).begin() as conn:
        leases.acquire(conn, leases.LOOP, "elsewhere:17:0", ttl_s=600.0, at=time.time())
    second = Up(tmp_path)
    assert second.process.wait(60) == 2
    second.end()
    (line,) = second.lines[:-1]
    assert "another loop runs on this ledger (lease held: loop by elsewhere:17:0" in line


@pytest.mark.parametrize("up", [("--fresh",)], indirect=True)
def test_a_killed_launcher_leaves_nothing_behind_and_the_next_start_goes_on(up: Up, tmp_path: Path) -> None:
    up.wait_for("starting Airflow", START_LIMIT_S)
    home = run_directory(tmp_path)
    assert processes_of(home)
    up.process.kill()
    up.process.wait()
    left, alive = psutil.wait_procs(processes_of(home), timeout=30)
    assert alive == [], f"{len(left)} ended"
    again = Up(home)
    try:
        again.wait_for("starting Airflow", START_LIMIT_S)
        assert champions_of(home) == set()  # what the first start was told still holds
        assert not any("in use by another" in each for each in again.lines)
    finally:
        again.end()
    assert processes_of(home) == []
