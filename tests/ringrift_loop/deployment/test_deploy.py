"""Deployments to a real OpenSSH server: a real environment, a real pip, real workers."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sysconfig
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import pytest

import ssh_servers
from ringrift_loop import __version__
from ringrift_loop.cli import main
from ringrift_loop.cluster.agent.workers import WorkerSpec, read_record, start_worker, stop_worker
from ringrift_loop.config import Selfplay
from ringrift_loop.deployment import deploy as module
from ringrift_loop.deployment.deploy import Deployment, DeployReport, Means, deploy
from ringrift_loop.deployment.plan import Wish
from ringrift_loop.deployment.release import Release, build_release, open_release
from ringrift_loop.deployment.step import Coordinator
from ringrift_loop.hosts.inventory import Host, parse_inventory
from ringrift_loop.layout import HostDirectory
from ringrift_loop.selfplay.host_settings import read_settings
from ringrift_loop.selfplay.plan import Plan, write_plan
from ringrift_loop.selfplay.segments import read_segment

PROJECT = Path(__file__).parents[3]
CONSTRAINTS = PROJECT / "constraints.txt"
# The host's new environment sees the packages of this one (by PYTHONPATH), so pip has nothing to fetch.
OFFLINE = ("--no-deps", "--no-index", "--ignore-installed")
UNIT = (PROJECT / "config" / "systemd" / "ringrift-selfplay@.service").read_text()

_SYSTEMCTL = """#!/bin/sh
cd "$(dirname "$0")"
case "$1" in
is-active) shift; for unit; do if [ -e "state/$unit" ]; then echo active; else echo inactive; fi; done ;;
enable) echo "$*" >> log; touch "state/$3" ;;
*) echo "$*" >> log ;;
esac
"""

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(not ssh_servers.SSHD.exists(), reason="the Debian package openssh-server is missing"),
]


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """The wheel of this source tree."""
    return build_release(tmp_path_factory.mktemp("wheel"), CONSTRAINTS)


def changed(release: Release, folder: Path, **files: str) -> Release:
    """The same version with other content in some of its files."""
    folder.mkdir()
    wheel = folder / release.wheel.name
    with zipfile.ZipFile(release.wheel) as old, zipfile.ZipFile(wheel, "w") as new:
        for name in old.namelist():
            new.writestr(name, files.pop(name, old.read(name)))
    assert not files, "no such file in the wheel"
    return open_release(wheel, CONSTRAINTS)


@dataclass
class Machine:
    """A host that begins with nothing but Python and SSH."""

    host: Host
    path: Path  # the installation
    folder: HostDirectory
    tools: Path  # its systemctl, and what that wrote down
    units: Path

    def deployment(self, release: Release, wish: Wish) -> Deployment:
        means = Means(pip_arguments=OFFLINE, unit_dir=str(self.units), compile_engine=False)
        return Deployment(release, wish, ("square8_2p", "hex8_2p"), UNIT, Selfplay(), means)

    def deploy(self, release: Release, wish: Wish | None = None, *, dry_run: bool = False) -> DeployReport:
        return deploy([self.host], self.deployment(release, wish or Wish()), dry_run=dry_run)

    def state(self) -> tuple[object, ...]:
        """Everything that a deployment may change, to compare."""
        link = self.path / "venv"
        files = [self.path / "installed.json", self.folder.settings, *self.units.iterdir()]
        stamps = {str(file): file.stat().st_mtime_ns for file in files if file.exists()}
        return (link.readlink(), link.lstat().st_ino, (self.path / "installed.json").read_text(), stamps)

    def log(self) -> list[str]:
        """What systemctl was told, and forget it."""
        log = self.tools / "log"
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return lines


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    tmp = tmp_path_factory.mktemp("machine")
    keys = ssh_servers.Keys(tmp / "keys")
    tools = tmp / "tools"
    (tools / "state").mkdir(parents=True)
    (tools / "systemctl").write_text(_SYSTEMCTL)
    (tools / "systemctl").chmod(0o755)
    (tmp / "units").mkdir()
    address = f"127.{1 + os.getpid() % 250}.{1 + os.getpid() // 250 % 250}.200"
    variables = {"PATH": f"{tools}:{ssh_servers.PATH}", "PYTHONPATH": sysconfig.get_path("purelib")}
    variables["PIP_USER"] = "1"  # as a person's own pip may be set
    server = ssh_servers.OpenSSHServer(tmp / "sshd", keys, address, environment=variables).start()
    text = (
        f"standard_hosts:\n  a: {{ssh_host: {address}, ssh_port: {server.port}, ssh_user: {ssh_servers.user()}, "
        f"ssh_key: {tmp}/keys/id, host_key: '{server.fingerprint}', role: selfplay, remote_path: {tmp}/program, "
        f"root: {tmp}/data, max_workers: 1}}\n"
    )
    (tmp / "hosts.yaml").write_text(text)
    host = parse_inventory(text, "hosts.yaml").hosts["a"]
    yield Machine(host, tmp / "program", HostDirectory(tmp / "data"), tools, tmp / "units")
    server.stop()


@pytest.fixture(scope="module")
def installed(machine: Machine, release: Release) -> Machine:
    """The machine with this release."""
    report = machine.deploy(release)
    assert report.failed == [], report.table()
    return machine


def test_a_dry_run_tells_the_plan_and_leaves_a_bare_host_bare(
    machine: Machine, release: Release, tmp_path: Path
) -> None:
    bare = tmp_path / "bare"
    host = replace(machine.host, remote_path=f"{bare}/program", root=f"{bare}/data")
    report = replace(machine, host=host).deploy(release, dry_run=True)
    assert report.lines == (f"a: install {__version__} over nothing",)
    assert (report.results, report.failed) == ((), [])
    assert not bare.exists()


def test_a_host_is_installed_with_all_its_traces_and_then_up_to_date(installed: Machine, release: Release) -> None:
    program = installed.path / "venv" / "bin" / "ringrift-loop"
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    assert said == f"ringrift-loop {__version__}\n"
    assert json.loads((installed.path / "installed.json").read_text()) == {
        "version": __version__,
        "wheel_sha256": release.wheel_sha256,
        "constraints_sha256": release.constraints_sha256,
        "extras": [],
    }
    [folder] = (installed.path / "venvs").iterdir()
    assert folder.name == release.key(())
    assert (folder / "constraints.txt").read_bytes() == CONSTRAINTS.read_bytes()
    code = list(folder.glob("venv/lib/python*/site-packages/ringrift_loop/__init__.py"))
    assert len(code) == 1, "the program is not in the environment itself"
    before = installed.state()
    report = installed.deploy(release)
    assert report.lines == (f"a: up to date ({__version__})",)
    assert [(result.status, result.stdout) for result in report.results] == [("ok", "up to date")]
    assert installed.state() == before


def test_a_broken_wheel_leaves_the_old_program_in_use_and_its_workers_playing(
    installed: Machine, release: Release, tmp_path: Path
) -> None:
    broken = changed(release, tmp_path / "wheel", **{"ringrift_loop/cli/__init__.py": "raise RuntimeError('no')\n"})
    before = installed.state()
    worker = start_worker(installed.folder, WorkerSpec("a", 0), lambda *_: ["/bin/sleep", "60"])
    try:
        report = installed.deploy(broken)
        [result] = report.results
        assert (result.status, report.failed) == ("failed", ["a"])
        assert result.error is not None
        assert "RuntimeError: no" in result.error
        assert worker.alive
        assert installed.state() == before
        assert installed.deploy(release).results[0].stdout == "up to date"
    finally:
        stop_worker(installed.folder, 0, kill=True)


def test_a_host_that_cannot_be_deployed_to_stops_no_other(installed: Machine, release: Release) -> None:
    away = replace(installed.host, name="b", ssh_port=1)
    nowhere = replace(installed.host, name="c", remote_path=None)
    local = parse_inventory("standard_hosts: {d: {transport: local}}", "x").hosts["d"]
    said: list[str] = []
    told: list[tuple[int, int]] = []
    deployment = installed.deployment(release, Wish())
    report = deploy(
        [away, nowhere, installed.host, local],
        deployment,
        dry_run=False,
        say=said.append,
        tell=lambda done, total: told.append((done, total)),
    )
    assert told == [(0, 1), (1, 1)]
    assert [result.status for result in report.results] == ["unreachable", "failed", "ok"]
    assert report.failed == ["b", "c"]
    assert "d: this machine's own installation" in said
    assert "c: host c has no remote_path: name the folder to install into in the inventory" in said
    assert "unreachable" in report.table()


def test_hot_reload_is_switched_off_and_on_again_for_the_hosts_workers(installed: Machine, release: Release) -> None:
    off = installed.deploy(release, Wish(hot_reload=False))
    assert off.lines == ("a: switch hot reload off for workers started from now on",)
    assert not read_settings(installed.folder).hot_reload
    assert installed.deploy(release, Wish(hot_reload=False)).results[0].stdout == "up to date"
    assert installed.deploy(release).failed == []
    assert read_settings(installed.folder).hot_reload


def test_units_are_installed_enabled_and_active_once(installed: Machine, release: Release) -> None:
    own = replace(installed, host=replace(installed.host, max_workers=0))
    wish = Wish(install_systemd=True)
    report = own.deploy(release, wish)
    assert report.failed == [], report.table()
    text = (own.units / "ringrift-selfplay@.service").read_text()
    assert f"ExecStart={own.path}/venv/bin/ringrift-loop selfplay --root {own.folder.root} " in text
    assert f"User={ssh_servers.user()}\n" in text
    assert own.log() == [
        "daemon-reload",
        "enable --now ringrift-selfplay@square8_2p.service",
        "enable --now ringrift-selfplay@hex8_2p.service",
    ]
    assert own.deploy(release, wish).results[0].stdout == "up to date"
    assert own.log() == []
    report = own.deploy(release, Wish(restart=True))
    assert report.failed == []
    assert sorted(own.log()) == [
        "restart ringrift-selfplay@hex8_2p.service",
        "restart ringrift-selfplay@square8_2p.service",
    ]
    shutil.rmtree(own.tools / "state")
    (own.tools / "state").mkdir()


def test_where_the_loop_runs_the_workers_the_unit_is_installed_and_none_enabled(
    installed: Machine, release: Release
) -> None:
    (installed.units / "ringrift-selfplay@.service").unlink(missing_ok=True)
    report = installed.deploy(release, Wish(install_systemd=True))
    assert report.lines == ("a: install units ringrift-selfplay@.service",)
    assert installed.log() == ["daemon-reload"]


def test_this_machines_own_unit_starts_the_loop(
    installed: Machine, release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{installed.tools}:{os.environ['PATH']}")
    monkeypatch.setenv("RINGRIFT_HOSTS", "/srv/hosts.yaml")
    installed.log()
    coordinator = Coordinator(PROJECT, tmp_path / "run", str(installed.units))
    deployment = installed.deployment(release, Wish(install_systemd=True))
    report = deploy([], deployment, dry_run=False, coordinator=coordinator)
    assert report.failed == [], report.table()
    assert installed.log() == ["daemon-reload", "enable --now ringrift-ai-loop.service"]
    text = (installed.units / "ringrift-ai-loop.service").read_text()
    assert f" up --project {PROJECT} --home {tmp_path}/run\n" in text
    assert 'Environment="RINGRIFT_HOSTS=/srv/hosts.yaml"\n' in text
    assert deploy([], deployment, dry_run=False, coordinator=coordinator).results[0].stdout == "up to date"


def test_the_command_prints_the_plan_and_a_dry_run_changes_nothing(
    installed: Machine,
    release: Release,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("RINGRIFT_HOSTS", str(installed.path.parent / "hosts.yaml"))
    other = changed(release, tmp_path / "wheel", **{"ringrift_loop/py.typed": "other\n"})
    before = installed.state()
    assert main(["deploy", "--selfplay", "--dry-run", "--wheel", str(other.wheel)]) == 0
    assert capsys.readouterr().out == f"a: install {__version__} over {__version__} ({release.wheel_sha256[:8]})\n"
    assert installed.state() == before
    assert main(["deploy", "--primary", "--dry-run", "--wheel", str(other.wheel)]) == 2
    assert "no enabled host with a role of hp_tuning, tournament, training" in capsys.readouterr().err


def test_an_update_lets_workers_seal_their_games_and_restarts_them_in_the_new_program(
    installed: Machine, release: Release, tmp_path: Path
) -> None:
    folder, settings = installed.folder, tmp_path / "settings.yaml"
    settings.write_text(
        "selfplay: {games_in_parallel: 4, bootstrap_simulations: 2, segment_seconds: 600, opening_random_plies: 0}\n"
    )
    other = changed(release, tmp_path / "wheel", **{"ringrift_loop/py.typed": "other\n"})
    # Of this source tree, whose kernels are compiled: in the host's new environment that would take a minute. At the
    # priority of a worker it would stand still while others use this machine.
    write_plan(folder, Plan({"square8_2p": 1.0}))
    worker = start_worker(folder, WorkerSpec("a", 0, settings, nice=0))
    process = psutil.Process(worker.pid)
    assert wait(lambda: recorded_bytes(folder) > 100)
    assert list(folder.sealed_segments.glob("*.zst")) == []
    try:
        report = installed.deploy(other, Wish(restart=True))
        assert report.failed == [], report.table()
        [line] = report.lines
        assert "; drain 1 worker and start them again" in line
        with contextlib.suppress(psutil.NoSuchProcess):
            process.wait(5)
        [segment] = folder.sealed_segments.glob("*.zst")
        assert len(read_segment(segment)) >= 1
        record = read_record(folder, 0)
        assert record is not None
        assert record.alive
        assert record.pid != worker.pid
        assert str(installed.path / "venvs" / other.key(())) in psutil.Process(record.pid).cmdline()[0]
    finally:
        stop_worker(folder, 0, kill=True)
    kept = {path.name for path in (installed.path / "venvs").iterdir()}
    assert kept >= {release.key(()), other.key(())}
    assert str((installed.path / "venv").readlink()) == f"venvs/{other.key(())}/venv"


def recorded_bytes(folder: HostDirectory) -> int:
    """In the journals, which come and go."""
    with contextlib.suppress(FileNotFoundError):
        return sum(path.stat().st_size for path in folder.open_segments.glob("0-*.journal"))
    return 0


def wait(condition: Callable[[], bool], limit_s: float = 60.0) -> bool:
    give_up = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > give_up:
            return False
        time.sleep(0.05)
    return True


def test_workers_that_do_not_end_keep_the_old_program(
    installed: Machine, release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DRAIN_LIMIT_S", 1.0)
    other = changed(release, tmp_path / "wheel", **{"ringrift_loop/py.typed": "other\n"})
    if (installed.path / "venv").readlink().parent.name == other.key(()):
        other = release
    before = installed.state()
    stubborn = ["/bin/sh", "-c", "trap '' TERM; while :; do sleep 1; done"]
    worker = start_worker(installed.folder, WorkerSpec("a", 0), lambda *_: stubborn)
    (installed.folder.heartbeat(0)).write_text("{}")
    try:
        report = installed.deploy(other)
        assert report.results[0].error == "a/0 did not end within 1 s; nothing was replaced"
        assert worker.alive
        assert installed.state() == before
    finally:
        stop_worker(installed.folder, 0, kill=True)
