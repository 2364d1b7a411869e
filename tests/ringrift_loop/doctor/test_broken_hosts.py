"""A fleet of broken hosts behind real SSH servers: each fails its own check, with the remedy for it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import ringrift_loop
import ssh_servers
from ringrift_loop import __version__
from ringrift_loop.cluster.transport.probing import Probe, probe_hosts
from ringrift_loop.config.schema import DataIngestion
from ringrift_loop.doctor.findings import OK, SKIPPED, Finding
from ringrift_loop.doctor.hosts import check_host
from ringrift_loop.hosts.inventory import Host, Inventory, parse_inventory
from ringrift_loop.layout import RunDirectory

INCLUDE = Path(ringrift_loop.__file__).parents[1]
# Answers as the program would, with one value changed.
_LIAR = """
import json, sys, subprocess
if sys.argv[1:3] != ["host", "probe"]:
    sys.exit("not now")
answer = subprocess.run([{python!r}, "-m", "ringrift_loop.cli", *sys.argv[1:]], capture_output=True, check=True)
token = answer.stdout[2:34].decode()
document = json.loads(answer.stdout.strip()[34:-35])
facts = document["answer"]
(document if {key!r} == "v" else facts)[{key!r}] = {value}
print(f"<{{token}}>{{json.dumps(document)}}</{{token}}>")
"""


@pytest.fixture
def programs(tmp_path: Path) -> Callable[..., str]:
    """Install a program on the hosts; `liar` changes one value of its answers. Returns the inventory's key for it."""

    def install(name: str, liar: tuple[str, str] | None = None, script: str | None = None) -> str:
        program = tmp_path / "installed" / name / "venv" / "bin" / "ringrift-loop"
        program.parent.mkdir(parents=True)
        command = f"{sys.executable} -m ringrift_loop.cli"
        if liar is not None:
            code = program.with_name("liar.py")
            code.write_text(_LIAR.format(python=sys.executable, key=liar[0], value=liar[1]))
            command = f"{sys.executable} {code}"
        program.write_text(script or f'#!/bin/sh\nPYTHONPATH={INCLUDE} exec {command} "$@"\n')
        program.chmod(0o755)
        return f"remote_path: {program.parents[2]}"

    return install


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mount file systems of a few KiB; root only."""
    mounted: list[Path] = []

    def mount(options: str) -> Path:
        folder = tmp_path / f"disk{len(mounted)}"
        folder.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(folder)], capture_output=True)
        if done.returncode != 0:
            pytest.skip(f"a file system cannot be mounted here: {done.stderr.decode().strip()}")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", str(folder)], check=True)


def by_check(probe: Probe) -> dict[str, Finding]:
    findings = list(check_host(probe, DataIngestion()))
    assert len({finding.check for finding in findings}) == len(findings)
    return {finding.check: finding for finding in findings}


def complaints(probe: Probe) -> dict[str, str]:
    """Status of every check that complains."""
    return {name: one.status for name, one in by_check(probe).items() if one.status not in (OK, SKIPPED)}


def test_every_broken_host_fails_its_own_check_with_its_remedy(
    tmp_path: Path, ssh_server: Any, ssh_entry: Callable[..., str], programs: Callable[..., str]
) -> None:
    server, gone = ssh_server("a"), ssh_server("gone")
    good = programs("good")
    other = ssh_servers.Keys(tmp_path / "other_keys")
    readable = tmp_path / "readable"
    shutil.copy(tmp_path / "keys" / "id", readable)
    readable.chmod(0o644)
    root = f"{tmp_path}/hosts/a"
    text = "standard_hosts:\n" + "".join(
        [
            ssh_entry("a", server, good),
            ssh_entry("stranger", server, good).replace(f"{tmp_path}/keys/id", str(other.private)),
            ssh_entry("keyless", server, good).replace(f"{tmp_path}/keys/id", f"{tmp_path}/keys/gone"),
            ssh_entry("open", server, good).replace(f"{tmp_path}/keys/id", str(readable)),
            ssh_entry("changed", server, good, key="SHA256:" + "A" * 43),
            ssh_entry("gone", gone, good),
            ssh_entry("bare", server, f"remote_path: {tmp_path}/nothing"),
            ssh_entry("old", server, programs("old", ("version", "'0.0.9'"))),
            ssh_entry("odd", server, programs("odd", ("v", "7"))),
            ssh_entry(
                "broken", server, programs("broken", script="#!/bin/sh\necho 'no module named numba' >&2; exit 1\n")
            ),
            ssh_entry("fast", server, programs("fast", ("clock", "facts['clock'] + 3600"))),
            ssh_entry("late", server, programs("late", ("clock", "facts['clock'] - 40"))),
            ssh_entry("nowhere", server, good).replace(f"{tmp_path}/hosts/nowhere", f"{root}/file/below"),
            ssh_entry(
                "small", server, f"{good}, has_gpu: true, gpu_count: 8, gpu_memory_gb: 80, cpus: 1024, memory_gb: 60000"
            ),
        ]
    )
    Path(root).mkdir(parents=True, exist_ok=True)
    (Path(root) / "file").write_text("")
    inventory: Inventory = parse_inventory(text, "hosts.yaml")
    gone.stop()

    probes = {probe.host.name: probe for probe in probe_hosts(list(inventory.hosts.values()), RunDirectory(tmp_path))}

    assert {name: complaints(probe) for name, probe in probes.items()} == {
        "a": {},
        "stranger": {"ssh": "failed"},
        "keyless": {"ssh": "failed"},
        "open": {"ssh": "warning"},
        "changed": {"ssh": "failed"},
        "gone": {"ssh": "failed"},
        "bare": {"program": "failed"},
        "old": {"program": "failed", "sync": "failed"},
        "odd": {"program": "failed"},
        "broken": {"program": "failed"},
        "fast": {"clock": "failed", "sync": "failed"},  # the liar answers probes only
        "late": {"clock": "warning", "sync": "failed"},
        "nowhere": {"root": "failed", "sync": "failed"},
        "small": {"host-gpu": "failed", "host-cpus": "warning", "host-memory": "warning"},
    }
    found = {name: by_check(probe) for name, probe in probes.items()}
    assert "ssh_key" in found["stranger"]["ssh"].remedy
    assert "correct the host's entry" in found["keyless"]["ssh"].remedy
    assert found["open"]["ssh"].remedy == f"chmod 600 {readable}"
    assert "ssh-keygen -lf" in found["changed"]["ssh"].remedy
    assert "start sshd" in found["gone"]["ssh"].remedy
    assert found["bare"]["program"].remedy.startswith("ringrift-loop deploy --host bare")
    assert found["bare"]["host-python"].met.startswith("Python 3.")  # told by the shell
    assert (found["old"]["program"].met, found["old"]["program"].right) == (
        "ringrift-loop 0.0.9",
        f"ringrift-loop {__version__}",
    )
    assert "v=7" in found["odd"]["program"].met
    assert "no module named numba" in found["broken"]["program"].met
    told = re.fullmatch(r"\+([0-9.]+) s, give or take ([0-9.]+)", found["fast"]["clock"].met)
    assert told is not None
    assert abs(float(told[1]) - 3600) <= float(told[2]) + 0.1
    assert "set-ntp" in found["late"]["clock"].remedy
    assert "Not a directory" in found["nowhere"]["root"].met


def test_a_full_disk_and_one_that_is_read_only_fail_their_checks(
    tmp_path: Path,
    ssh_server: Any,
    ssh_host: Callable[..., Host],
    programs: Callable[..., str],
    small_disk: Callable[[str], Path],
) -> None:
    full, fixed = small_disk("size=64k"), small_disk("ro,size=64k")
    with pytest.raises(OSError, match="No space left"):
        (full / "games").write_bytes(b"x" * 100_000)
    server, good = ssh_server("a"), programs("good")
    hosts = [
        parse_inventory(
            "standard_hosts:\n" + f"  {name}: {{ssh_host: {server.address}, ssh_port: {server.port}, "
            f"ssh_user: {ssh_servers.user()}, ssh_key: {tmp_path}/keys/id, host_key: '{server.fingerprint}', "
            f"root: {root}, {way}}}\n",
            "hosts.yaml",
        ).hosts[name]
        for root in (full, fixed)
        for name, way in (("ours", good), ("bare", "remote_path: /nowhere"))
    ]

    ours, bare, ours_fixed, bare_fixed = map(by_check, probe_hosts(hosts, RunDirectory(tmp_path)))

    for found in (ours, bare):
        assert (found["host-disk"].status, found["root"].status) == ("failed", "failed")
        assert found["host-disk"].met == "0.0 GiB free"
        assert "No space left" in found["root"].met
        assert "df -h" in found["host-disk"].remedy
    for found in (ours_fixed, bare_fixed):
        assert found["root"].status == "failed"
        assert "Read-only file system" in found["root"].met
        assert "remount" in found["root"].remedy


def test_a_host_that_hangs_is_given_up_in_time_and_delays_nobody(
    tmp_path: Path, ssh_server: Any, ssh_host: Callable[..., Host], programs: Callable[..., str]
) -> None:
    server = ssh_server("a")
    hangs = ssh_host("a", server, programs("hangs", script="#!/bin/sh\nexec sleep 60\n"))
    started = time.monotonic()
    [probe] = probe_hosts([hangs], RunDirectory(tmp_path), limit_s=3.0)
    assert time.monotonic() - started < 6
    assert complaints(probe) == {"ssh": "failed"}


def test_what_lies_on_a_host_is_told(
    tmp_path: Path, ssh_server: Any, ssh_host: Callable[..., Host], programs: Callable[..., str]
) -> None:
    server = ssh_server("a")
    sealed = tmp_path / "hosts" / "a" / "games" / "sealed"
    sealed.mkdir(parents=True)
    (sealed / "notes.txt").write_text("mine")
    [probe] = probe_hosts([ssh_host("a", server, programs("good"))], RunDirectory(tmp_path))
    sync = by_check(probe)["sync"]
    assert (sync.status, "notes.txt" in sync.met) == ("warning", True)
    assert sync.remedy.endswith("ringrift-loop sync --host a")
