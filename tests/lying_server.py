"""An SSH server that lies on purpose: its program and its file service answer as a test says.

What goes out is what an honest host would say, passed through the lie: `Lie.answer` for the program's answer,
`Lie.packet` for each packet of the file service.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh

import ssh_servers

STATUS, HANDLE, DATA, ATTRS = 101, 102, 103, 105  # kinds of SFTP packets


@dataclass(frozen=True)
class Lie:
    """What a host does instead of the truth."""

    answer: Callable[[bytes], bytes] = lambda truth: truth
    """What its program prints instead of its answer."""
    packet: Callable[[int, int, bytes], bytes | None] = lambda kind, number, truth: truth
    """What is sent instead of an SFTP packet of this kind and number; None: the channel is closed."""
    stderr: bytes = b""
    exit_status: int | None = 0
    """None: it never ends."""
    signal: str | None = None


def edited(edit: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    """An answer that is changed by `edit`; what stands around it stays."""

    def answer(truth: bytes) -> bytes:
        begin, end = truth.index(b"{"), truth.rindex(b"}") + 1
        document = json.loads(truth[begin:end])
        edit(document["answer"])
        return truth[:begin] + json.dumps(document).encode() + truth[end:]

    return answer


def packed(kind: int, number: int, *parts: bytes | int) -> bytes:
    """A packet of SFTP: strings with their length, integers of four bytes."""
    body = b"".join(
        struct.pack(">I", part) if isinstance(part, int) else struct.pack(">I", len(part)) + part for part in parts
    )
    return struct.pack(">IBI", 5 + len(body), kind, number) + body


class LyingServer(ssh_servers.LibraryServer):
    """A host of which `lie` may be changed at any time; its files lie below `folder`."""

    def __init__(self, folder: Path, keys: ssh_servers.Keys, thread: ssh_servers.LoopThread) -> None:
        super().__init__(folder, keys, thread, ssh_servers.Traffic())
        self.lie = Lie()
        self.tongue_tied: Exception | None = None  # what kept it from lying: the host would fail by that alone

    async def _serve(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        said = _Recorder(process)
        await super()._serve(said)  # type: ignore[arg-type]
        try:
            answer = self.lie.answer(b"".join(said.parts))
        except Exception as error:
            self.tongue_tied = error
            raise
        process.stdout.write(answer)
        process.stderr.write(self.lie.stderr)
        if self.lie.signal is not None:
            process.exit_with_signal(self.lie.signal)
        elif self.lie.exit_status is not None:
            process.exit(self.lie.exit_status)

    def _new_files(self, channel: asyncssh.SSHServerChannel) -> asyncssh.SFTPServer:
        write = channel.write

        def told(truth: bytes, datatype: Any = None) -> None:
            instead = self.lie.packet(truth[4], int.from_bytes(truth[5:9], "big"), truth)
            if instead is None:
                channel.close()
            else:
                write(instead, datatype)

        channel.write = told
        return super()._new_files(channel)


class _Recorder:
    """Stands for a process towards the honest program, whose output is kept."""

    def __init__(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        self.command, self.stdin, self.stderr = process.command, process.stdin, process.stderr
        self.stdout, self.parts = self, list[bytes]()

    def write(self, data: bytes) -> None:
        """Keep a part of the answer."""
        self.parts.append(data)

    def exit(self, status: int) -> None:
        """The lie decides how it ends."""
