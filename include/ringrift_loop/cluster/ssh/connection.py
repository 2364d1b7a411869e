"""One host by SSH: a connection made when first needed, commands with limits on time and output, SFTP beside them.

asyncssh hands back a result even when the connection died under a command: its exit status is then None. That is a lost
connection here, never a success. Nothing of this module outlives the event loop that it is used in.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol, cast

import asyncssh

from ringrift_loop.cluster.ssh.errors import connect_error, lost, malformed, sftp_error, silent
from ringrift_loop.cluster.ssh.host_keys import HostKeyCheck, algorithms, known_hosts_of
from ringrift_loop.cluster.ssh.login import login_options
from ringrift_loop.errors import ConfigError, DataError, HostKeyRefused, LoopError, RemoteJobFailed
from ringrift_loop.hosts.inventory import SSH, Host
from ringrift_loop.text import clean, clean_lines

MAX_OUTPUT_BYTES = 16 << 20
STDERR_TAIL_BYTES = 8192
# First choice, the default ones after it: OpenSSH 9.2's default costs the client 80 ms CPU, this one 3.
KEY_EXCHANGE = "^curve25519-sha256,curve25519-sha256@libssh.org"
# AES-GCM before asyncssh's first choice, ChaCha20: that takes a third of the CPU of a command on an open connection.
_CIPHERS = "^aes128-gcm@openssh.com,aes256-gcm@openssh.com"
# A dead peer is noticed after 6 s: two unanswered questions, 2 s apart.
_KEEPALIVE_S, _KEEPALIVES = 2.0, 2
_CLOSE_S = 2.0
# A transfer may take hours, but no answer within it longer than this: sshd lives on when the disk behind it hangs.
_SILENCE_S = 60.0
# What asyncssh says before anything was sent, so that the command certainly did not run.
_ALREADY_CLOSED = "SSH connection closed"
_ENDED_SFTP = (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection, asyncssh.SFTPBadMessage)
_CHUNK = 65536
_FILE_CHUNK = 128 << 10  # what a slow host must manage to send for a cut-off transfer to have got further

# Its INFO lines tell of every channel; what matters is raised.
logging.getLogger("asyncssh").setLevel(logging.WARNING)


@dataclass(frozen=True)
class Completed:
    """A command that ran to its end on a host."""

    exit_status: int
    stdout: bytes
    stderr: bytes  # the last 8 KiB

    @property
    def said(self) -> str:
        """What it complained of, for people."""
        return clean_lines(self.stderr.decode("utf-8", "replace"), STDERR_TAIL_BYTES).strip()


class SSHHost:
    """A host of the inventory; safe to use by several tasks of one event loop at once."""

    def __init__(self, host: Host) -> None:
        if host.transport != SSH or host.ssh_host is None:
            raise ConfigError(f"host {host.name} has transport {host.transport!r}, not {SSH!r}")
        self.host = host
        self._connection: asyncssh.SSHClientConnection | None = None
        self._sftp: asyncssh.SFTPClient | None = None
        self._opening = asyncio.Lock()

    async def run(
        self,
        line: str,
        *,
        stdin: bytes | AsyncIterator[bytes] = b"",
        limit_s: float,
        max_bytes: int = MAX_OUTPUT_BYTES,
    ) -> Completed:
        """Run a line of shell on the host, whatever its exit status.

        Args:
            line: made by `commands.py`.
            stdin: what the command reads, at once or in parts.
            limit_s: wall clock, from now on, connecting included. The command on the host is not ended by it: give
                it a limit of its own (`commands.bounded`).
            max_bytes: a longer answer is refused.

        Raises:
            HostUnreachable: no connection, or it died before the command ended.
            RemoteJobFailed: it did not end in time, or a signal ended it.
            DataError: the answer is too long.
        """
        try:
            async with asyncio.timeout(limit_s):
                with self._call("a command"):
                    process = await self._begin(line)
                    try:
                        return await self._finish(process, stdin, max_bytes)
                    finally:
                        process.close()  # not waited for: the host may be gone
        except TimeoutError:
            raise RemoteJobFailed(f"{self.host.name}: the command did not end within {limit_s:g} s") from None

    async def copy_file(self, path: str, size_bytes: int, into: BinaryIO, offset: int = 0) -> None:
        """Copy a file of the host that must have this size; nothing longer is ever read.

        Args:
            path: the file on the host.
            size_bytes: how long it is.
            into: written to as the bytes come, from its present position on.
            offset: where in the file to begin.

        Raises:
            HostUnreachable: no connection, or no answer within 60 s.
            RemoteJobFailed: it cannot be read.
            DataError: it has another size.
        """
        async with (
            self._transfer(f"the transfer of {path}") as (sftp, answered),
            # 0: one request at a time, so that at most one answer too long is in memory (asyncssh takes up to 4 MiB).
            _closing(await sftp.open(path, "rb", block_size=0)) as file,
        ):
            await file.seek(offset)
            left = size_bytes + 1 - offset  # one byte too many tells that the file has grown
            while data := cast("bytes", await file.read(min(left, _FILE_CHUNK))):
                if len(data) > min(left, _FILE_CHUNK):
                    raise DataError(f"{self.host.name}: {path} is sent in answers longer than what was asked for")
                left -= len(data)
                if left == 0:
                    break
                into.write(data)
                answered()
        if left != 1:
            found = "more" if left == 0 else f"{size_bytes + 1 - left}"
            raise DataError(f"{path} had {size_bytes} bytes when it was listed, now it has {found}")

    async def verified_key(self) -> str:
        """Log in and give the host's key, accepted as the inventory says, as `<type> <base64>`.

        Raises:
            HostUnreachable: no connection; `HostKeyRefused` and `LoginRefused` are subclasses.
        """
        with self._call("the login"):
            key = (await self._connected()).get_server_host_key()
        if key is None:  # asyncssh's answer to a login without a key exchange by host key, which we do not offer
            raise HostKeyRefused(f"{self.host.name} ({self.host.address}) showed no host key")
        return " ".join(key.export_public_key("openssh").decode("ascii").split()[:2])

    async def write_file(self, source: BinaryIO, path: str, temporary: str) -> None:
        """Write a file on the host under a temporary name, then give it its own.

        Raises:
            HostUnreachable: no connection, or no answer within 60 s.
            RemoteJobFailed: it cannot be written.
        """
        async with self._transfer(f"the transfer to {path}") as (sftp, answered):
            async with _closing(await sftp.open(temporary, "wb")) as file:
                while data := await asyncio.to_thread(source.read, _FILE_CHUNK):
                    await file.write(data)
                    answered()
            await sftp.posix_rename(temporary, path)

    async def aclose(self) -> None:
        """End the connection, if there is one; a peer that is gone is not waited for."""
        connection, self._connection, self._sftp = self._connection, None, None
        if connection is None:
            return
        connection.close()
        try:
            async with asyncio.timeout(_CLOSE_S):
                await connection.wait_closed()
        except TimeoutError:
            connection.abort()

    @contextlib.contextmanager
    def _call(self, doing: str) -> Iterator[None]:
        """The border to asyncssh: whatever a host makes it raise comes out as an error of the loop.

        Errors of this machine's own files and of a time limit pass through. After an answer that breaks the protocol
        the connection is ended, for nothing on it can be believed.
        """
        try:
            yield
        except asyncssh.SFTPError as error:
            if self._sftp is not None and isinstance(error, _ENDED_SFTP):
                self._sftp.exit()
                self._sftp = None
            raise sftp_error(self.host, error, doing) from error
        except (asyncssh.Error, ConnectionError) as error:
            raise connect_error(self.host, error) from error
        except (LoopError, OSError):
            raise
        except Exception as error:
            # asyncssh's parsers raise what the bytes happen to cause: ValueError, KeyError, UnicodeDecodeError, ...
            if self._connection is not None:
                self._connection.abort()
            raise malformed(self.host, error, doing) from error

    @contextlib.asynccontextmanager
    async def _transfer(self, doing: str) -> AsyncIterator[tuple[asyncssh.SFTPClient, Callable[[], None]]]:
        """A session for files, and what to call with every answer, which puts off the end of patience.

        A transfer that is cut off ends the connection: a host whose disk hangs answers nothing, not even on a session
        that closes.
        """
        now = asyncio.get_running_loop().time
        connection: asyncssh.SSHClientConnection | None = None
        silence = asyncio.timeout(_SILENCE_S)
        with self._call(doing):
            try:
                async with silence:
                    connection = await self._connected()
                    sftp = await self._sftp_session(connection)
                    yield sftp, lambda: silence.reschedule(now() + _SILENCE_S)
            except (asyncio.CancelledError, TimeoutError) as error:
                if connection is not None:
                    connection.abort()
                if isinstance(error, TimeoutError) and silence.expired():
                    raise silent(self.host, doing, _SILENCE_S) from error
                raise

    async def _connected(self) -> asyncssh.SSHClientConnection:
        async with self._opening:
            if self._connection is None or self._connection.is_closed():
                self._sftp = None
                self._connection = await self._connect()
            return self._connection

    async def _begin(self, line: str) -> asyncssh.SSHClientProcess[bytes]:
        """Open a session for a command; a kept connection that turns out to be dead by then is made anew once."""
        for last in (False, True):
            connection = await self._connected()
            try:
                return await connection.create_process(line, encoding=None)
            except asyncssh.ChannelOpenError as error:
                if last or error.reason != _ALREADY_CLOSED:
                    raise
                if self._connection is connection:
                    self._connection = None
        raise AssertionError("the second attempt returns or raises")

    async def _sftp_session(self, connection: asyncssh.SSHClientConnection) -> asyncssh.SFTPClient:
        async with self._opening:
            if self._sftp is None:
                self._sftp = await connection.start_sftp_client()
            return self._sftp

    async def _connect(self) -> asyncssh.SSHClientConnection:
        host = self.host
        if host.unusable is not None:
            raise ConfigError(host.unusable)
        check = HostKeyCheck(host, known_hosts_of(host))
        options = _options(host, check) | login_options(host)
        try:
            async with asyncio.timeout(host.connect_limit_s):
                return await self._first_accepted(check, options)
        except Exception as error:  # asyncssh's parsers raise what the bytes happen to cause
            _check(host, options)
            unreachable = connect_error(host, error, check.refused)
            unreachable.sent = False
            raise unreachable from error

    async def _first_accepted(self, check: HostKeyCheck, options: dict[str, Any]) -> asyncssh.SSHClientConnection:
        """Ask for one kind of host key after the other, until one is accepted."""
        refused: asyncssh.Error | None = None
        for kinds in algorithms(self.host, check.known):
            try:
                return await asyncssh.connect(**options, server_host_key_algs=kinds)
            except asyncssh.HostKeyNotVerifiable as error:
                refused = refused or error
            except (asyncssh.Error, OSError):
                if refused is None:
                    raise
                break  # it has no key of another kind
        assert refused is not None
        raise refused

    async def _finish(
        self, process: asyncssh.SSHClientProcess[bytes], stdin: bytes | AsyncIterator[bytes], max_bytes: int
    ) -> Completed:
        # Few tasks: with kept connections they are a good part of what a command costs.
        said = asyncio.create_task(tail(process.stderr, STDERR_TAIL_BYTES))
        waiting: list[asyncio.Task[Any]] = [said]
        if isinstance(stdin, bytes):
            _write(process.stdin, stdin)
        else:
            waiting.append(asyncio.create_task(_feed(process.stdin, stdin)))
        try:
            stdout = await whole(process.stdout, max_bytes, self.host.name)
            stderr = await said
            await process.wait_closed()
        finally:
            # A command that ended without reading all leaves this waiting; an error in reading our own file counts.
            for task in waiting:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        if process.exit_signal is not None:
            raise RemoteJobFailed(
                f"{self.host.name}: the command was ended by signal {clean(process.exit_signal[0])}{_said(stderr)}"
            )
        if process.exit_status is None:
            raise lost(self.host, "a command")
        return Completed(process.exit_status, stdout, stderr)


@contextlib.asynccontextmanager
async def _closing(file: asyncssh.SFTPClientFile) -> AsyncIterator[asyncssh.SFTPClientFile]:
    """Close it, but not when cut off: asyncssh waits for the answer to that without end."""
    try:
        yield file
    except Exception:
        await file.close()
        raise
    await file.close()


class Reader(Protocol):
    """What output comes from: of asyncssh or of asyncio."""

    async def read(self, n: int, /) -> bytes:
        """Up to so many bytes, none at the end."""


async def whole(reader: Reader, max_bytes: int, name: str) -> bytes:
    """All that comes.

    Raises:
        DataError: it is more than `max_bytes`; the rest is not read.
    """
    parts: list[bytes] = []
    room = max_bytes
    while part := await reader.read(_CHUNK):
        room -= len(part)
        if room < 0:
            raise DataError(f"{name} answered more than {max_bytes} bytes")
        parts.append(part)
    return b"".join(parts)


def _write(writer: asyncssh.SSHWriter[bytes], stdin: bytes) -> None:
    """Hand over all and close; a dead connection shows in the exit status."""
    with contextlib.suppress(BrokenPipeError, ConnectionResetError, asyncssh.Error):
        writer.write(stdin)
        writer.write_eof()


async def _feed(writer: asyncssh.SSHWriter[bytes], stdin: AsyncIterator[bytes]) -> None:
    """Write and close; a command that reads no further, or a dead connection, shows in the exit status."""
    try:
        async for part in stdin:
            writer.write(part)
            await writer.drain()
        writer.write_eof()
    except (BrokenPipeError, ConnectionResetError, asyncssh.Error):
        return


async def tail(reader: Reader, keep: int) -> bytes:
    """The end of what comes, which is read to its end."""
    kept = b""
    while part := await reader.read(_CHUNK):
        kept = (kept + part)[-keep:]
    return kept


def _said(stderr: bytes) -> str:
    text = clean_lines(stderr.decode("utf-8", "replace"), STDERR_TAIL_BYTES).strip()
    return f": {text}" if text else ""


def _check(host: Host, options: dict[str, Any]) -> None:
    """Raises `ConfigError` when a setting is wrong, such as in ~/.ssh/config; done only after a failure, for speed."""
    try:
        asyncssh.SSHClientConnectionOptions(config=(), **options)  # () reads ~/.ssh/config
    except (ValueError, OSError) as error:
        raise ConfigError(f"host {host.name}: {clean(str(error))}") from error


def _options(host: Host, check: HostKeyCheck) -> dict[str, Any]:
    """asyncssh's options; what is not given here comes from ~/.ssh/config."""
    options: dict[str, Any] = {
        "host": host.ssh_host,
        "client_factory": lambda: check,
        "known_hosts": check.known,
        "kex_algs": KEY_EXCHANGE,
        "encryption_algs": _CIPHERS,
        "compression_algs": None,
        "keepalive_interval": _KEEPALIVE_S,
        "keepalive_count_max": _KEEPALIVES,
        "login_timeout": host.connect_limit_s,
        "request_pty": False,
        "agent_forwarding": False,
        "x11_forwarding": False,
    }
    if host.ssh_port is not None:
        options["port"] = host.ssh_port
    if host.ssh_user is not None:
        options["username"] = host.ssh_user
    return options
