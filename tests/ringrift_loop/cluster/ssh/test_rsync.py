"""rsync to hosts: real rsync and OpenSSH's client against both kinds of server."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncssh
import psutil
import pytest

from ringrift_loop.cluster.ssh import rsync
from ringrift_loop.cluster.ssh.fan_out import FAILED, OK, TIMED_OUT, UNREACHABLE
from ringrift_loop.cluster.ssh.rsync import RsyncTo, push
from ringrift_loop.errors import ConfigError
from ringrift_loop.hosts.inventory import Credentials, Host

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(not shutil.which("rsync"), reason="the Debian package rsync is missing"),
    pytest.mark.skipif(not shutil.which("ssh"), reason="the Debian package openssh-client is missing"),
]
HERE = Host("here", "local", frozenset())


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder whose names a shell would trip over."""
    folder = tmp_path / "what: it's"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "$(touch x); a b").write_text("one")
    (folder / "plain").write_text("two")
    return folder


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where key files lie while they are needed; a name that needs quotes."""
    folder = tmp_path / "temporary files"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_a_folder_reaches_every_host_and_a_second_time_nothing_moves(
    ssh_server: Any, ssh_host: Callable[..., Host], source: Path, tmp_path: Path, temporary: Path
) -> None:
    hosts = [ssh_host(name, ssh_server(name)) for name in "ab"]
    target = tmp_path / "there" / "an odd'name $HOME"

    first = push(hosts, RsyncTo(source, str(target)), limit_s=30, at_once=1)  # both write one folder of this machine
    (target / "unrelated").write_text("stays")
    again = push([*hosts, HERE], RsyncTo(source, str(target)), limit_s=30)

    assert [(result.status, result.error) for result in first.results] == [(OK, None)] * 2
    assert (target / "deep" / "$(touch x); a b").read_text() == "one"
    assert (target / "unrelated").read_text() == "stays"
    assert again.outcome == "all"
    assert all("files transferred: 0\n" in result.stdout for result in again.results)
    assert list(temporary.iterdir()) == []


def test_a_file_gets_the_targets_name_and_its_folder_is_made(
    ssh_server: Any, ssh_host: Callable[..., Host], source: Path, tmp_path: Path
) -> None:
    target = tmp_path / "new" / "folder" / "renamed"
    report = push([ssh_host("a", ssh_server("a"))], RsyncTo(source / "plain", str(target)), limit_s=30)
    assert report.outcome == "all", report.table()
    assert target.read_text() == "two"


def test_only_the_host_key_of_the_inventory_is_accepted(
    ssh_server: Any, ssh_host: Callable[..., Host], source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = ssh_server("a")
    good, wrong = ssh_host("a", server), ssh_host("b", server, key="SHA256:" + "A" * 43)
    known = ssh_host("c", server, f"known_hosts: {tmp_path}/known", key="")
    (tmp_path / "known").write_text(f"[{server.address}]:{server.port} {server.public_key}\n")
    new = ssh_host("d", server, f"known_hosts: {tmp_path}/new, accept_new_host_key: true", key="")
    unknown = ssh_host("e", server, f"known_hosts: {tmp_path}/empty", key="")
    (tmp_path / "empty").write_text("")

    # One after the other: it is one server, and two rsyncs that make one folder at once get in each other's way.
    report = push([good, wrong, known, new, unknown], RsyncTo(source, str(tmp_path / "t")), limit_s=30, at_once=1)

    assert report.succeeded == ["a", "c", "d"], report.table()
    assert "host key is not the host_key" in (report.results[1].error or "")
    assert server.public_key in (tmp_path / "new").read_text()

    # The check is OpenSSH's own too: with another key than the verified one it makes no connection.
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key("openssh").decode()

    async def swapped(_self: object) -> str:
        return " ".join(other.split()[:2])

    monkeypatch.setattr(rsync.SSHHost, "verified_key", swapped)
    (result,) = push([good], RsyncTo(source, str(tmp_path / "u")), limit_s=30).results
    assert (result.status, result.exit_status) == (UNREACHABLE, 255)
    assert "Host key verification failed" in result.stderr
    assert not (tmp_path / "u").exists()


def test_a_key_that_came_with_credentials_lies_in_a_private_file_only_while_it_is_used(
    ssh_server: Any,
    ssh_host: Callable[..., Host],
    source: Path,
    tmp_path: Path,
    temporary: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    host = ssh_host("a", ssh_server("a"))
    text = (
        asyncssh.read_private_key(str(tmp_path / "keys" / "id"))
        .export_private_key("openssh", "a phrase", rounds=16, ignore_few_rounds=True)
        .decode()
    )
    with_key = replace(host, ssh_key=None, credentials=Credentials(None, text, "a phrase"))
    with_password = replace(host, name="b", ssh_key=None, connection="c", credentials=Credentials("secret"))
    seen: list[tuple[int, int, bool]] = []
    run_here = rsync.run_here

    async def looking(name: str, argv: Any, **options: Any) -> Any:
        (key,) = temporary.glob("*/id")
        modes = stat.S_IMODE(key.stat().st_mode), stat.S_IMODE(key.parent.stat().st_mode)
        seen.append((*modes, "PRIVATE" in " ".join(argv) or "phrase" in " ".join(argv)))
        return await run_here(name, argv, **options)

    monkeypatch.setattr(rsync, "run_here", looking)
    report = push([with_key, with_password], RsyncTo(source, str(tmp_path / "t")), limit_s=30)

    assert report.succeeded == ["a"], report.table()
    assert seen == [(0o600, 0o700, False)]
    assert "logs in by a key, but connection c has a password" in (report.results[1].error or "")
    assert list(temporary.iterdir()) == []


def test_what_went_wrong_is_told_apart_for_each_host(
    ssh_server: Any, ssh_host: Callable[..., Host], source: Path, tmp_path: Path
) -> None:
    good, down, refused = (ssh_server(name) for name in "abc")
    hosts = [ssh_host(name, server) for name, server in zip("abc", (good, down, refused), strict=True)]
    down.stop()
    refused.deny()
    (tmp_path / "file").write_text("in the way")

    unreachable = push(hosts, RsyncTo(source, str(tmp_path / "t")), limit_s=30, min_success=1)
    blocked = push(hosts[:1], RsyncTo(source, str(tmp_path / "file" / "below")), limit_s=30)

    assert [result.status for result in unreachable.results] == [OK, UNREACHABLE, UNREACHABLE]
    assert unreachable.outcome == "partial"
    assert "nothing listens" in (unreachable.results[1].error or "")
    assert "refuses the login" in (unreachable.results[2].error or "")
    (result,) = blocked.results
    assert (result.status, result.exit_status) == (FAILED, 11)
    assert "Not a directory" in (result.error or "")
    assert "disk" not in (result.error or "")


@pytest.mark.skipif(os.getuid() != 0, reason="a full disk needs a mount: root only")
def test_a_full_disk_is_named(source: Path, tmp_path: Path) -> None:
    import subprocess

    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)], check=False).returncode != 0:
        pytest.skip("this machine lets nobody mount a file system")
    try:
        (source / "large").write_bytes(os.urandom(200_000))
        (result,) = push([HERE], RsyncTo(source, str(small / "t"))).results
    finally:
        subprocess.run(["umount", "--lazy", str(small)], check=True)
    assert (result.status, result.exit_status) == (FAILED, 11)
    assert "No space left on device" in (result.error or "")


def test_a_host_without_rsync_is_told_as_such_however_rsync_here_ends(
    ssh_server: Any, ssh_host: Callable[..., Host], source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = ssh_host("a", ssh_server("a"))
    monkeypatch.setattr(rsync.commands, "rsync", lambda _limit_s: "no-such-rsync")

    (result,) = push([host], RsyncTo(source, str(tmp_path / "t")), limit_s=30).results

    assert (result.status, result.exit_status) == (FAILED, 127)
    assert "rsync is not installed there" in (result.error or "")


@pytest.mark.parametrize(
    ("rsyncs", "of_ssh", "told"),
    [(12, "255", 255), (11, "255", 255), (12, "127", 127), (12, "11", 11), (23, "12", 23), (12, "0", 12), (20, "", 20)],
)
def test_the_first_cause_is_told_not_how_rsync_happened_to_end(
    tmp_path: Path, rsyncs: int, of_ssh: str, told: int
) -> None:
    ended = tmp_path / "ended"
    if of_ssh:
        ended.write_text(f"{of_ssh}\n")
    assert rsync._first_cause(rsyncs, ended) == told


def test_a_transfer_that_is_too_slow_is_killed_here_and_on_the_host(
    ssh_server: Any, ssh_host: Callable[..., Host], source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = ssh_host("a", ssh_server("a"))
    (source / "large").write_bytes(os.urandom(1_000_000))
    remote_words = rsync.remote_words

    def throttled(*arguments: Any) -> list[str]:
        program, *words = remote_words(*arguments)
        return [program, "--bwlimit=20k", *words]

    monkeypatch.setattr(rsync, "remote_words", throttled)
    started = time.monotonic()
    (result,) = push([host], RsyncTo(source, str(tmp_path / "t")), limit_s=4).results

    assert (result.status, "ended on the host after 2 s" in (result.error or "")) == (TIMED_OUT, True)
    assert time.monotonic() - started < 7
    assert not (tmp_path / "t" / "large").exists()
    time.sleep(0.3)
    found = [process.info for process in psutil.process_iter(["name", "cmdline", "cwd"])]
    mine = [each for each in found if str(tmp_path) in f"{each['cwd']} {each['cmdline']}"]
    assert [each["cmdline"] for each in mine if each["name"] in ("rsync", "ssh", "timeout")] == []


def test_a_host_that_falls_silent_is_given_up_when_the_time_is_over(
    ssh_host: Callable[..., Host], ssh_server: Any, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The other side's `timeout` never fires, as when the host hangs: the group of processes here is killed.
    host = ssh_host("a", ssh_server("a"))
    monkeypatch.setattr(rsync.commands, "rsync", lambda _limit_s: "sleep 30; true")

    (result,) = push([host], RsyncTo(source, str(tmp_path / "t")), limit_s=3).results

    assert (result.status, result.exit_status) == (TIMED_OUT, None)
    assert "did not end within" in (result.error or "")
    assert 2.9 < result.seconds < 5


def test_a_source_that_is_not_there_or_a_target_with_a_tilde_is_refused_at_once(source: Path) -> None:
    with pytest.raises(ConfigError, match="the source /nowhere does not exist"):
        push([HERE], RsyncTo(Path("/nowhere"), "t"))
    with pytest.raises(ConfigError, match="without ~"):
        push([HERE], RsyncTo(source, "~/t"))
