"""A detached job as coordinator and host know it: what to run, how it stands, why it failed.

Both sides use these records, in files on the host, on the wire between the two and in the ledger.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated

import msgspec
from msgspec import Meta

from ringrift_loop.checked_json import Digest, Document, File, PlainWord, clean_fields, convert, parse
from ringrift_loop.cluster.agent.gpus import MAX_GPUS, GpuIndex
from ringrift_loop.text import clean_lines

FENCE_S = 900.0
MAX_RESULT_BYTES = 1 << 20
MAX_LOG_BYTES = 256 << 10  # in one answer
STDERR_TAIL_BYTES = 8192
_MAX_WORDS = 2000
_STAGE_LETTERS = 16

# States of a job on its host.
STATES = ABSENT, RUNNING, SUCCEEDED, FAILED, CANCELLED = "absent", "running", "succeeded", "failed", "cancelled"

# Classes of a failure: what to do about it.
CLASSES = RETRYABLE, OUT_OF_MEMORY, DATA, CODE = "retryable", "out_of_memory", "data", "code"

_State = Annotated[str, Meta(pattern=rf"^({'|'.join(STATES)})\Z")]
_Class = Annotated[str, Meta(pattern=rf"^({'|'.join(CLASSES)})\Z")]
_Limit = Annotated[float, Meta(gt=0, le=1e15)]
LogOffset = Annotated[int, Meta(ge=0, lt=1 << 31)]  # 32 bits in the ledger, 64 MiB on a good host
_Status = Annotated[int, Meta(ge=-256, le=256)]


class JobSpec(File, frozen=True):
    """What a host should run.

    In the command's words `{input}`, `{output}` and `{root}` stand for the absolute paths of the job's input and output
    folders and of the host's root folder.
    """

    command: Annotated[tuple[PlainWord, ...], Meta(min_length=1, max_length=_MAX_WORDS)]
    limit_s: _Limit  # wall clock; the job is ended then
    fence_s: _Limit = FENCE_S  # the job ends by itself when the coordinator has not asked for so long
    # Indexes as nvidia-smi counts them; the job sees no other.
    gpus: Annotated[tuple[GpuIndex, ...], Meta(max_length=MAX_GPUS)] = ()
    # That it may use with all that it starts, GiB; 0: a share of the host's.
    memory_gb: Annotated[float, Meta(ge=0, le=1e6)] = 0.0

    @property
    def digest(self) -> str:
        """Tells one command from another; where it runs is no part of it."""
        return hashlib.sha256(json.dumps(self.command).encode()).hexdigest()


class JobFailure(Document, frozen=True):
    """Why a job did not succeed."""

    failure_class: _Class
    message: str
    stage: str  # start, run, contact, collect
    exit_status: _Status | None = None
    signal: _Status | None = None
    stderr: str = ""  # its end, at most 8 KB

    def __post_init__(self) -> None:
        """Texts for people are cut, and hold nothing that a terminal would act on."""
        clean_fields(self, "message")
        clean_fields(self, "stage", limit=_STAGE_LETTERS)
        msgspec.structs.force_setattr(self, "stderr", clean_lines(self.stderr, STDERR_TAIL_BYTES))


class JobStatus(Document, frozen=True):
    """How a job stands on its host."""

    state: _State
    digest: Digest | None = None  # of the command
    collected: bool = False
    # Last line of stdout, once it succeeded.
    result: Annotated[str, Meta(max_length=MAX_RESULT_BYTES)] | None = None
    failure: JobFailure | None = None
    log: Annotated[str, Meta(max_length=MAX_LOG_BYTES)] = ""  # standard error from the offset that was asked for
    log_next: LogOffset = 0  # the offset to ask for next
    log_size: LogOffset = 0

    def __post_init__(self) -> None:
        """The log is for people."""
        msgspec.structs.force_setattr(self, "log", clean_lines(self.log, MAX_LOG_BYTES))

    @property
    def ended(self) -> bool:
        """Whether there is an outcome."""
        return self.state in (SUCCEEDED, FAILED, CANCELLED)


class JobExit(File, frozen=True):
    """How a job's process ended, in a file of its folder."""

    cancelled: bool
    failure: JobFailure | None
    exit_status: _Status | None = None
    signal: _Status | None = None


def spec_from_bytes(raw: bytes) -> JobSpec:
    """Read a spec.

    Raises:
        DataError: it is malformed, or of another version.
    """
    return parse(raw, JobSpec, "a job's spec")


def failure_from_json(value: object) -> JobFailure:
    """Read a failure from the ledger.

    Raises:
        DataError: it is malformed.
    """
    return convert(value, JobFailure, "a job's failure")
