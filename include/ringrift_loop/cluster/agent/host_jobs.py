"""Detached jobs on this host: start one or attach to it, ask, end it, let go of its result.

Every call may come twice, or from two coordinators at once: a lock for each job lets one in at a time, and the
supervisor inherits it until its process is on record, so there are never two copies.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from msgspec import structs

from ringrift_loop.checked_json import line, parse
from ringrift_loop.cluster.agent import job_supervisor
from ringrift_loop.cluster.agent.job_failure import log_tail
from ringrift_loop.cluster.agent.job_record import (
    ABSENT,
    CANCELLED,
    CODE,
    FAILED,
    MAX_LOG_BYTES,
    MAX_RESULT_BYTES,
    RETRYABLE,
    RUNNING,
    SUCCEEDED,
    JobExit,
    JobFailure,
    JobSpec,
    JobStatus,
    spec_from_bytes,
)
from ringrift_loop.cluster.agent.job_supervisor import Supervisor, renew
from ringrift_loop.cluster.agent.workers import clean_environment
from ringrift_loop.errors import ConfigError, DataError, RemoteJobFailed
from ringrift_loop.layout import HostDirectory, JobFolder
from ringrift_loop.machine.files import open_plain, write_whole
from ringrift_loop.machine.locks import locked
from ringrift_loop.machine.processes import KEPT_FD, process_start, spawn_detached

KEEP_ATTEMPTS = 3
_MAX_FILE_BYTES = 4 << 20  # of a spec or an exit; a longer one is cut, and so is none
KEEP_FILES_S = 3600.0  # input, output and earlier attempts of a job whose result was taken
KEEP_S = 7 * 86400.0  # all of a job that has ended; its output serves the next attempt until then
_STARTED_WITHIN_S = 25.0
_STOP_S = job_supervisor.GRACE_S + 5.0


def start_job(host_dir: HostDirectory, job_id: str, spec: JobSpec) -> JobStatus:
    """Start a job unless it runs, or has a result that nobody has taken; returns how it stands then.

    A running job of another command is left alone: its digest in the answer tells.

    Raises:
        RemoteJobFailed: the supervisor does not start.
    """
    folder = host_dir.job(job_id)
    with _lock(host_dir, job_id) as lock:
        status = _look(folder, locked=True)
        waiting = status.state == SUCCEEDED and not status.collected and status.digest == spec.digest
        if status.state == RUNNING or waiting:
            return status
        if status.state != ABSENT:
            again = status.state != SUCCEEDED and status.digest == spec.digest
            _move_aside(host_dir, job_id, hand_on=(folder.input, folder.output) if again else (folder.input,))
        folder.root.mkdir(parents=True, exist_ok=True)
        folder.cancelled.unlink(missing_ok=True)
        renew(folder)
        write_whole(folder.spec, line(spec))
        command = [sys.executable, "-m", "ringrift_loop.cli", "host", "run-job", "--root", str(host_dir.root)]
        command += ["--id", job_id, "--lock", str(KEPT_FD)]
        pid = spawn_detached(command, folder.supervisor_log, env=clean_environment(), keep_fd=lock)
    _wait_for_record(folder, pid)
    prune_jobs(host_dir)
    return job_status(host_dir, job_id)


def job_status(host_dir: HostDirectory, job_id: str, log_offset: int | None = None) -> JobStatus:
    """How a job stands; a running one may go on for another `fence_s`.

    Args:
        host_dir: the host's root folder.
        job_id: the job.
        log_offset: where the part of the log begins that should come along; None for none.
    """
    folder = host_dir.job(job_id)
    try:
        status = _look(folder, locked=False)
    except FileNotFoundError:  # moved aside between two looks
        status = JobStatus(ABSENT)
    if status.state == ABSENT:
        with _lock(host_dir, job_id):  # dead, or just being started: the lock tells
            status = _look(folder, locked=True)
    return status if log_offset is None else _with_log(folder, status, log_offset)


def stop_job(host_dir: HostDirectory, job_id: str) -> JobStatus:
    """End a job with everything that it started, and wait until it has ended."""
    folder = host_dir.job(job_id)
    with _lock(host_dir, job_id):
        supervisor = Supervisor.read(folder.process)
        if _look(folder, locked=True).state != RUNNING or supervisor is None:
            return _look(folder, locked=True)
        folder.cancelled.touch()
        with contextlib.suppress(ProcessLookupError):
            os.kill(supervisor.pid, signal.SIGTERM)
        over = time.monotonic() + _STOP_S
        while supervisor.alive and time.monotonic() < over:
            time.sleep(0.05)
        if supervisor.alive:  # stopped, or hanging in the kernel
            with contextlib.suppress(ProcessLookupError):
                os.kill(supervisor.pid, signal.SIGKILL)
            while supervisor.alive and time.monotonic() < over + _STOP_S:
                time.sleep(0.05)
        return _look(folder, locked=True)


def finish_job(host_dir: HostDirectory, job_id: str) -> JobStatus:
    """The coordinator has the result: from now on the same id starts anew."""
    folder = host_dir.job(job_id)
    with _lock(host_dir, job_id):
        status = _look(folder, locked=True)
        if status.ended:
            folder.collected.touch()
        return _look(folder, locked=True)


def prune_jobs(host_dir: HostDirectory) -> None:
    """Remove what nobody needs any more of jobs that have ended; a result that was not taken yet stays.

    What cannot be removed, or is not readable, stays for a person to look at.
    """
    for path in sorted(host_dir.jobs.iterdir()):
        if not path.name.startswith("."):
            with contextlib.suppress(DataError, ConfigError, OSError), _lock(host_dir, path.name, wait=False):
                _prune(host_dir, path.name)


def _look(folder: JobFolder, *, locked: bool) -> JobStatus:
    """The state as the files and processes say.

    Only a caller with the lock may find a job dead whose supervisor is not on record, and clears up after it.
    """
    if not folder.spec.exists():
        return JobStatus(ABSENT)
    digest = spec_from_bytes(_read(folder.spec)).digest
    supervisor = Supervisor.read(folder.process)
    if supervisor is not None and supervisor.alive and not folder.exit.exists():
        renew(folder)
        return JobStatus(RUNNING, digest)
    # Read after the process was seen dead: it may have written this last.
    if folder.exit.exists():
        return _outcome(folder, digest)
    if not locked or supervisor is None:
        return JobStatus(ABSENT, digest)  # without a lock perhaps just being started
    return _lost(folder, digest, supervisor)


def _lost(folder: JobFolder, digest: str, supervisor: Supervisor) -> JobStatus:
    """The supervisor was killed or the machine restarted: end what is left of the job, and write that down."""
    job_supervisor.end_marked(supervisor.token)
    cancelled = folder.cancelled.exists()
    said = log_tail(folder).decode("utf-8", "replace")
    if cancelled:
        failure = JobFailure(CODE, "it was cancelled", "run", stderr=said)
    else:
        message = "its supervisor was killed, or the host restarted: how it ended is unknown"
        failure = JobFailure(RETRYABLE, message, "run", stderr=said)
    write_whole(folder.exit, line(JobExit(cancelled, failure)))
    return _outcome(folder, digest)


def _outcome(folder: JobFolder, digest: str) -> JobStatus:
    ended = _read_exit(folder)
    collected = folder.collected.exists()
    if ended.failure is None:
        return JobStatus(SUCCEEDED, digest, collected, result=_last_line(folder))
    return JobStatus(CANCELLED if ended.cancelled else FAILED, digest, collected, failure=ended.failure)


def _read_exit(folder: JobFolder) -> JobExit:
    try:
        return parse(_read(folder.exit), JobExit, str(folder.exit))
    except DataError as error:
        raise DataError(f"{folder.exit} does not say how the job ended: {error}; move the folder away") from error


def _read(path: Path) -> bytes:
    with open_plain(path) as file:
        return file.read(_MAX_FILE_BYTES)


def _last_line(folder: JobFolder) -> str:
    """The result: the last line of stdout, cut at its front when it is too long to be one."""
    with open_plain(folder.stdout) as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - MAX_RESULT_BYTES // 4))
        tail = file.read()
    return tail.rstrip(b"\n").rsplit(b"\n", 1)[-1].decode("utf-8", "replace")


def _with_log(folder: JobFolder, status: JobStatus, offset: int) -> JobStatus:
    try:
        with open_plain(folder.log) as file:
            size = file.seek(0, 2)
            first = min(offset, size)
            file.seek(first)
            part = file.read(MAX_LOG_BYTES // 2)
    except FileNotFoundError:
        return status
    text = part.decode("utf-8", "replace")
    return structs.replace(status, log=text, log_next=first + len(part), log_size=size)


def _wait_for_record(folder: JobFolder, pid: int) -> None:
    """Until the supervisor has started the job, or failed to."""
    over = time.monotonic() + _STARTED_WITHIN_S
    while time.monotonic() < over:
        if folder.exit.exists() or folder.process.exists():
            return
        if process_start(pid) is None:
            break
        time.sleep(0.02)
    said = folder.supervisor_log.read_text(errors="replace")[-2000:].strip() if folder.supervisor_log.exists() else ""
    raise RemoteJobFailed(f"the supervisor of job {folder.root.name} does not start: {said or 'it says nothing'}")


def _move_aside(host_dir: HostDirectory, job_id: str, hand_on: Sequence[Path]) -> None:
    """Keep the last attempts.

    The input is handed on, it was sent before the start, and the output of an attempt that did not end well: the same
    command may go on from what it left there.
    """
    folder, earlier = host_dir.job(job_id), host_dir.earlier_attempts(job_id)
    earlier.mkdir(parents=True, exist_ok=True)
    aside = earlier / str(time.time_ns())
    folder.root.rename(aside)
    folder.root.mkdir()
    for path in hand_on:
        if (aside / path.name).exists():
            (aside / path.name).rename(path)
    for old in sorted(earlier.iterdir(), key=lambda path: path.name)[:-KEEP_ATTEMPTS]:
        shutil.rmtree(old)


def _prune(host_dir: HostDirectory, job_id: str) -> None:
    folder, earlier = host_dir.job(job_id), host_dir.earlier_attempts(job_id)
    supervisor = Supervisor.read(folder.process)
    if supervisor is not None and supervisor.alive:
        return  # not asked about: that would let it go on for another `fence_s`
    status = _look(folder, locked=True)
    if status.state == SUCCEEDED and not status.collected:
        return
    parts = (folder.root, folder.exit, folder.collected, folder.input, folder.output)
    idle_s = time.time() - max(path.stat().st_mtime for path in parts if path.exists())
    if idle_s <= (KEEP_FILES_S if status.collected else KEEP_S):
        return
    for path in (folder.input, folder.output, earlier):
        if path.exists():
            shutil.rmtree(path)
    if idle_s > KEEP_S:
        shutil.rmtree(folder.root)
        host_dir.job_lock(job_id).unlink()


def _lock(host_dir: HostDirectory, job_id: str, *, wait: bool = True) -> AbstractContextManager[int]:
    """One at a time starts or ends a job; the number of the open file, to hand on.

    Raises:
        BlockingIOError: another has it, and this one should not wait.
    """
    return locked(host_dir.job_lock(job_id), wait_s=None if wait else 0)
