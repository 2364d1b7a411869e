"""Hosts that lie on purpose, in the bytes of SFTP and SSH: each is an error of its own, in bounded memory and time."""

from __future__ import annotations

import asyncio
import io
import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import ssh_servers
from ringrift_loop.cluster.ssh import connection
from ringrift_loop.cluster.ssh.connection import SSHHost
from ringrift_loop.errors import DataError, HostUnreachable, LoopError, RemoteJobFailed
from ringrift_loop.hosts.inventory import Host

needs_openssh = pytest.mark.skipif(not ssh_servers.SSHD.exists(), reason="the Debian package openssh-server is missing")
VERSION, STATUS, HANDLE, DATA, NAME, ATTRS = 2, 101, 102, 103, 104, 105


def packet(kind: int, *parts: bytes) -> bytes:
    body = bytes([kind]) + b"".join(parts)
    return struct.pack(">I", len(body)) + body


def text(raw: bytes) -> bytes:
    return struct.pack(">I", len(raw)) + raw


GREETING = packet(VERSION, struct.pack(">I", 3))
OPENED = packet(HANDLE, b"_ID_", text(b"h"))
END, CLOSED = (packet(STATUS, b"_ID_", struct.pack(">I", code), text(b""), text(b"")) for code in (1, 0))
# What comes after the greeting and an opened file; or, where it says so, in their place.
LIES: dict[str, Sequence[bytes]] = {
    "no greeting": [packet(STATUS, b"_ID_")],
    "greeting of a future version": [packet(VERSION, struct.pack(">I", 99))],
    "greeting cut off": [packet(VERSION, b"\0")],
    "greeting with half an extension": [packet(VERSION, struct.pack(">I", 3), text(b"limits@openssh.com"))],
    "greeting longer than can be": [struct.pack(">I", 0xFFFFFFFF) + b"x" * 64],
    "greeting of no bytes": [struct.pack(">I", 0)],
    "handle with more behind it": [GREETING, packet(HANDLE, b"_ID_", text(b"h"), b"more")],
    "handle shorter than it says": [GREETING, packet(HANDLE, b"_ID_", struct.pack(">I", 99), b"h")],
    "data in place of a handle": [GREETING, packet(DATA, b"_ID_", text(b"h"))],
    "answer of an unknown kind": [GREETING, packet(250, b"_ID_")],
    "answer to nobody": [GREETING, packet(HANDLE, b"\xff\xff\xff\xff", text(b"h"))],
    "success in place of a handle": [GREETING, packet(STATUS, b"_ID_", struct.pack(">I", 0), text(b""), text(b""))],
    "status of no bytes": [GREETING, packet(STATUS, b"_ID_")],
    "status in no language": [GREETING, packet(STATUS, b"_ID_", struct.pack(">I", 4), text(b"\xff"), text(b"\xff"))],
    "status of an unknown code": [
        GREETING,
        packet(STATUS, b"_ID_", struct.pack(">I", 77777), text(b"\xc3\xa4"), text(b"")),
    ],
    "status with escapes": [GREETING, packet(STATUS, b"_ID_", struct.pack(">I", 4), text(b"\x1b[2Ja\nb\0"), text(b""))],
    "data longer than asked": [GREETING, OPENED, packet(DATA, b"_ID_", text(b"x" * 4_000_000))],
    "data of no bytes": [GREETING, OPENED, packet(DATA, b"_ID_", text(b""))],
    "data shorter than it says": [GREETING, OPENED, packet(DATA, b"_ID_", struct.pack(">I", 2**31), b"x")],
    "names in place of data": [GREETING, OPENED, packet(NAME, b"_ID_", struct.pack(">I", 2**32 - 1))],
    "attributes in place of data": [GREETING, OPENED, packet(ATTRS, b"_ID_", struct.pack(">I", 0xFFFFFFFF))],
    "packet longer than can be": [GREETING, OPENED, struct.pack(">I", 0x7FFFFFFF) + b"x" * 1000],
}


@pytest.fixture
def lying(tmp_path: Path) -> Iterator[Callable[[Sequence[bytes]], ssh_servers.OpenSSHServer]]:
    """An OpenSSH server with these answers behind its SFTP subsystem."""
    started: list[ssh_servers.OpenSSHServer] = []

    def start(answers: Sequence[bytes]) -> ssh_servers.OpenSSHServer:
        (tmp_path / "answers").write_text("\n".join(answer.hex() for answer in answers))
        sftp = f"{sys.executable} -IS {Path(ssh_servers.__file__).with_name('lying_sftp.py')} {tmp_path}"
        keys, address = ssh_servers.Keys(tmp_path / "keys"), f"127.{1 + os.getpid() % 250}.250.1"
        started.append(ssh_servers.OpenSSHServer(tmp_path / "sshd", keys, address, sftp=sftp))
        return started[-1].start()

    yield start
    for server in started:
        server.stop()


async def copy(remote: SSHHost, size: int) -> bytes:
    into = io.BytesIO()
    async with asyncio.timeout(10):
        await remote.copy_file("games/segment", size, into)
    return into.getvalue()


@needs_openssh
@pytest.mark.system
@pytest.mark.parametrize("lie", LIES)
def test_a_lie_about_a_file_is_the_hosts_own_error_and_commands_still_work(
    lying: Any, ssh_host: Callable[..., Host], lie: str
) -> None:
    host = ssh_host("a", lying(LIES[lie]))

    async def ask() -> None:
        remote = SSHHost(host)
        try:
            with pytest.raises((RemoteJobFailed, DataError)) as error:  # the host was reached
                await copy(remote, 100_000)
            assert str(error.value).startswith(("a", "games/segment"))
            assert str(error.value).isprintable()
            assert (await remote.run("echo well", limit_s=10)).stdout == b"well\n"
        finally:
            await remote.aclose()

    asyncio.run(ask())


@needs_openssh
@pytest.mark.system
def test_of_an_answer_longer_than_what_was_asked_one_is_taken_at_most(
    lying: Any, ssh_host: Any, tmp_path: Path
) -> None:
    host = ssh_host("a", lying([GREETING, OPENED, packet(DATA, b"_ID_", text(b"x" * 4_000_000)), CLOSED]))
    remote = SSHHost(host)

    async def ask() -> None:
        try:
            with pytest.raises(DataError, match="longer than what was asked for"):
                await copy(remote, 1_000)
        finally:
            await remote.aclose()

    asyncio.run(ask())
    assert (tmp_path / "requests").stat().st_size <= 4  # greeting, open, read, close


@needs_openssh
@pytest.mark.system
def test_a_file_comes_whole_in_answers_shorter_than_what_was_asked(lying: Any, ssh_host: Any) -> None:
    part = packet(DATA, b"_ID_", text(b"x" * 300))
    host = ssh_host("a", lying([GREETING, OPENED, part, part, part, END, CLOSED]))

    async def ask() -> bytes:
        remote = SSHHost(host)
        try:
            return await copy(remote, 900)
        finally:
            await remote.aclose()

    assert asyncio.run(ask()) == b"x" * 900


STANDS_STILL = [GREETING, OPENED, b"\0"]  # the last: a packet that never gets whole, as when the disk hangs


@needs_openssh
@pytest.mark.system
def test_a_transfer_that_is_cut_off_ends_at_once_though_the_host_answers_nothing(
    lying: Any, ssh_host: Any, tmp_path: Path
) -> None:
    host = ssh_host("a", lying(STANDS_STILL))

    async def ask() -> None:
        remote = SSHHost(host)
        transfer = asyncio.create_task(remote.copy_file("games/segment", 900, io.BytesIO()))
        while not (tmp_path / "requests").exists() or (tmp_path / "requests").stat().st_size < 3:
            await asyncio.sleep(0.01)
        transfer.cancel()
        ended, _ = await asyncio.wait({transfer}, timeout=5)
        assert ended and transfer.cancelled()
        assert (await remote.run("echo well", limit_s=10)).stdout == b"well\n"
        await remote.aclose()

    asyncio.run(ask())


@needs_openssh
@pytest.mark.system
@pytest.mark.parametrize("answers", [STANDS_STILL, [b"\0"]], ids=["within a file", "from the start"])
def test_a_host_that_answers_nothing_is_given_up_by_the_transfer_itself(
    lying: Any, ssh_host: Any, monkeypatch: pytest.MonkeyPatch, answers: Sequence[bytes]
) -> None:
    monkeypatch.setattr(connection, "_SILENCE_S", 0.5)
    host = ssh_host("a", lying(answers))

    async def ask(transfer: Callable[[SSHHost], Coroutine[Any, Any, None]]) -> None:
        remote = SSHHost(host)
        with pytest.raises(HostUnreachable, match=r"answered nothing for 0\.5 s during the transfer"):
            await asyncio.wait_for(transfer(remote), 10)
        assert (await remote.run("echo well", limit_s=10)).stdout == b"well\n"
        await remote.aclose()

    asyncio.run(ask(lambda remote: remote.copy_file("games/segment", 900, io.BytesIO())))
    asyncio.run(ask(lambda remote: remote.write_file(io.BytesIO(b"x"), "to", "temporary")))


@needs_openssh
@pytest.mark.system
def test_a_long_transfer_that_gets_on_is_not_given_up(
    lying: Any, ssh_host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_SILENCE_S", 0.5)
    part = packet(DATA, b"_ID_", text(b"x" * 300))
    host = ssh_host("a", lying([GREETING, OPENED, part, part, part, part, END, CLOSED]))

    class SlowFile(io.BytesIO):
        def write(self, data: Any) -> int:
            time.sleep(0.2)
            return super().write(data)

    async def ask() -> None:
        remote = SSHHost(host)
        await remote.copy_file("games/segment", 1200, SlowFile())
        await remote.aclose()

    asyncio.run(ask())


BANNER = b"SSH-2.0-OpenSSH_9.2\r\n"
# The first bytes of a connection; the server then waits.
GREETINGS = {
    "a web server": b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"x" * 5000,
    "an old version": b"SSH-1.5-old\r\n",
    "a banner without end": b"x" * 100_000,
    "too many lines": b"hello\r\n" * 5000,
    "no text": b"\xff\xfe\x00" * 1000 + b"\r\n",
    "a packet of no bytes": BANNER + struct.pack(">IB", 0, 0) + b"\0" * 64,
    "a packet longer than can be": BANNER + struct.pack(">I", 0xFFFFFFFF) + b"\0" * 64,
    "padding longer than its packet": BANNER + struct.pack(">IB", 12, 255) + b"\x14" * 64,
    "an offer cut off": BANNER + struct.pack(">IB", 28, 4) + bytes([20]) + b"c" * 16 + b"\0\0\0\xff" + b"\0" * 6,
    "an offer that is no text": BANNER
    + struct.pack(">IB", 28, 4)
    + bytes([20])
    + b"c" * 16
    + struct.pack(">I", 2)
    + b"\xff\xff"
    + b"\0" * 4,
    "a message before the offer": BANNER + struct.pack(">IB", 12, 10) + bytes([94]) + b"\0" * 10,
    "a farewell with escapes": BANNER
    + struct.pack(">IB", 28, 6)
    + bytes([1])
    + struct.pack(">I", 2)
    + text(b"\x1b[2J\n")
    + text(b"")
    + b"\0" * 8,
}


@pytest.mark.parametrize("greeting", GREETINGS)
def test_what_is_no_ssh_server_is_unreachable_with_a_printable_sentence(greeting: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with listening.accept()[0] as client, threading.Lock():
                try:
                    client.sendall(GREETINGS[greeting])
                    while client.recv(4096):
                        pass
                except OSError:
                    return

        thread = threading.Thread(target=serve)
        thread.start()
        place = {"ssh_host": "127.0.0.1", "ssh_port": listening.getsockname()[1], "ssh_user": "u"}
        host = Host("a", "ssh", frozenset(), **place, connect_limit_s=1.0)  # type: ignore[arg-type]
        host = replace(host, host_key="SHA256:" + "A" * 43)

        async def ask() -> None:
            remote = SSHHost(host)
            try:
                await remote.run("true", limit_s=5)
            finally:
                await remote.aclose()

        with pytest.raises(HostUnreachable) as error:
            asyncio.run(ask())
        thread.join(10)
    assert str(error.value).isprintable()
    assert not error.value.sent
    assert isinstance(error.value, LoopError)
