"""A detached job as coordinator and host know it: what to run, how it stands, why it failed.

Both sides use these records, in files on the host and on the wire between the two: JSON, checked on arrival.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ringrift_loop.cluster.agent.wire import read_document, seconds, wrong
from ringrift_loop.errors import DataError
from ringrift_loop.text import clean

VERSION = 1
FENCE_S = 900.0
MAX_SPEC_BYTES = 256 << 10
MAX_RESULT_BYTES = 1 << 20
MAX_LOG_BYTES = 256 << 10  # in one answer
STDERR_TAIL_BYTES = 8192
_MAX_WORDS = 2000
_MAX_GPUS = 64
_DIGEST = re.compile(r"[0-9a-f]{64}")

# States of a job on its host.
ABSENT, RUNNING, SUCCEEDED, FAILED, CANCELLED = "absent", "running", "succeeded", "failed", "cancelled"
STATES = (ABSENT, RUNNING, SUCCEEDED, FAILED, CANCELLED)

# Classes of a failure: what to do about it.
RETRYABLE, OUT_OF_MEMORY, DATA, CODE = "retryable", "out_of_memory", "data", "code"
CLASSES = (RETRYABLE, OUT_OF_MEMORY, DATA, CODE)


@dataclass(frozen=True)
class JobSpec:
    """What a host should run.

    In the command's words `{input}`, `{output}` and `{root}` stand for the absolute paths of the job's input and output
    folders and of the host's root folder.
    """

    command: tuple[str, ...]
    limit_s: float  # wall clock; the job is ended then
    fence_s: float = FENCE_S  # the job ends by itself when the coordinator has not asked for so long
    gpus: tuple[int, ...] = ()  # indexes as nvidia-smi counts them; the job sees no other

    @property
    def digest(self) -> str:
        """Tells one command from another; where it runs is no part of it."""
        return hashlib.sha256(json.dumps(self.command).encode()).hexdigest()


@dataclass(frozen=True)
class JobFailure:
    """Why a job did not succeed."""

    failure_class: str  # one of CLASSES
    message: str
    stage: str  # start, run, contact, collect
    exit_status: int | None = None
    signal: int | None = None
    stderr: str = ""  # its end, at most 8 KB

    def as_json(self) -> dict[str, Any]:
        """The record, for the ledger and the wire."""
        return asdict(self)


@dataclass(frozen=True)
class JobStatus:
    """How a job stands on its host."""

    state: str  # one of STATES
    digest: str | None = None  # of the command
    collected: bool = False
    result: str | None = None  # last line of stdout, once it succeeded
    failure: JobFailure | None = None
    log: str = ""  # standard error from the offset that was asked for
    log_next: int = 0  # the offset to ask for next
    log_size: int = 0

    @property
    def ended(self) -> bool:
        """Whether there is an outcome."""
        return self.state in (SUCCEEDED, FAILED, CANCELLED)


@dataclass(frozen=True)
class Gpu:
    """A GPU as the host's driver reports it."""

    index: int
    total_mb: int
    free_mb: int


def spec_to_bytes(spec: JobSpec) -> bytes:
    """The spec as the host's stdin, and as the file there."""
    document = {"v": VERSION, **asdict(spec)}
    return json.dumps(document).encode()


def spec_from_bytes(raw: bytes) -> JobSpec:
    """Read a spec.

    Raises:
        DataError: it is malformed, or of another version.
    """
    document = read_document(raw, "a job's spec", VERSION)
    command, gpus = document.get("command"), document.get("gpus")
    if not isinstance(command, list) or not 0 < len(command) <= _MAX_WORDS:
        wrong("command", "a list of words", command)
    if not all(isinstance(word, str) and "\0" not in word for word in command) or not command[0]:
        wrong("command", "a list of words without NUL", command)
    return JobSpec(
        command=tuple(command),
        limit_s=_above_zero(document, "limit_s"),
        fence_s=_above_zero(document, "fence_s"),
        gpus=_indexes(gpus),
    )


def status_to_bytes(status: JobStatus) -> bytes:
    """The status as the host's stdout: one line."""
    return json.dumps({"v": VERSION, **asdict(status)}).encode() + b"\n"


def status_from_bytes(raw: bytes) -> JobStatus:
    """Read a host's answer about a job; nothing in it is trusted.

    Raises:
        DataError: it is malformed, too long, or of another version.
    """
    document = read_document(raw, "a job's status", VERSION)
    digest, result, log = (document.get(key) for key in ("digest", "result", "log"))
    if document.get("state") not in STATES:
        wrong("state", f"one of {', '.join(STATES)}", document.get("state"))
    if digest is not None and (not isinstance(digest, str) or _DIGEST.fullmatch(digest) is None):
        wrong("digest", "a sha256 in hex", digest)
    if not isinstance(document.get("collected"), bool):
        wrong("collected", "true or false", document.get("collected"))
    if result is not None and (not isinstance(result, str) or len(result) > MAX_RESULT_BYTES):
        wrong("result", f"text of at most {MAX_RESULT_BYTES} bytes", result)
    if not isinstance(log, str) or len(log) > MAX_LOG_BYTES:
        wrong("log", f"text of at most {MAX_LOG_BYTES} bytes", log)
    failure = document.get("failure")
    return JobStatus(
        state=document["state"],
        digest=digest,
        collected=document["collected"],
        result=result,
        failure=None if failure is None else failure_from_json(failure),
        log=log,
        log_next=_count(document, "log_next"),
        log_size=_count(document, "log_size"),
    )


def failure_from_json(value: object) -> JobFailure:
    """Read a failure, from a host or from the ledger.

    Raises:
        DataError: it is malformed.
    """
    if not isinstance(value, dict) or value.get("failure_class") not in CLASSES:
        wrong("failure", f"an object with a failure_class of {', '.join(CLASSES)}", value)
    message, stage, stderr = (value.get(key) for key in ("message", "stage", "stderr"))
    if not isinstance(message, str) or not isinstance(stage, str) or not isinstance(stderr, str):
        wrong("failure", "an object with message, stage and stderr", value)
    return JobFailure(
        failure_class=value["failure_class"],
        message=clean(message),
        stage=clean(stage)[:16],
        exit_status=_small(value, "exit_status"),
        signal=_small(value, "signal"),
        stderr=stderr[-STDERR_TAIL_BYTES:].replace("\0", "?"),
    )


def gpus_to_bytes(gpus: Sequence[Gpu]) -> bytes:
    """The host's GPUs as one line."""
    return json.dumps({"v": VERSION, "gpus": [[gpu.index, gpu.total_mb, gpu.free_mb] for gpu in gpus]}).encode() + b"\n"


def gpus_from_bytes(raw: bytes) -> tuple[Gpu, ...]:
    """Read a host's GPUs.

    Raises:
        DataError: it is malformed, or of another version.
    """
    entries = read_document(raw, "a list of GPUs", VERSION).get("gpus")
    if not isinstance(entries, list) or len(entries) > _MAX_GPUS:
        wrong("gpus", f"a list of at most {_MAX_GPUS}", entries)
    return tuple(checked_gpu(entry) for entry in entries)


def checked_gpu(entry: object) -> Gpu:
    """A GPU from three numbers: index, total and free memory in MiB.

    Raises:
        DataError: they are none.
    """
    if not isinstance(entry, list) or len(entry) != 3 or any(type(number) is not int for number in entry):
        wrong("gpus", "a list of [index, total MiB, free MiB]", entry)
    index, total, free = entry
    if not 0 <= index < _MAX_GPUS or not 0 <= free <= total < 1 << 32:
        wrong("gpus", "a list of [index, total MiB, free MiB]", entry)
    return Gpu(index, total, free)


def _indexes(value: object) -> tuple[int, ...]:
    if not isinstance(value, list) or len(value) > _MAX_GPUS:
        wrong("gpus", f"a list of at most {_MAX_GPUS}", value)
    for index in value:
        if type(index) is not int or not 0 <= index < _MAX_GPUS:
            wrong("gpus", "a list of indexes", value)
    return tuple(value)


def _above_zero(document: dict[str, Any], key: str) -> float:
    value = seconds(document.get(key), key)
    if value <= 0:
        raise DataError(f"{key} must be above 0, got {value}")
    return value


def _count(document: dict[str, Any], key: str) -> int:
    value = document.get(key)
    if type(value) is not int or not 0 <= value < 1 << 53:
        wrong(key, "a number of bytes", value)
    return value


def _small(document: dict[str, Any], key: str) -> int | None:
    value = document.get(key)
    if value is not None and (type(value) is not int or not -256 <= value <= 256):
        wrong(key, "a small whole number", value)
    return value
