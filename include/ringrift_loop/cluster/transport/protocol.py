"""The one protocol for reaching a host, and what its implementations share.

`report` is one round trip. The others move segments in, models out, start or stop workers, and run detached jobs. Every
method may raise `HostError` or `OSError`; what came from the host is not trusted yet when it returns.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from ringrift_loop.cluster.agent.job_record import Gpu, JobSpec, JobStatus
from ringrift_loop.cluster.agent.report import HostReport, ReportRequest, SealedFile
from ringrift_loop.cluster.agent.workers import WorkerSpec

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
