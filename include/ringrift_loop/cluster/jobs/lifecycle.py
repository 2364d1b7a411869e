"""Detached jobs from the coordinator's side: begin or attach, follow, collect, cancel.

Each function may be called again after the process that called it died: a job that was placed is looked up on its host
first. A host that does not answer keeps its job; only when the job must have ended by itself is it placed elsewhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from pathlib import Path
from typing import Any, TypeVar

from ringrift_loop.cluster.agent import job_failure, job_record
from ringrift_loop.cluster.agent.actions import FINISH_JOB, JOB_STATUS, START_JOB, STOP_JOB
from ringrift_loop.cluster.agent.job_record import (
    CANCELLED,
    DATA,
    FAILED,
    RETRYABLE,
    RUNNING,
    SUCCEEDED,
    JobFailure,
    JobStatus,
)
from ringrift_loop.cluster.agent.requests import JobQuery, StartJob, StatusQuery
from ringrift_loop.cluster.jobs.placement import JobRequest, known, place
from ringrift_loop.cluster.transport.opening import Transports, open_transport
from ringrift_loop.cluster.transport.protocol import Transport
from ringrift_loop.cluster.transport.turns import sentence
from ringrift_loop.errors import (
    ConfigError,
    DataError,
    HostError,
    HostUnreachable,
    JobFaulty,
    JobInterrupted,
    JobOutOfSight,
    Remedy,
    RemoteJobFailed,
)
from ringrift_loop.ledger import jobs
from ringrift_loop.ledger.jobs import JobRow
from ringrift_loop.loop import Loop
from ringrift_loop.machine.bounded_log import append_lines
from ringrift_loop.text import clean

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

PATIENCE_S = 60.0  # a host that does not answer is asked again for so long
MAX_POLL_S = 30.0  # so that the end of a job is noticed within a minute
_AGAIN_S = 2.0
_NOTE_S = 15.0  # the ledger learns of a contact, and of the log's progress, so often
OVERTIME_S = 300.0  # past its limit and its way there, within which a host must have ended a job
_MAX_BEHIND_BYTES = 1 << 20  # of a log; what lies before is skipped
_MAX_SHOWN_LETTERS = 16 << 20  # of a log, by one follower
_MAX_LINE_LETTERS = 16 << 10
_FULL_PART_LETTERS = 16 << 10  # an honest host's answer has more when more of the log waits
_SAID_LETTERS = 2000

Say = Callable[[str], None]


@dataclass
class Outputs:
    """Where a job's output goes while it runs."""

    folder: Path
    max_bytes: int
    every_s: float = 30.0
    next_s: float = -inf  # by the event loop's clock

    def due(self, status: JobStatus, now: float) -> bool:
        """Whether to fetch what is there."""
        if status.state == RUNNING and now < self.next_s:
            return False
        self.next_s = now + self.every_s
        return True


async def begin(
    loop: Loop, request: JobRequest, *, transports: Transports = open_transport, patience_s: float = PATIENCE_S
) -> JobRow:
    """Place and start a job, attach to the running one, or find the result that nobody has taken.

    Raises:
        ConfigError: the request is wrong, or a job with another command runs under this id.
        NoCapacity: no host has room now.
        JobOutOfSight: the host that it was placed on does not answer; the placement stays.
        JobFaulty: it was cancelled meanwhile.
    """
    request = replace(request, memory_gb=request.memory_gb or loop.config.resource_targets.job_memory_gb)
    row = await place(loop, request, transports)
    spec = request.spec(row.gpus)
    async with aclosing(_open(loop, row, transports)) as transport:
        status = await _patiently(loop, row, patience_s, lambda: transport.call(JOB_STATUS, StatusQuery(row.id)))
        if status.state == RUNNING and status.digest != spec.digest:
            raise ConfigError(
                f"job {row.id} runs on {row.host} with another command; let it end, or `ringrift-loop jobs cancel "
                f"{row.id}`, and keep what changes from try to try out of a job's command"
            )
        if status.state != RUNNING and not _waits(status, spec.digest):
            if request.inputs is not None:
                inputs = request.inputs
                await _patiently(loop, row, patience_s, lambda: transport.push_folder(inputs, f"jobs/{row.id}/input"))
            for digest, folder in request.models.items():
                await _patiently(loop, row, patience_s, partial(transport.push_model, folder, digest))
            status = await _patiently(loop, row, patience_s, lambda: transport.call(START_JOB, StartJob(row.id, spec)))
        if not await asyncio.to_thread(_note, loop, row, None, spec.digest):
            await _patiently(loop, row, patience_s, lambda: transport.call(STOP_JOB, JobQuery(row.id)))
            raise JobFaulty(f"job {row.id} on {row.host} was cancelled before it had started")
    return row


async def follow(
    loop: Loop,
    job_id: str,
    say: Say,
    *,
    until: float = inf,
    poll_s: float = 5.0,
    outputs: Outputs | None = None,
    transports: Transports = open_transport,
    patience_s: float = PATIENCE_S,
) -> JobStatus:
    """Wait until a job has ended, passing its log on line by line; returns how it ended.

    However much the host says, one follower passes on 16 Mi letters of the log. The end of what was passed on is kept
    in the run directory (`RunDirectory.job_log`), where the page reads it.

    Args:
        loop: the loop.
        job_id: a job that was begun.
        say: takes a line of the job's log; goes on where the last follower stopped.
        until: UTC seconds; a job that its host still calls running then is ended, as failed.
        poll_s: seconds between two questions.
        outputs: what to fetch of the job's output meanwhile; all of it once the job has ended, however it did.
        transports: ways to hosts.
        patience_s: a host that does not answer is asked again for so long.

    Raises:
        ConfigError: there is no such job, or `poll_s` is too long.
        JobOutOfSight: its host does not answer any more.
    """
    if not 0 < poll_s <= MAX_POLL_S:
        raise ConfigError(f"poll_s must be above 0 and at most {MAX_POLL_S:g}, to notice an end, got {poll_s:g}")
    row = await asyncio.to_thread(_row, loop, job_id)
    log = _Log(row.log_offset, say, loop.directory.job_log(row.id))
    log.begin(f"--- attempt {row.attempt} on {row.host} ---")
    clock = asyncio.get_running_loop().time
    noted = clock()
    async with aclosing(_open(loop, row, transports)) as transport:
        while True:
            status = await _patiently(
                loop, row, patience_s, lambda: transport.call(JOB_STATUS, StatusQuery(row.id, log.wanted))
            )
            more = log.take(status)
            if outputs is not None and outputs.due(status, clock()):
                await _patiently(loop, row, patience_s, partial(_fetch, row, outputs, transport))
            if status.state == RUNNING and loop.clock() >= until:
                log.close()
                await _patiently(loop, row, patience_s, lambda: transport.call(STOP_JOB, JobQuery(row.id)))
                if outputs is not None:
                    await _patiently(loop, row, patience_s, partial(_fetch, row, outputs, transport))
                failure = JobFailure(job_record.CODE, "it was still running long past its time limit", "run")
                status = JobStatus(FAILED, failure=failure)
                await asyncio.to_thread(_end, loop, row, status)
                return status
            if status.state != RUNNING and not more:
                log.close()
                await asyncio.to_thread(_note, loop, row, log.offset)
                return status
            if clock() - noted >= _NOTE_S:
                noted = clock()
                if not await asyncio.to_thread(_note, loop, row, log.offset):
                    return status  # cancelled, or placed anew: somebody else's business now
            if not more:
                await asyncio.sleep(poll_s)


async def collect(
    loop: Loop,
    job_id: str,
    *,
    outputs: Path | None = None,
    max_output_bytes: int = 0,
    transports: Transports = open_transport,
    patience_s: float = PATIENCE_S,
) -> dict[str, Any]:
    """Take a job's outcome and let go of it on its host.

    Returns:
        `host`, `job_id`, `attempt`, `last_line` of its standard output, and `result` when that is a JSON object.

    Raises:
        JobInterrupted, JobOutOfMemory, JobFaulty: it failed; the ledger has the record.
        JobOutOfSight: its host does not answer.
        DataError: its output cannot be taken; the job's result stays on the host.
    """
    row = await asyncio.to_thread(_row, loop, job_id)
    if not row.active:
        raise error_of(row, _recorded(row))
    async with aclosing(_open(loop, row, transports)) as transport:
        status = await _patiently(loop, row, patience_s, lambda: transport.call(JOB_STATUS, StatusQuery(row.id)))
        if status.state == RUNNING:
            raise JobInterrupted(f"job {row.id} on {row.host} is still running: it was restarted meanwhile")
        if status.state != SUCCEEDED:
            await asyncio.to_thread(_end, loop, row, status)
            raise error_of(row, status)
        if outputs is not None:
            try:
                wanted = Outputs(outputs, max_output_bytes)
                await _patiently(loop, row, patience_s, partial(_fetch, row, wanted, transport))
            except (DataError, OSError) as error:
                failure = JobFailure(DATA, f"its output cannot be taken: {error}", "collect")
                await asyncio.to_thread(_end, loop, row, JobStatus(FAILED, failure=failure))
                raise
        # First on the host: a crash in between runs the job once more, the other order could report a stale result.
        await _patiently(loop, row, patience_s, lambda: transport.call(FINISH_JOB, JobQuery(row.id)))
    await asyncio.to_thread(_end, loop, row, status)
    line = status.result or ""
    record = {"host": row.host, "job_id": row.id, "attempt": row.attempt, "last_line": line[:_SAID_LETTERS]}
    return record | {"result": _json_object(line)}


async def cancel(
    loop: Loop, job_id: str, *, transports: Transports = open_transport, patience_s: float = PATIENCE_S
) -> bool:
    """End a job with all its processes; returns whether it was active.

    Raises:
        ConfigError: there is no such job.
        JobOutOfSight: its host does not answer; it will end by itself after its fence.
    """
    row = await asyncio.to_thread(_row, loop, job_id)
    if not row.active:
        return False
    async with aclosing(_open(loop, row, transports)) as transport:
        await _patiently(loop, row, patience_s, lambda: transport.call(STOP_JOB, JobQuery(row.id)))
    await asyncio.to_thread(_end, loop, row, JobStatus(CANCELLED))
    return True


def error_of(row: JobRow, status: JobStatus) -> RemoteJobFailed:
    """The failure of a job as an error; its class says whether another attempt may help."""
    failure = _failure_of(status)
    said = failure.stderr.strip()[-_SAID_LETTERS:]
    text = f"job {row.id} on {row.host}: {failure.message}" + (f"; the end of what it said:\n{said}" if said else "")
    return job_failure.error_of(failure.failure_class, text)


class _Log:
    """Where a follower is in a job's log; passes on whole lines, and not without end."""

    def __init__(self, offset: int, say: Say, kept: Path) -> None:
        self.offset = offset
        self._say, self._kept, self._rest, self._left = say, kept, "", _MAX_SHOWN_LETTERS

    def begin(self, title: str) -> None:
        """Put a title over an attempt that nobody has followed yet, in the kept file alone."""
        if self.offset == 0:
            self._keep([title])

    @property
    def wanted(self) -> int | None:
        """Where the part begins that the host shall send; None: enough has been shown."""
        return self.offset if self._left > 0 else None

    def take(self, status: JobStatus) -> bool:
        """Pass on what came; returns whether more waits on the host."""
        if self._left <= 0:
            return False
        self._left -= len(status.log)
        *lines, self._rest = (self._rest + status.log).split("\n")
        self._pass_on(lines)
        if len(self._rest) > _MAX_LINE_LETTERS:
            self.close()
        self.offset = max(self.offset, status.log_next)
        behind = status.log_size - self.offset
        if self._left <= 0:
            self.close()
            self._pass_on(["... it prints too much: the rest of the log is on the host ..."])
            return False
        if behind > _MAX_BEHIND_BYTES:
            self.close()
            self._pass_on(
                [f"... {behind - _MAX_BEHIND_BYTES // 2} bytes of the log are skipped; they are on the host ..."]
            )
            self.offset = status.log_size - _MAX_BEHIND_BYTES // 2
        return self.offset < status.log_size and len(status.log) >= _FULL_PART_LETTERS

    def close(self) -> None:
        if self._rest:
            self._pass_on([self._rest])
            self._rest = ""

    def _pass_on(self, lines: Sequence[str]) -> None:
        cleaned = [clean(line, _MAX_LINE_LETTERS) for line in lines]
        for line in cleaned:
            self._say(line)
        if cleaned:
            self._keep(cleaned)

    def _keep(self, lines: Sequence[str]) -> None:
        with contextlib.suppress(OSError):  # a full disk must not end the following of a job
            append_lines(self._kept, lines)


async def _patiently(loop: Loop, row: JobRow, patience_s: float, ask: Callable[[], Awaitable[_T]]) -> _T:
    """Ask a host until it answers or patience ends; what it may have heard by then is a contact."""
    clock = asyncio.get_running_loop().time
    over = clock() + patience_s
    heard = False
    while True:
        try:
            return await ask()
        except HostError as error:
            if error.remedy is Remedy.FAIL:
                raise
            heard |= not isinstance(error, HostUnreachable) or error.sent
            if clock() + _AGAIN_S > over:
                await asyncio.to_thread(_lose, loop, row, heard)
                raise JobOutOfSight(
                    f"job {row.id} may still run on {row.host}, which does not answer: {error}; it ends by itself "
                    f"{row.fence_s:g} s after the host last heard from us"
                ) from error
            _log.warning("job %s: asking again in %g s: %s", row.id, _AGAIN_S, sentence(error))
        await asyncio.sleep(_AGAIN_S)


async def _fetch(row: JobRow, outputs: Outputs, transport: Transport) -> None:
    await transport.pull_folder(f"jobs/{row.id}/output", outputs.folder, max_bytes=outputs.max_bytes)


def _open(loop: Loop, row: JobRow, transports: Transports) -> Transport:
    host = loop.inventory.hosts.get(row.host)
    if host is None:
        raise ConfigError(f"job {row.id} was placed on {row.host}, which the inventory no longer has; put it back")
    return transports(host, loop.directory)


def _waits(status: JobStatus, digest: str) -> bool:
    return status.state == SUCCEEDED and not status.collected and status.digest == digest


def _failure_of(status: JobStatus) -> JobFailure:
    if status.failure is not None:
        return status.failure
    if status.state == CANCELLED:
        return JobFailure(job_record.CODE, "it was cancelled", "run")
    return JobFailure(RETRYABLE, "its host knows nothing of it: the folder is gone", "contact")


def _recorded(row: JobRow) -> JobStatus:
    """How a job ended that somebody else has dealt with."""
    if row.failure is None:
        taken = JobFailure(RETRYABLE, "its result has been taken by another call", "collect")
        return JobStatus(FAILED, failure=taken)
    state = CANCELLED if row.state == jobs.CANCELLED else FAILED
    return JobStatus(state, failure=job_record.failure_from_json(row.failure))


def _row(loop: Loop, job_id: str) -> JobRow:
    row = known(loop, job_id)
    if row is None:
        raise ConfigError(f"the ledger knows no job {job_id!r}; `ringrift-loop jobs list` shows them")
    return row


def _note(loop: Loop, row: JobRow, log_offset: int | None = None, command_digest: str | None = None) -> bool:
    with loop.ledger.begin() as conn:
        return jobs.contact(conn, row, at=loop.clock(), log_offset=log_offset, command_digest=command_digest)


def _lose(loop: Loop, row: JobRow, heard: bool) -> None:
    with loop.ledger.begin() as conn:
        jobs.lose_sight(conn, row, contact_at=loop.clock() if heard else None)


def _end(loop: Loop, row: JobRow, status: JobStatus) -> None:
    states = {SUCCEEDED: jobs.SUCCEEDED, CANCELLED: jobs.CANCELLED}
    failure = None if status.state == SUCCEEDED else _failure_of(status).as_json()
    with loop.ledger.begin() as conn:
        jobs.end(conn, row, states.get(status.state, jobs.FAILED), at=loop.clock(), failure=failure)


def _json_object(line: str) -> dict[str, Any] | None:
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        return None  # another program's words
    return document if isinstance(document, dict) else None
