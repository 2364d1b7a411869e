"""The transport of a host that is a folder of this machine."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from ringrift_loop.cluster.agent import host_jobs, job_folder
from ringrift_loop.cluster.agent.job_record import Gpu, JobSpec, JobStatus
from ringrift_loop.cluster.agent.report import HostReport, ReportRequest, SealedFile, host_report
from ringrift_loop.cluster.agent.workers import WorkerCommand, WorkerSpec, start_worker, stop_worker, worker_command
from ringrift_loop.cluster.transport.protocol import part_of, room_for_the_ledger
from ringrift_loop.errors import DataError, ModelError
from ringrift_loop.layout import HostDirectory
from ringrift_loop.machine.files import open_plain


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
        with open_plain(self.host_dir.sealed_segments / name) as reader, temporary.open("wb") as writer:
            size = os.fstat(reader.fileno()).st_size
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
        with job_folder.arriving(target / name, wanted[name]) as writer, open_plain(source / name) as reader:
            shutil.copyfileobj(reader, writer)
