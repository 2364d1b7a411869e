"""The checks of this machine, each met with the trouble that it is for."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from new_ledger import new_ledger
from ringrift_loop.config import LoopConfig
from ringrift_loop.doctor import machine
from ringrift_loop.doctor.airflow import check_airflow
from ringrift_loop.doctor.findings import Finding
from ringrift_loop.doctor.machine import open_setup
from ringrift_loop.launcher.components import loop_command
from ringrift_loop.launcher.environment import LAUNCH_VARIABLE, shell_file, write_shell_file
from ringrift_loop.layout import RunDirectory


def only(findings: Iterator[Finding]) -> Finding:
    [finding] = findings
    return finding


@pytest.mark.parametrize(("version", "status"), [((3, 10, 9), "failed"), ((3, 14, 0), "failed"), ((3, 12, 1), "ok")])
def test_a_python_that_does_not_fit_fails(version: tuple[int, ...], status: str) -> None:
    assert only(machine.check_python(version)).status == status


def test_packages_of_this_environment_fit() -> None:
    assert only(machine.check_packages()).status == "ok"


def test_packages_that_are_missing_too_old_or_broken_are_all_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "brokenpackage-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: brokenpackage\nVersion: 1.0\n")
    (tmp_path / "brokenpackage.py").write_text("raise ImportError('libfoo.so.1 is missing')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    wanted = ["numpy>=999", "no-such-package-here>=1", "brokenpackage", "psutil", "not-chosen; extra == 'train'"]

    finding = only(machine.check_packages(wanted))

    assert finding.status == "failed"
    assert "numpy is " in finding.met
    assert "no-such-package-here is missing" in finding.met
    assert "brokenpackage: ImportError: libfoo.so.1 is missing" in finding.met
    assert "psutil" not in finding.met
    assert "not-chosen" not in finding.met
    assert "pip install" in finding.remedy


def test_an_extra_that_is_half_there_is_a_fault() -> None:
    finding = only(machine.check_packages(["numpy; extra == 'train'", "no-such-package-here; extra == 'train'"]))
    assert finding.status == "failed"
    assert finding.met == "no-such-package-here is missing (no-such-package-here)"


def test_configuration_inventory_and_ledger_fail_each_for_itself(
    tmp_path: Path, run_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "loop.yaml").write_text("training:\n  triger_threshold_games: 3\n")
    (tmp_path / "hosts.yaml").write_text("standard_hosts:\n  a: {ssh_prot: 1}\n")
    monkeypatch.setenv("RINGRIFT_HOSTS", str(tmp_path / "hosts.yaml"))

    setup = open_setup(tmp_path / "loop.yaml")

    found = {finding.check: finding for finding in setup.findings}
    assert {finding.status for finding in setup.findings} == {"failed"}
    assert "did you mean" in found["configuration"].met
    assert "ssh_prot" in found["inventory"].met
    assert "ringrift-loop ledger migrate" in found["ledger"].remedy
    assert setup.loop is None
    assert not run_home.exists()  # nothing is made by looking


def test_a_notifier_that_cannot_be_imported_is_a_wrong_configuration(
    run_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RINGRIFT__NOTIFICATIONS__NOTIFIER", "no_such_module.Notifier")
    found = {finding.check: finding for finding in open_setup().findings}
    assert found["configuration"].status == "failed"
    assert "No module named 'no_such_module'" in found["configuration"].met


def test_a_set_up_without_faults_is_opened(tmp_path: Path, run_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hosts.yaml").write_text("standard_hosts:\n  a: {transport: local}\n")
    monkeypatch.setenv("RINGRIFT_HOSTS", str(tmp_path / "hosts.yaml"))
    new_ledger(RunDirectory(run_home).ledger_url)
    setup = open_setup()
    assert [finding.status for finding in setup.findings] == ["ok", "ok", "ok"]
    assert setup.loop is not None


def test_a_run_directory_below_a_file_fails_and_one_that_is_not_there_yet_does_not(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    rights, _ = machine.check_run_directory(RunDirectory(tmp_path / "file" / "run"))
    assert (rights.status, "RINGRIFT_HOME" in rights.remedy) == ("failed", True)
    rights, disk = machine.check_run_directory(RunDirectory(tmp_path / "new" / "run"))
    assert (rights.status, disk.status) == ("ok", "ok")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


_LISTENER = """
import socket, sys
tcp, udp = socket.socket(), socket.socket(type=socket.SOCK_DGRAM)
for one in (tcp, udp): one.bind(("127.0.0.1", 0))
tcp.listen()
print(tcp.getsockname()[1], udp.getsockname()[1], flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("ours", [True, False])
def test_a_port_is_free_ours_or_taken(tmp_path: Path, ours: bool) -> None:
    directory = RunDirectory(tmp_path)
    directory.airflow.mkdir()
    (directory.airflow / "launch.json").write_text(json.dumps({"launch_id": "this", "components": {}}))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        write_shell_file(shell_file(directory), {"AIRFLOW__API__PORT": str(free.getsockname()[1])})
    child = subprocess.Popen(
        [sys.executable, "-c", _LISTENER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, LAUNCH_VARIABLE: "this" if ours else "another"},
    )
    with child:
        assert child.stdout is not None
        tcp, udp = map(int, child.stdout.readline().split())
        config = LoopConfig(metrics_port=tcp, statsd_port=udp)
        found = list(machine.check_ports(directory, config))
        child.communicate(b"")
    assert [finding.status for finding in found] == ["ok", *2 * ["ok" if ours else "warning"]]
    assert "8080" not in found[0].met  # the page's port of the last start counts
    assert [finding.met.rpartition(": ")[2] for finding in found][1:] == 2 * [
        "ours" if ours else "taken by another program"
    ]
    if not ours:
        assert "statsd_port" in found[2].remedy


def test_the_launcher_runs_as_long_as_it_holds_its_lock(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    assert only(machine.check_launcher(directory)).status == "warning"
    directory.airflow.mkdir()
    with (directory.airflow / "launch.lock").open("w") as lock:
        lock.write("4711\n")
        lock.flush()
        assert only(machine.check_launcher(directory)).met == "not running"
        fcntl.flock(lock, fcntl.LOCK_EX)
        finding = only(machine.check_launcher(directory))
    assert (finding.status, finding.met) == ("ok", "runs as process 4711")


def test_airflow_is_asked_for_import_errors_pools_and_connections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One child process over a real, empty database of Airflow's: no pool of ours is in it."""
    project = tmp_path / "project"
    (project / "dags").mkdir(parents=True)
    (project / "config").mkdir()
    (project / "config" / "airflow.cfg").write_text("")
    (project / "config" / "pools.json").write_text('{"default_pool": {}, "sync": {}}')
    (project / "dags" / "ringrift_data_sync.py").write_text("from airflow.sdk import DAG\nimport no_such_module\n")
    (tmp_path / "hosts.yaml").write_text(
        "standard_hosts:\n  a: {ssh_host: 192.0.2.1, connection: there}\n  b: {ssh_host: 192.0.2.2, connection: gone}\n"
    )
    monkeypatch.chdir(project)
    monkeypatch.setenv("RINGRIFT_HOSTS", str(tmp_path / "hosts.yaml"))
    directory = RunDirectory(tmp_path / "run")
    directory.airflow.mkdir(parents=True)
    variables = {
        "AIRFLOW_HOME": str(directory.airflow),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{directory.airflow}/airflow.db",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW_CONN_THERE": '{"conn_type": "ssh",\n "password": "hush=\\"hush"}',
    }
    write_shell_file(shell_file(directory), variables)
    migrated = [*loop_command()[:1], "-m", "airflow", "db", "migrate"]
    subprocess.run(migrated, env={**os.environ, **variables}, check=True, capture_output=True)

    found = {finding.check: finding for finding in check_airflow(directory, open_setup().inventory)}

    assert {check: finding.status for check, finding in found.items()} == dict.fromkeys(
        ("dags", "pools", "connections"), "failed"
    ) | {"next-runs": "ok"}
    assert "ModuleNotFoundError: No module named 'no_such_module'" in found["dags"].met
    assert found["pools"].met == "missing: sync"
    assert found["connections"].met == "gone: there is no such connection"
    assert "hush" not in repr(found)


def test_where_no_airflow_was_started_its_checks_are_skipped_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRFLOW_HOME")
    found = list(check_airflow(RunDirectory(tmp_path), None))
    assert {finding.status for finding in found} == {"skipped"}
    assert "make run" in found[0].met
