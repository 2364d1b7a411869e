"""Odd logins: whatever a login shell is, and whatever its start-up files print, answers arrive whole."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import aclosing
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

import ssh_servers
from ringrift_loop import __version__
from ringrift_loop.cluster.agent.actions import LIST_FOLDER, REPORT, Action, Asked, Told
from ringrift_loop.cluster.agent.report import ReportRequest
from ringrift_loop.cluster.agent.requests import FolderQuery
from ringrift_loop.cluster.ssh.connection import SSHHost
from ringrift_loop.cluster.ssh.fan_out import fan_out
from ringrift_loop.cluster.transport.probing import probe_hosts
from ringrift_loop.cluster.transport.remote import SSHTransport
from ringrift_loop.config.schema import DataIngestion
from ringrift_loop.deployment.step import install
from ringrift_loop.doctor.hosts import check_host
from ringrift_loop.errors import DataError, RemoteJobFailed
from ringrift_loop.hosts.inventory import Host
from ringrift_loop.layout import RunDirectory

# Stand-ins for a login shell; $2 is the line.
TALKS = """printf 'Welcome, last login today'; sh -c "$2"; status=$?; printf 'Good bye'; exit $status"""
NO_NEWLINES = """case $2 in *'
'*) echo 'Unmatched quote.' >&2; exit 1;; esac; exec sh -c "$2" """
CLOSED = "printf 'Closed for \\033[31mmaintenance\\n'"
TCSH = pytest.param(
    "tcsh",
    marks=[
        pytest.mark.system,
        pytest.mark.skipif(shutil.which("tcsh") is None, reason="the Debian package tcsh is missing"),
    ],
)


@pytest.fixture
def server(tmp_path: Path, ssh_thread: ssh_servers.LoopThread) -> Iterator[ssh_servers.EmbeddedServer]:
    made = ssh_servers.EmbeddedServer(tmp_path / "hosts" / "a", ssh_servers.Keys(tmp_path / "keys"), ssh_thread)
    yield made.start()
    made.stop()


@pytest.fixture
def host(
    request: pytest.FixtureRequest, server: ssh_servers.EmbeddedServer, ssh_host: Callable[..., Host], tmp_path: Path
) -> Host:
    """A host whose login shell is the test's parameter, and whose root needs quoting."""
    if request.param == "tcsh":
        server.login_shell = ("tcsh", "-c")
        (server.folder / ".tcshrc").write_text("echo -n 'Welcome, last login today'\n")
    else:
        shell = tmp_path / "shell"
        shell.write_text(f"#!/bin/sh\n{request.param}\n")
        shell.chmod(0o755)
        server.login_shell = (str(shell), "-c")
    return replace(ssh_host("a", server), root=f"{tmp_path}/hosts/a/it's $HOME")


def called(host: Host, action: Action[Asked, Told], request: Asked) -> Told:
    async def call() -> Told:
        async with aclosing(SSHTransport(SSHHost(host))) as transport:
            return await transport.call(action, request)

    return asyncio.run(call())


ODD = pytest.mark.parametrize("host", [TCSH, TALKS, NO_NEWLINES], indirect=True)


@ODD
def test_an_action_is_answered(host: Host) -> None:
    (Path(host.remote_root) / "jobs" / "ab" / "input").mkdir(parents=True)
    (Path(host.remote_root) / "jobs" / "ab" / "input" / "x").write_text("hello")
    assert called(host, REPORT, ReportRequest()).version == __version__
    assert called(host, LIST_FOLDER, FolderQuery("jobs/ab/input")).files["x"].size_bytes == 5


@ODD
def test_a_probe_is_answered_by_our_program_and_by_the_shell(host: Host, tmp_path: Path) -> None:
    bare = replace(host, name="bare", remote_path="/nowhere")
    ours, shells = probe_hosts([host, bare], RunDirectory(tmp_path))
    assert (ours.error, shells.error) == (None, None)
    assert ours.facts is not None
    assert shells.facts is not None
    assert (ours.facts.version, ours.facts.whole, ours.report_error) == (__version__, True, None)
    assert (shells.facts.version, shells.facts.whole, shells.facts.rsync) == (None, False, True)


@ODD
@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("for name in a b; do\n  echo \"$name!\"\n  cat\ndone\necho 'two\nlines'", "a!\nb!\ntwo\nlines\n"),
        (["printf", "%s|", "two\nlines", "it's !1 $HOME"], "two\nlines|it's !1 $HOME|"),
    ],
)
def test_a_command_of_several_lines_is_run_as_it_was_written(host: Host, command: str | list[str], said: str) -> None:
    (result,) = fan_out([host], command, limit_s=20).results
    assert result.exit_status == 0
    assert said in result.stdout


@ODD
def test_a_deployments_script_is_answered_and_reads_what_comes_after_it(host: Host, tmp_path: Path) -> None:
    host = replace(host, remote_path=f"{tmp_path}/program")
    content = os.urandom(100_000)
    digest = sha256(content).hexdigest()
    options = ["--key", "0" * 16, "--name", "x.whl", "--sha256", digest, "--size", str(len(content))]

    async def deploy() -> tuple[bytes, bytes]:
        async with aclosing(SSHHost(host)) as remote:
            looked = await install(remote, host, "probe", "--unit-dir", str(tmp_path), python=sys.executable)
            return looked, await install(remote, host, "receive", *options, content=content, python=sys.executable)

    looked, received = asyncio.run(deploy())
    assert json.loads(looked)["root"] == host.remote_root
    assert json.loads(received) == {"received": "x.whl"}
    assert (tmp_path / "program" / "venvs" / ("0" * 16) / "x.whl").read_bytes() == content


@pytest.mark.parametrize("host", [CLOSED], indirect=True)
def test_a_login_that_only_talks_is_told_with_its_words(host: Host, tmp_path: Path) -> None:
    said = r"a: this login prints text of its own, .* 'Closed for \?\[31mmaintenance'"
    with pytest.raises(DataError, match=said):
        called(host, REPORT, ReportRequest())
    [probe] = probe_hosts([host], RunDirectory(tmp_path))
    [finding] = [one for one in check_host(probe, DataIngestion()) if one.check == "program"]
    assert "this login prints text of its own" in finding.met
    assert finding.remedy.startswith("make the start-up files")


@pytest.mark.parametrize("host", ["echo Welcome; exit 3"], indirect=True)
def test_a_login_that_fails_is_a_failed_command(host: Host) -> None:
    with pytest.raises(RemoteJobFailed, match="exit status 3"):
        called(host, REPORT, ReportRequest())


@pytest.mark.system
@pytest.mark.skipif(not ssh_servers.SSHD.exists(), reason="the Debian package openssh-server is missing")
def test_start_up_files_that_print_before_and_at_exit_spoil_nothing_under_openssh(
    tmp_path: Path, ssh_host: Callable[..., Host]
) -> None:
    start_up = tmp_path / "start-up"
    start_up.write_text("printf 'Welcome <'; trap \"printf '> Good bye'\" EXIT\n")
    address = f"127.{1 + os.getpid() % 250}.{1 + os.getpid() // 250 % 250}.9"
    keys, environment = ssh_servers.Keys(tmp_path / "keys"), {"BASH_ENV": str(start_up)}
    server = ssh_servers.OpenSSHServer(tmp_path / "sshd", keys, address, environment=environment).start()
    try:
        assert called(ssh_host("a", server), REPORT, ReportRequest()).version == __version__
    finally:
        server.stop()
