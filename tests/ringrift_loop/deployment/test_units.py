"""The systemd units: what systemd says of them, and their commands run with only their own folder writable."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ringrift_loop.config.schema import VARIANT_NAMES
from ringrift_loop.deployment import units
from ringrift_loop.deployment.units import coordinator_place, host_place, read_unit, render
from ringrift_loop.engine.jit import cache_folder
from ringrift_loop.errors import ConfigError
from ringrift_loop.launcher.leftovers import launch_lock
from ringrift_loop.layout import HostDirectory, RunDirectory

PROJECT = Path(__file__).parents[3]
# As ProtectSystem=strict does it: everything is read-only but the folder $1, /dev, /proc and /sys.
_STRICT = """
mount --bind "$1" "$1"
awk '{print $2}' /proc/self/mounts | while read -r at; do
  case "$at" in "$1"|/proc|/proc/*|/dev|/dev/*|/sys|/sys/*) ;; *) mount -o remount,bind,ro "$at" 2>/dev/null ;; esac
done
shift; exec "$@"
"""


def strict(folder: Path, command: list[str]) -> list[str]:
    return ["unshare", "--mount", "sh", "-c", _STRICT, "sh", str(folder), *command]


def can_mount(folder: Path) -> bool:
    if shutil.which("unshare") is None:
        return False
    probe = strict(
        folder, ["sh", "-c", '! touch "$1" && touch "$2"', "sh", f"{folder.parent}/probe", f"{folder}/probe"]
    )
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """An installation whose program is this one."""
    folder = tmp_path / "opt"
    folder.mkdir()
    (folder / "venv").symlink_to(sys.prefix)
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def selfplay(prefix: Path, data: Path, user: str = "ringrift") -> str:
    return render(read_unit(PROJECT, units.SELFPLAY_TEMPLATE), host_place(str(prefix), str(data), user))


def coordinator(data: Path, **variables: str) -> str:
    place = coordinator_place(Path(sys.prefix), PROJECT, data, "ringrift", variables)
    return render(read_unit(PROJECT, units.COORDINATOR), place)


def value(text: str, key: str) -> str:
    [line] = [line for line in text.splitlines() if line.startswith(f"{key}=")]
    return line.partition("=")[2]


def environment(text: str) -> dict[str, str]:
    """What the unit's process is given; PYTHONPATH stands for an installed wheel."""
    given = [line.removeprefix("Environment=") for line in text.splitlines() if line.startswith("Environment=")]
    own = dict(entry.split("=", 1) for entry in given)
    return {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "PYTHONPATH": os.environ.get("PYTHONPATH", "")} | own


@pytest.mark.system
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="the Debian package systemd is missing")
def test_systemd_finds_no_fault_with_the_units(prefix: Path, data: Path, tmp_path: Path) -> None:
    (tmp_path / "ringrift-selfplay@.service").write_text(selfplay(prefix, data))
    (tmp_path / units.instance("square8_2p")).symlink_to(tmp_path / "ringrift-selfplay@.service")
    (tmp_path / units.COORDINATOR).write_text(coordinator(data))
    for name in (units.instance("square8_2p"), units.COORDINATOR):
        command = ["systemd-analyze", "verify", "--man=no", str(tmp_path / name)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, [line for line in done.stderr.splitlines() if "ringrift" in line]) == (0, [])


@pytest.mark.system
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="the Debian package systemd is missing")
def test_systemd_would_find_a_fault(prefix: Path, data: Path, tmp_path: Path) -> None:
    unit = tmp_path / units.COORDINATOR
    unit.write_text(coordinator(data).replace("KillMode=mixed", "KillMode=sometimes"))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True)
    assert "KillMode" in done.stderr or "kill mode" in done.stderr


def test_a_unit_says_where_to_write_how_to_stop_and_when_to_give_up(prefix: Path, data: Path) -> None:
    for text in (selfplay(prefix, data), coordinator(data)):
        assert value(text, "ReadWritePaths") == str(data)
        assert (value(text, "Restart"), value(text, "RestartSec")) == ("always", "30")
        assert int(value(text, "StartLimitIntervalSec")) > int(value(text, "StartLimitBurst")) * 30
        assert int(value(text, "TimeoutStopSec")) > 20
        assert {value(text, key) for key in ("NoNewPrivileges", "PrivateTmp")} == {"yes"}
        assert value(text, "ProtectSystem") == "strict"
        assert "/opt/ringrift" not in text
        assert "/var/lib/ringrift" not in text
    assert value(selfplay(prefix, data), "MemoryMax") == "4G"


def test_the_files_as_they_are_need_no_filling_in_for_the_documented_places() -> None:
    for name in (units.SELFPLAY_TEMPLATE, units.COORDINATOR):
        text = read_unit(PROJECT, name)
        filled = render(text, host_place("/opt/ringrift", "/var/lib/ringrift", "ringrift"))
        assert filled.splitlines()[1:] == [line for line in text.splitlines() if not line.startswith("#")]


def test_what_lies_in_a_home_can_be_read_and_only_its_data_written() -> None:
    text = render(
        read_unit(PROJECT, units.SELFPLAY_TEMPLATE), host_place("/home/ubuntu/r", "/home/ubuntu/data", "ubuntu")
    )
    assert value(text, "ProtectHome") == "read-only"
    assert "StateDirectory" not in text


def test_the_service_gets_the_hosts_the_settings_and_the_ledger_of_the_shell_that_deploys(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(data)
    given = {
        "RINGRIFT_HOSTS": "hosts.yaml",
        "RINGRIFT_CONFIG": "/srv/a b.yaml",
        "RINGRIFT_LEDGER_URL": "postgresql://u@db/x?passfile=/srv/pass",
        "RINGRIFT__TRAINING__VARIANTS": '["50%", "\\\\"]',
        "RINGRIFT_HOME": "/elsewhere",
        "RINGRIFT_LAUNCH": "1234",
        "PATH": "/bin",
    }
    text = coordinator(data, **given)
    lines = [line for line in text.splitlines() if line.startswith('Environment="')]
    assert lines == [
        'Environment="RINGRIFT_CONFIG=/srv/a b.yaml"',
        f'Environment="RINGRIFT_HOSTS={data}/hosts.yaml"',
        'Environment="RINGRIFT_LEDGER_URL=postgresql://u@db/x?passfile=/srv/pass"',
        'Environment="RINGRIFT__TRAINING__VARIANTS=[\\"50%%\\", \\"\\\\\\\\\\"]"',
    ]
    assert value(text, "ProtectHome") == "yes"
    assert value(coordinator(data, RINGRIFT_HOSTS="/home/me/hosts.yaml"), "ProtectHome") == "read-only"
    with pytest.raises(ConfigError, match="variables of one printable line"):
        coordinator(data, RINGRIFT__PRESET="a\nUser=root")


@pytest.mark.parametrize("url", ["postgresql://u:secret@db/x", "postgresql://u@db/x?password=secret"])
def test_a_password_of_the_ledger_gets_into_no_unit(data: Path, url: str) -> None:
    with pytest.raises(ConfigError, match="RINGRIFT_LEDGER_URL holds a password") as error:
        coordinator(data, RINGRIFT_LEDGER_URL=url)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("path", "root", "user"),
    [
        ("/opt/a b", "/data", "u"),
        ("/opt/%n", "/data", "u"),
        ("/opt", "data", "u"),
        ("/opt", "/d\nUser=root", "u"),
        ("/opt", "/d", "u\nx"),
    ],
)
def test_what_systemd_would_read_otherwise_is_refused(path: str, root: str, user: str) -> None:
    with pytest.raises(ConfigError, match="a unit needs"):
        render(read_unit(PROJECT, units.SELFPLAY_TEMPLATE), host_place(path, root, user))


@pytest.mark.system
def test_the_selfplay_unit_plays_with_only_its_own_folder_writable_and_seals_at_sigterm(
    prefix: Path, data: Path, tmp_path: Path
) -> None:
    text = selfplay(prefix, data)
    command = shlex.split(value(text, "ExecStart").replace("%i", "square8_2p"))
    if can_mount(data):
        command = strict(data, command)
    # The kernels as they are compiled already: that takes a minute, once.
    shutil.copytree(cache_folder().parent, data / "cache", ignore=shutil.ignore_patterns("*.pyc"))
    given = environment(text) | {"RINGRIFT__SELFPLAY__GAMES_IN_PARALLEL": "4"}
    slot = 256 + VARIANT_NAMES.index("square8_2p")
    host = HostDirectory(data)
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, env=given, cwd=data, stdout=log, stderr=log)
        try:
            give_up = time.monotonic() + 90
            while process.poll() is None and time.monotonic() < give_up:
                if host.heartbeat(slot).exists() and json.loads(host.heartbeat(slot).read_bytes())["games"] >= 1:
                    break
                time.sleep(0.1)
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0, (tmp_path / "log").read_text()
        finally:
            process.kill()
    assert len(list(host.sealed_segments.glob("*.zst"))) >= 1, (tmp_path / "log").read_text()


@pytest.mark.system
def test_the_coordinators_unit_comes_as_far_as_the_lock_of_a_running_loop(data: Path) -> None:
    text = coordinator(data)
    with launch_lock(RunDirectory(data)):
        command = shlex.split(value(text, "ExecStart"))
        if can_mount(data):
            command = strict(data, command)
        where = value(text, "WorkingDirectory")
        done = subprocess.run(command, env=environment(text), cwd=where, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"{data} is in use by another `ringrift-loop up`" in done.stderr
