"""Reaching a host: one protocol, whatever lies in between.

`report` is one round trip. The others move segments in, models out, start or stop workers, and run detached jobs. Every
method may raise `HostError` or `OSError`; what came from the host is not trusted yet when it returns.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from ringrift_loop.cluster import host_jobs, job_folder
from ringrift_loop.cluster.host_report import HostReport, ReportRequest, SealedFile, host_report
from ringrift_loop.cluster.inventory import LOCAL, Host
from ringrift_loop.cluster.job_record import Gpu, JobSpec, JobStatus
from ringrift_loop.cluster.processes import WorkerCommand, WorkerSpec, start_worker, stop_worker, worker_command
from ringrift_loop.errors import DataError, ModelError
from ringrift_loop.layout import HostDirectory, RunDirectory

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


class Transport(Protocol):
    """A way to one host; used within one event loop."""

    async def report(self, request: ReportRequest) -> HostReport:
        """What is new on the host; one round trip."""

    async def pull(self, files: Sequence[SealedFile], into: Path) -> None:
        """Copy segments into a folder of the coordinator; each appears there under its name, whole or not at all."""

    async def push_model(self, folder: Path, digest: str) -> None:
        """Put a model's folder on the host under its digest, checked there; an equal one is kept."""

    async def point(self, variant: str, pointer: bytes) -> None:
        """Replace the host's `current-<variant>.json`."""

    async def start_worker(self, spec: WorkerSpec) -> None:
        """Start a slot's worker unless one runs there."""

    async def stop_worker(self, slot: int, *, kill: bool = False) -> bool:
        """Let a slot's worker finish, or kill it; returns whether one was alive."""

    async def gpus(self) -> tuple[Gpu, ...]:
        """The host's GPUs and their free memory."""

    async def start_job(self, job_id: str, spec: JobSpec) -> JobStatus:
        """Start a detached job, or attach to it; how it stands then."""

    async def job_status(self, job_id: str, log_offset: int | None = None) -> JobStatus:
        """How a job stands, with a part of its log; a running one may go on for another `fence_s`."""

    async def stop_job(self, job_id: str) -> JobStatus:
        """End a job with all its processes."""

    async def finish_job(self, job_id: str) -> JobStatus:
        """Let go of a job's result: the same id starts anew afterwards."""

    async def push_folder(self, local: Path, remote: str) -> None:
        """Make a folder of a job on the host equal to a local one; `remote` is such as `jobs/<id>/input`."""

    async def pull_folder(self, remote: str, local: Path, *, max_bytes: int) -> None:
        """Copy the files of a job's folder into a local one; refused when they are more than `max_bytes` together."""

    async def aclose(self) -> None:
        """Give back what the way to the host holds; `contextlib.aclosing` calls it."""


class LocalTransport:
    """A host that is a folder of this machine."""

    def __init__(self, host_dir: HostDirectory, command: WorkerCommand = worker_command) -> None:
        self.host_dir = host_dir
        self._command = command

    async def report(self, request: ReportRequest) -> HostReport:
        """What is new in the folder."""
        return await asyncio.to_thread(host_report, self.host_dir, request)

    async def pull(self, files: Sequence[SealedFile], into: Path) -> None:
        """Copy segments by a hidden name and a rename."""
        for file in files:
            await asyncio.to_thread(self._pull, file, into)

    async def push_model(self, folder: Path, digest: str) -> None:
        """Copy a model's folder by a hidden name and a rename; both files are checked on the way."""
        # Imported here: the network's package brings numba, which collecting games does not need.
        from ringrift_loop.network.artifact import ONNX, WEIGHTS, read_checked, verify, write_model

        def push() -> None:
            manifest = verify(folder, digest)
            target = self.host_dir.model(digest)
            try:
                if target.exists():
                    verify(target, digest)
            except ModelError:
                shutil.rmtree(target)  # the host's copy is damaged
            write_model(target.parent, manifest, read_checked(folder / WEIGHTS), read_checked(folder / ONNX))

        await asyncio.to_thread(push)

    async def point(self, variant: str, pointer: bytes) -> None:
        """Replace the pointer by a rename."""
        path = self.host_dir.current_model(variant)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        with temporary.open("wb") as file:
            file.write(pointer)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)

    async def start_worker(self, spec: WorkerSpec) -> None:
        """Start a process of this machine."""
        await asyncio.to_thread(start_worker, self.host_dir, spec, self._command)

    async def stop_worker(self, slot: int, *, kill: bool = False) -> bool:
        """Signal a process of this machine."""
        return await asyncio.to_thread(lambda: stop_worker(self.host_dir, slot, kill=kill))

    async def gpus(self) -> tuple[Gpu, ...]:
        """The GPUs of this machine."""
        return await asyncio.to_thread(host_jobs.gpus_of_host)

    async def start_job(self, job_id: str, spec: JobSpec) -> JobStatus:
        """Start a process of this machine."""
        return await asyncio.to_thread(host_jobs.start_job, self.host_dir, job_id, spec)

    async def job_status(self, job_id: str, log_offset: int | None = None) -> JobStatus:
        """Look into the job's folder."""
        return await asyncio.to_thread(host_jobs.job_status, self.host_dir, job_id, log_offset)

    async def stop_job(self, job_id: str) -> JobStatus:
        """Signal a process of this machine."""
        return await asyncio.to_thread(host_jobs.stop_job, self.host_dir, job_id)

    async def finish_job(self, job_id: str) -> JobStatus:
        """Mark the job's folder."""
        return await asyncio.to_thread(host_jobs.finish_job, self.host_dir, job_id)

    async def push_folder(self, local: Path, remote: str) -> None:
        """Copy what the job's folder lacks."""

        def push() -> None:
            target = job_folder.below(self.host_dir, remote)
            job_folder.remove_others(target, job_folder.list_folder(local))
            _copy_folder(local, target)

        await asyncio.to_thread(push)

    async def pull_folder(self, remote: str, local: Path, *, max_bytes: int) -> None:
        """Copy what the local folder lacks."""

        def pull() -> None:
            source = job_folder.below(self.host_dir, remote)
            job_folder.check_total(job_folder.list_folder(source), max_bytes, remote)
            _copy_folder(source, local)

        await asyncio.to_thread(pull)

    async def aclose(self) -> None:
        """Nothing is held."""

    def _pull(self, file: SealedFile, into: Path) -> None:
        into.mkdir(parents=True, exist_ok=True)
        name = str(file.name)
        temporary = part_of(into, name)
        source = os.open(self.host_dir.sealed_segments / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(source, "rb") as reader, temporary.open("wb") as writer:
            size = os.fstat(source).st_size
            if size != file.size_bytes:
                raise DataError(f"{name} had {file.size_bytes} bytes when it was listed and has {size} now")
            with room_for_the_ledger(temporary):
                shutil.copyfileobj(reader, writer)
                writer.flush()
                os.fsync(writer.fileno())
        temporary.rename(into / name)


def _copy_folder(source: Path, target: Path) -> None:
    wanted = job_folder.list_folder(source)
    for name in job_folder.missing_in(target, wanted):
        with job_folder.arriving(target / name, wanted[name]) as writer, (source / name).open("rb") as reader:
            shutil.copyfileobj(reader, writer)


def part_of(folder: Path, name: str) -> Path:
    """Where the bytes of a segment lie until it is whole."""
    return folder / f".{name}.part"


@contextlib.contextmanager
def room_for_the_ledger(part: Path) -> Iterator[None]:
    """Delete what has arrived of a segment when the disk has no room for the rest; the ledger has to note that."""
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL:
            part.unlink()
        raise


def open_transport(host: Host, directory: RunDirectory) -> Transport:
    """The way to a host; nothing is connected before it is used."""
    if host.transport == LOCAL:
        return LocalTransport(local_directory(host, directory))
    # Imported here: a loop on one machine needs no SSH, and asyncssh takes 0.2 s CPU.
    from ringrift_loop.cluster.ssh import SSHHost
    from ringrift_loop.cluster.ssh_transport import SSHTransport

    return SSHTransport(SSHHost(host))


def local_directory(host: Host, directory: RunDirectory) -> HostDirectory:
    """The root folder of a host with transport `local`."""
    return HostDirectory(directory.embedded_host(host.name) if host.root is None else Path(host.root).resolve())
