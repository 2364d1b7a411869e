"""A host by SSH: verified, bounded, and never a success that was none."""

from __future__ import annotations

import asyncio
import contextlib
import io
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import ssh_servers
from ringrift_loop.cluster.ssh import commands
from ringrift_loop.cluster.ssh.connection import Completed, SSHHost
from ringrift_loop.errors import (
    ConfigError,
    DataError,
    HostKeyRefused,
    HostUnreachable,
    LoginRefused,
    RemoteJobFailed,
)
from ringrift_loop.hosts.inventory import Credentials, Host

MakeHost = Callable[..., Host]


def run(host: Host, line: str, *, limit_s: float = 20.0, **options: Any) -> Completed:
    async def once() -> Completed:
        remote = SSHHost(host)
        try:
            return await remote.run(line, limit_s=limit_s, **options)
        finally:
            await remote.aclose()

    return asyncio.run(once())


def test_output_exit_status_and_input_come_and_go_whole(ssh_server: Any, ssh_host: MakeHost) -> None:
    host = ssh_host("a", ssh_server("a"))

    assert run(host, "printf out; printf err >&2; exit 3") == Completed(3, b"out", b"err")
    assert run(host, "wc -c", stdin=b"x" * 300_000).stdout.strip() == b"300000"

    async def parts() -> AsyncIterator[bytes]:
        for number in range(5):
            yield bytes([65 + number]) * 3

    assert run(host, "cat", stdin=parts()).stdout == b"AAABBBCCCDDDEEE"


def test_a_command_that_ignores_its_input_is_judged_by_its_exit_status(ssh_server: Any, ssh_host: MakeHost) -> None:
    assert run(ssh_host("a", ssh_server("a")), "exit 7", stdin=b"x" * 5_000_000).exit_status == 7


def test_commands_share_one_connection_and_a_dead_one_is_made_anew(ssh_server: Any, ssh_host: MakeHost) -> None:
    server = ssh_server("a")

    async def several() -> None:
        remote = SSHHost(ssh_host("a", server))
        line = 'echo "$SSH_CONNECTION"' if isinstance(server, ssh_servers.OpenSSHServer) else "echo x"
        first = await asyncio.gather(*(remote.run(line, limit_s=20) for _ in range(12)))
        assert len({done.stdout for done in first}) == 1
        kept = remote._connection
        await remote.run("true", limit_s=20)
        assert remote._connection is kept
        await asyncio.to_thread(server.cut)
        with contextlib.suppress(HostUnreachable):  # unless the cut is noticed before the command is sent
            await remote.run("true", limit_s=20)
        assert (await remote.run("echo back", limit_s=20)).stdout == b"back\n"
        assert remote._connection is not kept
        await remote.aclose()

    asyncio.run(several())


def test_a_connection_that_dies_under_a_command_is_no_success(
    ssh_server: Any, ssh_host: MakeHost, tmp_path: Path
) -> None:
    server, begun = ssh_server("a"), tmp_path / "begun"

    async def cut_while_running() -> None:
        remote = SSHHost(ssh_host("a", server))
        running = asyncio.create_task(remote.run(f"touch {begun}; exec sleep 30", limit_s=25))
        while not begun.exists():
            await asyncio.sleep(0.01)
        await asyncio.to_thread(server.cut)
        with pytest.raises(HostUnreachable, match=r"lost|broke|reset"):
            await running
        await remote.aclose()

    asyncio.run(cut_while_running())


def test_a_command_that_does_not_end_is_given_up_and_ends_on_the_host_by_itself(
    ssh_server: Any, ssh_host: MakeHost, tmp_path: Path
) -> None:
    host = ssh_host("a", ssh_server("a"))

    with pytest.raises(RemoteJobFailed, match="did not end within 1 s"):
        run(host, "sleep 20", limit_s=1.0)
    line = commands.bounded(commands.shell("sleep 20 & sleep 20"), 0.3)
    assert run(host, line).exit_status == 124


def test_a_command_ended_by_a_signal_failed(ssh_server: Any, ssh_host: MakeHost) -> None:
    with pytest.raises(RemoteJobFailed, match=r"ended by signal KILL"):
        run(ssh_host("a", ssh_server("a")), "kill -9 $$")


def test_an_answer_without_end_is_refused_and_of_the_errors_the_end_is_kept(
    ssh_server: Any, ssh_host: MakeHost
) -> None:
    host = ssh_host("a", ssh_server("a"))

    with pytest.raises(DataError, match="more than 1000 bytes"):
        run(host, "yes", max_bytes=1000)
    done = run(host, "seq 1 20000 >&2; exit 1")
    assert len(done.stderr) == 8192
    assert done.stderr.endswith(b"\n20000\n")


def test_a_swapped_host_key_is_refused_with_its_fingerprint(ssh_server: Any, ssh_host: MakeHost) -> None:
    server = ssh_server("a")
    host = ssh_host("a", server)
    assert run(host, "true").exit_status == 0
    server.stop()
    server.new_host_key()
    server.start()

    with pytest.raises(HostKeyRefused) as error:
        run(host, "true")
    assert server.fingerprint in str(error.value)
    assert run(replace(host, host_key=server.public_key), "true").exit_status == 0


def test_a_host_that_no_file_knows_is_refused(ssh_server: Any, ssh_host: MakeHost, tmp_path: Path) -> None:
    server = ssh_server("a")
    known = tmp_path / "known_hosts"
    known.write_text("")
    host = ssh_host("a", server, f"known_hosts: {known}", key="")

    with pytest.raises(HostKeyRefused, match="or none is known"):
        run(host, "true")
    known.write_text(f"[{server.address}]:{server.port} {server.public_key}\n")
    assert run(host, "true").exit_status == 0


def test_a_new_key_is_taken_once_when_that_is_chosen(ssh_server: Any, ssh_host: MakeHost, tmp_path: Path) -> None:
    server = ssh_server("a")
    known = tmp_path / "new" / "known_hosts"
    host = ssh_host("a", server, f"known_hosts: {known}, accept_new_host_key: true", key="")

    assert run(host, "true").exit_status == 0
    assert known.read_text() == f"[{server.address}]:{server.port} {server.public_key}\n"
    assert run(replace(host, accept_new_host_key=False), "true").exit_status == 0
    server.stop()
    server.new_host_key()
    server.start()
    with pytest.raises(HostKeyRefused):
        run(host, "true")


def test_a_key_that_the_host_does_not_accept_is_told_as_such(ssh_server: Any, ssh_host: MakeHost) -> None:
    server = ssh_server("a")
    server.deny()

    with pytest.raises(LoginRefused, match="refuses the login as"):
        run(ssh_host("a", server), "true")


def test_credentials_handed_in_replace_the_key_file_and_are_never_shown(
    ssh_server: Any, ssh_host: MakeHost, tmp_path: Path
) -> None:
    host = replace(ssh_host("a", ssh_server("a")), ssh_key="/nonexistent/key")
    with pytest.raises(ConfigError, match="ssh_key /nonexistent/key cannot be read"):
        run(host, "true")
    text = (tmp_path / "keys" / "id").read_text()
    given = replace(host, credentials=Credentials(password="hunter2", private_key=text))

    assert run(given, "true").exit_status == 0
    assert "hunter2" not in repr(given)
    assert "PRIVATE KEY" not in repr(given)


def test_a_closed_port_and_a_silent_one_have_sentences_of_their_own(ssh_server: Any, ssh_host: MakeHost) -> None:
    server = ssh_server("a")
    host = ssh_host("a", server)
    server.stop()
    with pytest.raises(HostUnreachable, match="nothing listens on the port"):
        run(host, "true")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mute = replace(host, ssh_host="127.0.0.1", ssh_port=silent.getsockname()[1], connect_limit_s=0.3)
        with pytest.raises(HostUnreachable, match="did not answer in time"):
            run(mute, "true")


def test_a_file_is_copied_when_it_has_the_size_that_was_listed(
    ssh_server: Any, ssh_host: MakeHost, tmp_path: Path
) -> None:
    host = ssh_host("a", ssh_server("a"))
    path = tmp_path / "hosts" / "a" / "file"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(range(256)) * 12_000)

    async def copy(size: int) -> bytes:
        remote, into = SSHHost(host), io.BytesIO()
        try:
            await remote.copy_file(str(path), size, into)
        finally:
            await remote.aclose()
        return into.getvalue()

    assert asyncio.run(copy(path.stat().st_size)) == path.read_bytes()
    with pytest.raises(DataError, match="had 1000 bytes when it was listed, now it has more"):
        asyncio.run(copy(1000))
    with pytest.raises(DataError, match="now it has 3072000"):
        asyncio.run(copy(4_000_000))
    path.unlink()
    with pytest.raises(RemoteJobFailed, match=r"the transfer of .* failed"):
        asyncio.run(copy(1000))
