"""SSH servers to test and measure against: OpenSSH on addresses of 127/8, and asyncssh's within this process.

Both kinds run real shells and serve real files, have three host keys as hosts usually have (RSA, ECDSA, and an
Ed25519 of their own) and the same faults. No root is needed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import asyncssh
import psutil

from other_programs import end
from ringrift_loop.cluster.agent import wire
from ringrift_loop.cluster.agent.report import ReportRequest, host_report
from ringrift_loop.layout import HostDirectory

SSHD = Path("/usr/sbin/sshd")
SFTP_PORT = 2222
_READY_S = 20.0
# Where `ringrift-loop` is found, as on a host with the program installed.
PATH = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
VARIABLES = {"PATH": PATH, "OMP_NUM_THREADS": "1"}
if "PYTHONPATH" in os.environ:  # the hosts run the code that runs here
    VARIABLES["PYTHONPATH"] = os.environ["PYTHONPATH"]


class Keys:
    """The coordinator's key pair, in files as a user has them."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.private, self.public = folder / "id", folder / "id.pub"
        if self.private.exists():
            return  # another process made them
        key = asyncssh.generate_private_key("ssh-ed25519")
        self.private.touch(mode=0o600)
        key.write_private_key(str(self.private))
        key.write_public_key(str(self.public))


def user() -> str:
    """Who tests are run by, and who therefore logs in."""
    return pwd.getpwuid(os.getuid()).pw_name


@cache
def common_keys() -> tuple[asyncssh.SSHKey, ...]:
    """The host keys that every server has before its own; an RSA key takes long to make."""
    return tuple(map(asyncssh.generate_private_key, ("ssh-rsa", "ecdsa-sha2-nistp256")))


class Agent:
    """An ssh-agent; `environment` leads to it."""

    def __init__(self, folder: Path) -> None:
        self._socket = folder / "agent"
        command = ["ssh-agent", "-D", "-a", str(self._socket)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        give_up = time.monotonic() + _READY_S
        while not self._listens() and time.monotonic() < give_up:
            time.sleep(0.02)
        self.environment = {"SSH_AUTH_SOCK": str(self._socket)}

    def _listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:  # its file is there a moment before it answers
            return probe.connect_ex(str(self._socket)) == 0

    def add(self, *keys: asyncssh.SSHKey) -> None:
        """Let it hold keys, after those that it holds."""

        async def add() -> None:
            async with asyncssh.connect_agent(str(self._socket)) as agent:
                await agent.add_keys(list(keys))

        asyncio.run(add())

    def stop(self) -> None:
        """End it."""
        end(self._process, grace_s=10)


class OpenSSHServer:
    """One sshd in the foreground, on an address of its own.

    Args:
        folder: its keys, configuration and log.
        keys: who may log in.
        address: where it listens.
        port: its TCP port.
        inside: a command that starts it elsewhere, such as in a network namespace.
        environment: more variables for the commands it runs.
        settings: more lines for its sshd_config, which come first and so win.
        sftp: the command behind its SFTP subsystem.
    """

    def __init__(
        self,
        folder: Path,
        keys: Keys,
        address: str,
        port: int = SFTP_PORT,
        *,
        inside: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        settings: str = "",
        sftp: str = "internal-sftp",
    ) -> None:
        self.folder, self.address, self.port = folder, address, port
        self._keys, self._inside, self._settings, self._sftp = keys, tuple(inside), settings, sftp
        self.environment = dict(environment or {})
        folder.mkdir(parents=True)
        self.allow()
        self._process: subprocess.Popen[bytes] | None = None
        for number, key in enumerate(common_keys()):
            self._write_key(f"host_key_{number}", key)
        self.new_host_key()

    def new_host_key(self) -> None:
        """Another Ed25519 key from the next start on."""
        key = asyncssh.generate_private_key("ssh-ed25519")
        self._write_key("host_key_own", key)
        self.fingerprint: str = key.get_fingerprint()
        self.public_key = key.export_public_key("openssh").decode().strip()

    def _write_key(self, name: str, key: asyncssh.SSHKey) -> None:
        path = self.folder / name
        path.touch(mode=0o600)
        key.write_private_key(str(path))

    def begin(self) -> None:
        """Start; `wait` for it."""
        variables = {**VARIABLES, "SHLVL": "2", **self.environment}
        listen = f"[{self.address}]" if ":" in self.address else self.address
        (self.folder / "sshd_config").write_text(
            f"{self._settings}\nListenAddress {listen}:{self.port}\n"
            + "".join(f"HostKey {path}\n" for path in sorted(self.folder.glob("host_key_*")))
            + f"AuthorizedKeysFile {self.folder}/authorized_keys\nPidFile {self.folder}/pid\n"
            "StrictModes no\nUsePAM no\nUseDNS no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
            "PermitRootLogin prohibit-password\nMaxStartups 200:30:1000\nMaxSessions 200\nLogLevel ERROR\n"
            # SHLVL: without it bash reads its start-up file for every command, whatever that costs here.
            f"SetEnv {' '.join(f'{key}={value}' for key, value in variables.items())}\n"
            f"Subsystem sftp {self._sftp}\n"
        )
        (self.folder / "pid").unlink(missing_ok=True)
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        with (self.folder / "log").open("ab") as log:
            command = [*self._inside, str(SSHD), "-D", "-e", "-f", str(self.folder / "sshd_config")]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def wait(self) -> None:
        """Until it listens."""
        assert self._process is not None
        give_up = time.monotonic() + _READY_S
        while not (self.folder / "pid").exists():  # written once it listens
            if self._process.poll() is not None or time.monotonic() > give_up:
                raise RuntimeError(f"sshd on {self.address} did not start: {(self.folder / 'log').read_text()}")
            time.sleep(0.02)

    def start(self) -> OpenSSHServer:
        """Start and wait."""
        self.begin()
        self.wait()
        return self

    def stop(self) -> None:
        """End it and every session, by the pids of its own processes."""
        if self._process is None:
            return
        self.cut()
        end(self._process, grace_s=10)
        self._process = None

    def sessions(self) -> list[psutil.Process]:
        """The server's own processes for the connections of now; none while it is down."""
        if self._process is None:
            return []
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(self._process.pid).children()
        return []

    @property
    def pid(self) -> int | None:
        """Of the listening process."""
        return None if self._process is None else self._process.pid

    def cut(self) -> None:
        """Every connection dies without a word."""
        for session in self.sessions():
            with contextlib.suppress(psutil.NoSuchProcess):
                session.kill()

    def kill(self) -> None:
        """kill -9 of the server and every session."""
        if self._process is None:
            return
        self.cut()
        self._process.kill()
        self._process.wait(10)
        self._process = None

    def deny(self) -> None:
        """The key is no longer accepted."""
        (self.folder / "authorized_keys").write_text("")

    def allow(self) -> None:
        """The key is accepted."""
        shutil.copy(self._keys.public, self.folder / "authorized_keys")


class LoopThread:
    """An event loop in a thread: the code under test runs loops of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run to its end in the thread's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def close(self) -> None:
        """Stop the loop and its tasks."""

        async def cancel_all() -> None:
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.sleep(0)  # closed transports take leave in the next turn

        self.run(cancel_all())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()


class EmbeddedServer:
    """asyncssh's server on 127.0.0.1; files below `folder` only, commands by /bin/sh or another `login_shell`."""

    def __init__(self, folder: Path, keys: Keys, thread: LoopThread, **options: Any) -> None:
        self.login_shell: Sequence[str] = ("/bin/sh", "-c")
        self.folder, self.address, self.port = folder, "127.0.0.1", 0
        self._options = options  # of asyncssh.listen
        folder.mkdir(parents=True, exist_ok=True)
        self._authorized = asyncssh.read_authorized_keys(str(keys.public))
        self._thread = thread
        self._connections: set[asyncssh.SSHServerConnection] = set()
        self._commands: set[subprocess.Popen[bytes]] = set()
        self._serving: set[asyncio.Task[Any]] = set()
        self._acceptor: asyncssh.SSHAcceptor | None = None
        self.new_host_key()

    def new_host_key(self) -> None:
        """Another Ed25519 key from the next start on."""
        self._key = asyncssh.generate_private_key("ssh-ed25519")
        self.fingerprint: str = self._key.get_fingerprint()
        self.public_key = self._key.export_public_key("openssh").decode().strip()

    def start(self) -> EmbeddedServer:
        """Listen, on the port of last time if there was one."""
        self._pool = ThreadPoolExecutor(max_workers=64)

        async def listen() -> asyncssh.SSHAcceptor:
            options: dict[str, Any] = {
                "server_host_keys": [*common_keys(), self._key],
                "server_factory": self._new_connection,
                "authorized_client_keys": self._authorized,
                "process_factory": self._serve,
                "sftp_factory": self._new_files,
                "encoding": None,
                "reuse_address": True,
            }
            return await asyncssh.listen(self.address, self.port, **(options | self._options))

        self._acceptor = self._thread.run(listen())
        self.port = self._acceptor.get_port()
        return self

    def _new_connection(self) -> asyncssh.SSHServer:
        return _Server(self._connections)

    def _new_files(self, channel: asyncssh.SSHServerChannel) -> asyncssh.SFTPServer:
        return _ConfinedFiles(channel, self.folder)

    def stop(self) -> None:
        """End it, its connections and their commands."""
        if self._acceptor is None:
            return
        self.cut()
        acceptor, self._acceptor = self._acceptor, None

        async def close() -> None:
            acceptor.close()
            await acceptor.wait_closed()

        async def finish() -> None:
            await asyncio.gather(*self._serving, return_exceptions=True)

        self._thread.run(close())
        for command in list(self._commands):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(command.pid, signal.SIGKILL)
        self._thread.run(finish())
        self._pool.shutdown()

    def cut(self) -> None:
        """Every connection dies without a word."""

        async def abort() -> None:
            for connection in list(self._connections):
                connection.abort()

        self._thread.run(abort())

    def deny(self) -> None:
        """The key is no longer accepted."""
        self.stop()
        self._authorized = asyncssh.import_authorized_keys("")
        self.start()

    async def _serve(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        # Plain pipes and threads: with asyncio's own pipes 2 of 102 transfers broke.
        command = subprocess.Popen(
            [*self.login_shell, process.command or ""],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env={**VARIABLES, "HOME": str(self.folder)},
            cwd=self.folder,
            start_new_session=True,
        )
        self._commands.add(command)
        feeding = asyncio.create_task(self._feed(process.stdin, command))
        with command:
            await asyncio.gather(
                self._drain(command.stdout, process.stdout), self._drain(command.stderr, process.stderr)
            )
            status = await self._blocking(command.wait)
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)
        self._commands.discard(command)
        with contextlib.suppress(OSError):  # the client has gone
            if status < 0:
                process.exit_with_signal(signal.Signals(-status).name.removeprefix("SIG"))
            else:
                process.exit(status)

    async def _feed(self, reader: asyncssh.SSHReader[bytes], command: subprocess.Popen[bytes]) -> None:
        assert command.stdin is not None
        with contextlib.suppress(OSError, asyncssh.Error):
            while data := await reader.read(65536):
                view = memoryview(data)
                while view:
                    view = view[await self._blocking(command.stdin.write, view) :]
        with contextlib.suppress(OSError):
            command.stdin.close()

    async def _drain(self, pipe: Any, writer: asyncssh.SSHWriter[bytes]) -> None:
        """Pass output on until it ends; without a client the command gets SIGPIPE, as under sshd."""
        with contextlib.suppress(OSError, asyncssh.Error):
            while data := await self._blocking(pipe.read, 65536):
                writer.write(data)
                await writer.drain()
        pipe.close()

    async def _blocking(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)


class _Server(asyncssh.SSHServer):
    def __init__(self, connections: set[asyncssh.SSHServerConnection]) -> None:
        self._connections = connections

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._connections.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self._connection)


class _ConfinedFiles(asyncssh.SFTPServer):
    """Files below one folder, under their real paths."""

    def __init__(self, channel: asyncssh.SSHServerChannel, folder: Path) -> None:
        super().__init__(channel)
        self._folder = folder.resolve()

    def map_path(self, path: bytes) -> bytes:
        real = Path(os.fsdecode(super().map_path(path))).resolve()
        if not real.is_relative_to(self._folder):
            raise asyncssh.SFTPPermissionDenied(f"{real} is outside {self._folder}")
        return super().map_path(path)


@dataclass
class Traffic:
    """What servers were asked since they were started."""

    connections: int = 0
    commands: int = 0
    file_sessions: int = 0
    file_requests: int = 0  # open, read and close
    bytes_moved: int = 0  # by closed connections, both ways, as TCP counts its payload


class LibraryServer(EmbeddedServer):
    """An embedded server that answers `ringrift-loop host report` in its own process, by the same library function.

    For measurements with a thousand hosts on one machine: a process for each command, which on a real cluster runs on
    the host, would hide what the coordinator costs.
    """

    def __init__(self, folder: Path, keys: Keys, thread: LoopThread, traffic: Traffic) -> None:
        super().__init__(folder, keys, thread)
        self._traffic = traffic

    def _new_connection(self) -> asyncssh.SSHServer:
        self._traffic.connections += 1
        return _MeteredServer(self._connections, self._traffic)

    def _new_files(self, channel: asyncssh.SSHServerChannel) -> asyncssh.SFTPServer:
        self._traffic.file_sessions += 1
        return _CountedFiles(channel, self.folder, self._traffic)

    async def _serve(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        self._traffic.commands += 1
        words = shlex.split(process.command or "")  # timeout -k S S ringrift-loop host report --root ROOT
        if words[:1] != ["timeout"] or words[5:7] != ["host", "report"] or words[7] != "--root" or len(words) != 9:
            process.stderr.write(f"this server answers reports only, got {process.command}".encode())
            process.exit(2)
            return
        request, token = wire.read_request(await process.stdin.read(), ReportRequest)
        process.stdout.write(wire.answer_text(host_report(HostDirectory(Path(words[8])), request), token).encode())
        process.exit(0)


# Offsets in Linux's struct tcp_info.
_BYTES_ACKED, _BYTES_RECEIVED, _TCP_INFO_SIZE = 120, 128, 136


class _MeteredServer(_Server):
    def __init__(self, connections: set[asyncssh.SSHServerConnection], traffic: Traffic) -> None:
        super().__init__(connections)
        self._traffic = traffic

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        super().connection_made(conn)
        self._socket = socket.socket(fileno=os.dup(conn.get_extra_info("socket").fileno()))

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        with self._socket as duplicate:  # asyncio has closed the original by now
            info = duplicate.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_SIZE)
        self._traffic.bytes_moved += sum(
            int.from_bytes(info[at : at + 8], sys.byteorder) for at in (_BYTES_ACKED, _BYTES_RECEIVED)
        )


class _CountedFiles(_ConfinedFiles):
    def __init__(self, channel: asyncssh.SSHServerChannel, folder: Path, traffic: Traffic) -> None:
        super().__init__(channel, folder)
        self._traffic = traffic

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
        self._traffic.file_requests += 1
        return super().open(path, pflags, attrs)

    def read(self, file_obj: object, offset: int, size: int) -> bytes:
        self._traffic.file_requests += 1
        return super().read(file_obj, offset, size)

    def close(self, file_obj: object) -> None:
        self._traffic.file_requests += 1
        super().close(file_obj)


class CuttingProxy:
    """Passes bytes to a server, answers late, and cuts the line after `cut_after` bytes of them; None: never."""

    def __init__(self, server: Any, thread: LoopThread, cut_after: int | None = None, delay_s: float = 0.0) -> None:
        self.cut_after, self.delay_s = cut_after, delay_s
        self._server, self._thread = server, thread
        self._serving: set[asyncio.Task[Any]] = set()  # asyncio alone would let go of them
        self._listener: asyncio.Server = thread.run(self._listen())
        self.address, self.port = self._listener.sockets[0].getsockname()[:2]

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        with contextlib.suppress(asyncio.CancelledError):  # the thread's end; asyncio would complain of it
            await self._connect(reader, writer)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, here = await asyncio.open_connection(self._server.address, self._server.port)
        forward = asyncio.create_task(self._pass(reader, here, None, 0.0))
        try:
            await self._pass(there, writer, self.cut_after, self.delay_s)
            # What has passed arrives: a reset would throw away what the client has not read yet.
            with contextlib.suppress(OSError, TimeoutError):
                writer.write_eof()
                async with asyncio.timeout(_READY_S):
                    await forward
        finally:
            forward.cancel()
            for end in (writer, here):
                end.transport.abort()
            await asyncio.gather(forward, return_exceptions=True)

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit: int | None, delay_s: float
    ) -> None:
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        arriving = asyncio.create_task(self._arrive(under_way, writer))
        passed = 0
        try:
            with contextlib.suppress(ConnectionError):
                while data := await reader.read(16384):
                    passed += len(data)
                    if limit is not None and passed > limit:
                        break
                    under_way.put_nowait((self._thread.loop.time() + delay_s, data))
            under_way.put_nowait((self._thread.loop.time() + delay_s, b""))
            await arriving
        finally:
            arriving.cancel()
            await asyncio.gather(arriving, return_exceptions=True)

    async def _arrive(self, under_way: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                at, data = await under_way.get()
                await asyncio.sleep(at - self._thread.loop.time())
                if not data:
                    return
                writer.write(data)
                await writer.drain()

    def close(self) -> None:
        """Listen no longer, and let go of every line."""

        async def end() -> None:
            self._listener.close()
            serving = list(self._serving)
            for task in serving:
                task.cancel()
            await asyncio.gather(*serving, return_exceptions=True)

        self._thread.run(end())
