"""The transport of a host reached by SSH: our own program answers there, segments come over SFTP beside it.

A host with nothing new costs one command on one connection. Every path and number in an answer is checked against its
model before it is used, and every transfer is bounded by the size that was listed.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path, PurePosixPath

from ringrift_loop.cluster.agent import actions, job_folder, wire
from ringrift_loop.cluster.agent.actions import Action, Asked, Told
from ringrift_loop.cluster.agent.job_folder import FolderFiles
from ringrift_loop.cluster.agent.report import SealedFile
from ringrift_loop.cluster.agent.requests import FILES, ExpectFolder, FilePart, FolderQuery, ModelQuery, ModelStream
from ringrift_loop.cluster.ssh import commands
from ringrift_loop.cluster.ssh.connection import Completed, SSHHost
from ringrift_loop.cluster.transport.protocol import part_of, room_for_the_ledger
from ringrift_loop.errors import DataError, RemoteJobFailed
from ringrift_loop.hosts.inventory import Host
from ringrift_loop.layout import HostDirectory
from ringrift_loop.machine.files import rename_durably

_FILES_AT_ONCE = 4
_CHUNK = 256 << 10
_NOT_FOUND, _TIMED_OUT, _KILLED = 127, 124, 137


class SSHTransport:
    """A host reached by SSH; implements `transport.Transport`.

    Args:
        remote: the way to the host.
        owned: whether `aclose` ends its connection; False when that is kept for the next cycle.
        host: the inventory's entry with another installation's path, when that one shall answer.
    """

    def __init__(self, remote: SSHHost, *, owned: bool = True, host: Host | None = None) -> None:
        self._remote, self._owned = remote, owned
        self._host: Host = remote.host if host is None else host
        self._folder = HostDirectory(Path(self._host.remote_root))

    async def call(
        self, action: Action[Asked, Told], request: Asked, stream: AsyncIterator[bytes] | None = None
    ) -> Told:
        """Run the action's command on the host; `stream` comes after the request.

        Raises:
            HostUnreachable: no connection.
            RemoteJobFailed: it ended with another status than 0; the message has what it said.
            DataError: it did not answer, or not as it should.
        """
        command, token = commands.action(self._host, action.name), wire.new_token()
        line = commands.bounded(command, action.limit_s - commands.LEAD_S)
        head = wire.request_line(request, token)
        stdin = head if stream is None else _after(head, stream)
        done = await self._remote.run(line, stdin=stdin, limit_s=action.limit_s)
        if done.exit_status != 0:
            said = _failure(command, done, action.limit_s)
            raise RemoteJobFailed(f"{self._host.name}: {said}")
        try:
            answer = wire.read_answer(done.stdout, token, action.answer)
            action.check(answer, request)
        except DataError as error:
            raise type(error)(f"{self._host.name}: {error}") from error
        return answer

    async def pull(self, files: Sequence[SealedFile], into: Path) -> None:
        """Read segments over SFTP; each gets its name when it is whole and on this machine's disk."""
        into.mkdir(parents=True, exist_ok=True)
        gate = asyncio.Semaphore(_FILES_AT_ONCE)

        async def one(file: SealedFile) -> None:
            async with gate:
                await self._pull(file, into)

        tasks = [asyncio.create_task(one(file)) for file in files]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def push_model(self, folder: Path, digest: str) -> None:
        """Stream what the host lacks of a model; it checks the digests before the model gets its name."""
        # Imported here: the network's package brings numba, which collecting games does not need.
        from ringrift_loop.network.artifact import verify

        await asyncio.to_thread(verify, folder, digest)
        status = await self.call(actions.MODEL_STATUS, ModelQuery(digest))
        if status.present:
            return
        sizes = {name: (folder / name).stat().st_size for name in FILES}
        parts = {name: FilePart(min(status.staged.get(name, 0), size), size) for name, size in sizes.items()}
        stream = _stream([(folder / name, parts[name].offset) for name in FILES])
        await self.call(actions.RECEIVE_MODEL, ModelStream(digest, parts), stream)

    async def push_folder(self, local: Path, remote: str) -> None:
        """Send what the host lacks over SFTP; the host computes the digests."""
        wanted = await asyncio.to_thread(job_folder.list_folder, local)
        root = PurePosixPath(self._host.remote_root, remote)
        for name in await self._expect(remote, wanted):
            path = root / name
            with (local / name).open("rb") as source:
                await self._remote.write_file(source, str(path), str(path.parent / job_folder.part_name()))
        damaged = await self._expect(remote, wanted)
        if damaged:
            raise RemoteJobFailed(f"{self._host.name}: {', '.join(damaged[:5])} arrived damaged in {remote}")

    async def pull_folder(self, remote: str, local: Path, *, max_bytes: int) -> None:
        """Read what is missing here over SFTP; nothing longer than what was listed is ever read."""
        folder = await self.call(actions.LIST_FOLDER, FolderQuery(remote))
        if folder.problem is not None:
            raise DataError(folder.problem)
        listing = folder.files
        job_folder.check_total(listing, max_bytes, f"{self._host.name}: {remote}")
        root = PurePosixPath(self._host.remote_root, remote)
        for name in await asyncio.to_thread(job_folder.missing_in, local, listing):
            with job_folder.arriving(local / name, listing[name]) as writer:
                await self._remote.copy_file(str(root / name), listing[name].size_bytes, writer)

    async def _expect(self, remote: str, wanted: job_folder.Listing) -> tuple[str, ...]:
        request = ExpectFolder(remote, FolderFiles(dict(wanted)))
        return (await self.call(actions.EXPECT_FOLDER, request)).missing

    async def aclose(self) -> None:
        """End the connection, unless it is kept."""
        if self._owned:
            await self._remote.aclose()

    async def _pull(self, file: SealedFile, into: Path) -> None:
        """Go on where a cut-off transfer was: a sealed segment never changes, and its digest is checked."""
        name = file.file_name
        temporary = part_of(into, name)
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644), "wb") as writer:
            have = min(os.fstat(writer.fileno()).st_size, file.size_bytes)
            writer.truncate(have)
            writer.seek(have)
            with room_for_the_ledger(temporary):
                await self._remote.copy_file(str(self._folder.sealed_segments / name), file.size_bytes, writer, have)
                writer.flush()
                await asyncio.to_thread(os.fsync, writer.fileno())
        await asyncio.to_thread(rename_durably, temporary, into / name)


def _failure(command: list[str], done: Completed, limit_s: float) -> str:
    said, status, what = done.said, done.exit_status, " ".join(command[:3])
    if status == _NOT_FOUND:
        return (
            f"{command[0]} is not installed there, or not on the PATH of a login without a terminal: set remote_path "
            f"in the inventory ({said})"
        )
    if status in (_TIMED_OUT, _KILLED):
        return f"`{what}` was ended there after {limit_s - commands.LEAD_S:g} s{f': {said}' if said else ''}"
    return f"`{what}` ended with exit status {status}: {said or 'it said nothing'}"


async def _after(head: bytes, stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield head
    async for part in stream:
        yield part


async def _stream(parts: Sequence[tuple[Path, int]]) -> AsyncIterator[bytes]:
    for path, offset in parts:
        with path.open("rb") as file:
            file.seek(offset)
            while chunk := await asyncio.to_thread(file.read, _CHUNK):
                yield chunk
