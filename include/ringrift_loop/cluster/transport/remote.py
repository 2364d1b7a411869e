"""The transport of a host reached by SSH: our own program answers there, segments come over SFTP beside it.

A host with nothing new costs one command on one connection. Every path and number in an answer is checked (`wire.py`)
before it is used, and every transfer is bounded by the size that was listed.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path, PurePosixPath

from ringrift_loop.cluster.agent import job_folder, job_record, wire
from ringrift_loop.cluster.agent.job_record import Gpu, JobSpec, JobStatus
from ringrift_loop.cluster.agent.report import HostReport, ReportRequest, SealedFile
from ringrift_loop.cluster.agent.workers import WorkerSpec
from ringrift_loop.cluster.ssh import commands
from ringrift_loop.cluster.ssh.connection import STDERR_TAIL_BYTES, SSHHost
from ringrift_loop.cluster.transport.protocol import part_of, room_for_the_ledger
from ringrift_loop.config import load_config
from ringrift_loop.errors import DataError, RemoteJobFailed
from ringrift_loop.hosts.inventory import Host
from ringrift_loop.layout import HostDirectory
from ringrift_loop.text import clean_lines

COMMAND_LIMIT_S = 30.0
PUSH_LIMIT_S = 120.0
JOB_LIMIT_S = 45.0  # starting or ending a job, which waits for its process
_REMOTE_LEAD_S = 2.0  # the host ends a command before we give up on it
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

    async def report(self, request: ReportRequest) -> HostReport:
        """What is new on the host: one command."""
        answer = await self._ask(commands.report(self._host), wire.request_to_bytes(request))
        return wire.report_from_bytes(answer, request)

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
        from ringrift_loop.cluster.agent.receive_model import FILES, header
        from ringrift_loop.network.artifact import verify

        await asyncio.to_thread(verify, folder, digest)
        present, staged = _status(await self._ask(commands.model_status(self._host, digest)))
        if present:
            return
        sizes = {name: (folder / name).stat().st_size for name in FILES}
        offsets = {name: min(staged.get(name, 0), size) for name, size in sizes.items()}
        stream = _stream(header(offsets, sizes), [(folder / name, offsets[name]) for name in FILES])
        await self._ask(commands.receive_model(self._host, digest), stream, limit_s=PUSH_LIMIT_S)

    async def point(self, variant: str, pointer: bytes) -> None:
        """Replace the pointer file by a rename on the host."""
        await self._ask(commands.point(self._host, variant), pointer)

    async def start_worker(self, spec: WorkerSpec) -> None:
        """Start a detached process on the host, with the self-play settings that are in force here."""
        config = await asyncio.to_thread(load_config, spec.config_path)
        settings = json.dumps({"selfplay": asdict(config.selfplay)}).encode()
        await self._ask(commands.start_worker(self._host, spec.slot, spec.variant, spec.nice), settings)

    async def stop_worker(self, slot: int, *, kill: bool = False) -> bool:
        """Signal the recorded process on the host."""
        answer = _object(await self._ask(commands.stop_worker(self._host, slot, kill=kill)))
        if not isinstance(answer.get("alive"), bool):
            raise DataError(f"{self._host.name} answers a stop by whether the worker was alive, got {answer!r:.80}")
        return answer["alive"] is True

    async def gpus(self) -> tuple[Gpu, ...]:
        """Ask the host's driver."""
        return job_record.gpus_from_bytes(await self._ask(commands.gpus(self._host)))

    async def start_job(self, job_id: str, spec: JobSpec) -> JobStatus:
        """Start a detached process on the host."""
        command, limit_s = commands.start_job(self._host, job_id), JOB_LIMIT_S
        return job_record.status_from_bytes(await self._ask(command, job_record.spec_to_bytes(spec), limit_s=limit_s))

    async def job_status(self, job_id: str, log_offset: int | None = None) -> JobStatus:
        """Ask about the job: one command."""
        return job_record.status_from_bytes(await self._ask(commands.job_status(self._host, job_id, log_offset)))

    async def stop_job(self, job_id: str) -> JobStatus:
        """Signal the recorded process on the host."""
        answer = await self._ask(commands.stop_job(self._host, job_id), limit_s=JOB_LIMIT_S)
        return job_record.status_from_bytes(answer)

    async def finish_job(self, job_id: str) -> JobStatus:
        """Mark the job's folder on the host."""
        return job_record.status_from_bytes(await self._ask(commands.finish_job(self._host, job_id)))

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
        answer = await self._ask(commands.list_folder(self._host, remote), limit_s=PUSH_LIMIT_S)
        listing = job_folder.listing_from_bytes(answer)
        job_folder.check_total(listing, max_bytes, f"{self._host.name}: {remote}")
        root = PurePosixPath(self._host.remote_root, remote)
        for name in await asyncio.to_thread(job_folder.missing_in, local, listing):
            with job_folder.arriving(local / name, listing[name]) as writer:
                await self._remote.copy_file(str(root / name), listing[name].size_bytes, writer)

    async def _expect(self, remote: str, wanted: job_folder.Listing) -> list[str]:
        request = job_folder.listing_to_bytes(wanted)
        answer = await self._ask(commands.expect_folder(self._host, remote), request, limit_s=PUSH_LIMIT_S)
        return job_folder.missing_from_bytes(answer, wanted)

    async def aclose(self) -> None:
        """End the connection, unless it is kept."""
        if self._owned:
            await self._remote.aclose()

    async def _pull(self, file: SealedFile, into: Path) -> None:
        """Go on where a cut-off transfer was: a sealed segment never changes, and its digest is checked."""
        name = str(file.name)
        temporary = part_of(into, name)
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644), "wb") as writer:
            have = min(os.fstat(writer.fileno()).st_size, file.size_bytes)
            writer.truncate(have)
            writer.seek(have)
            with room_for_the_ledger(temporary):
                await self._remote.copy_file(str(self._folder.sealed_segments / name), file.size_bytes, writer, have)
                writer.flush()
                await asyncio.to_thread(os.fsync, writer.fileno())
        temporary.rename(into / name)

    async def _ask(
        self, command: list[str], stdin: bytes | AsyncIterator[bytes] = b"", *, limit_s: float = COMMAND_LIMIT_S
    ) -> bytes:
        """Run one of our own commands on the host; returns the last line of its output.

        Raises:
            HostUnreachable: no connection.
            RemoteJobFailed: it ended with another status than 0; the message has what it said.
        """
        line = commands.bounded(command, limit_s - _REMOTE_LEAD_S)
        done = await self._remote.run(line, stdin=stdin, limit_s=limit_s)
        if done.exit_status != 0:
            raise RemoteJobFailed(f"{self._host.name}: {_failure(command, done.exit_status, done.stderr, limit_s)}")
        # Only the last line: a login shell's start-up file may have talked before.
        lines = done.stdout.rstrip(b"\n").rsplit(b"\n", 1)
        return lines[-1]


def _failure(command: list[str], status: int, stderr: bytes, limit_s: float) -> str:
    said = clean_lines(stderr.decode("utf-8", "replace"), STDERR_TAIL_BYTES).strip()
    what = " ".join(command[:3])
    if status == _NOT_FOUND:
        return (
            f"{command[0]} is not installed there, or not on the PATH of a login without a terminal: set remote_path "
            f"in the inventory ({said})"
        )
    if status in (_TIMED_OUT, _KILLED):
        return f"`{what}` was ended there after {limit_s - _REMOTE_LEAD_S:g} s{f': {said}' if said else ''}"
    return f"`{what}` ended with exit status {status}: {said or 'it said nothing'}"


def _status(answer: bytes) -> tuple[bool, Mapping[str, int]]:
    document = _object(answer)
    present, staged = document.get("present"), document.get("staged")
    if not isinstance(present, bool) or not isinstance(staged, dict):
        raise DataError(f"a model's status has present and staged, got {answer[:120]!r}")
    for size in staged.values():
        if type(size) is not int or size < 0:
            raise DataError(f"a model's status has sizes in bytes, got {answer[:120]!r}")
    return present, staged


def _object(answer: bytes) -> dict[str, object]:
    try:
        document = json.loads(answer)
    except (ValueError, RecursionError) as error:
        raise DataError(f"an answer is JSON: {error}; got {answer[:120]!r}") from error
    if not isinstance(document, dict):
        raise DataError(f"an answer is a JSON object, got {answer[:120]!r}")
    return document


async def _stream(head: bytes, parts: Sequence[tuple[Path, int]]) -> AsyncIterator[bytes]:
    yield head
    for path, offset in parts:
        with path.open("rb") as file:
            file.seek(offset)
            while chunk := await asyncio.to_thread(file.read, _CHUNK):
                yield chunk
