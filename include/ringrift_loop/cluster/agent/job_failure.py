"""Why a process failed: from its exit, the failure it left behind and the kernel's count of processes killed.

Our own commands say which error ended them and what is to be done about it (machine/failure.py); text is looked at only
for the words with which other programs say that memory ran out. Jobs on hosts and the child processes of tasks are
judged alike.
"""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass
from pathlib import Path

from ringrift_loop.cluster.agent.job_record import CODE, DATA, OUT_OF_MEMORY, RETRYABLE, STDERR_TAIL_BYTES, JobFailure
from ringrift_loop.errors import JobFaulty, JobInterrupted, JobOutOfMemory, Remedy, RemoteJobFailed
from ringrift_loop.layout import JobFolder
from ringrift_loop.machine.cgroups import CGROUPS
from ringrift_loop.machine.failure import Failure, read_failure

_TRY_AGAIN = 75  # EX_TEMPFAIL of sysexits.h
_SHELL_SIGNAL = 128  # a shell whose child was killed by signal N ends with 128 + N
_ERRORS: dict[str, type[RemoteJobFailed]] = {
    RETRYABLE: JobInterrupted,
    OUT_OF_MEMORY: JobOutOfMemory,
    DATA: JobFaulty,
    CODE: JobFaulty,
}
_OUT_OF_MEMORY = re.compile(
    rb"CUDA out of memory|torch\.(cuda\.)?OutOfMemoryError|CUDA error: out of memory|cudaErrorMemoryAllocation"
    rb"|^(numpy\.\S*)?(_Array)?MemoryError\b|std::bad_alloc|Cannot allocate memory",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Ending:
    """How a job's process ended."""

    exit_status: int | None = None
    signal: int | None = None
    killed_for_memory: bool = False  # the kernel's count grew while the job ran


def classify(folder: JobFolder, ending: Ending) -> JobFailure | None:
    """The failure of a job whose process ended by itself; None when it succeeded."""
    if ending.exit_status == 0:
        return None
    stderr = log_tail(folder)
    kind, message = cause(ending, read_failure(folder.failure), stderr)
    text = stderr.decode("utf-8", "replace")
    return JobFailure(kind, message, "run", ending.exit_status, ending.signal, text)


def cause(ending: Ending, left: Failure | None, stderr: bytes) -> tuple[str, str]:
    """The class of a failure (job_record.CLASSES) and a sentence about it.

    Args:
        ending: how the process ended.
        left: the failure that it wrote down.
        stderr: the end of what it said.
    """
    number = _signal(ending)
    if number == signal.SIGKILL and ending.killed_for_memory:
        return OUT_OF_MEMORY, "the kernel killed it because memory ran out"
    if left is not None and left.error == JobOutOfMemory.__name__:
        return OUT_OF_MEMORY, left.message
    if left is not None and left.remedy is not Remedy.FAIL:
        return RETRYABLE, f"it asks for another try: {left.error}: {left.message}"
    if left is not None and left.is_own:
        return DATA, f"{left.error}: {left.message}"
    if _OUT_OF_MEMORY.search(stderr):
        return OUT_OF_MEMORY, "it reports that memory ran out"
    if number in (signal.SIGTERM, signal.SIGKILL, signal.SIGHUP):
        return RETRYABLE, f"it was ended from outside by {signal.Signals(number).name}"
    if ending.exit_status == _TRY_AGAIN:
        return RETRYABLE, f"it asks for another try: {_last_line(stderr)}"
    if left is not None:
        return CODE, f"{left.error}: {left.message}"
    how = f"signal {ending.signal}" if ending.signal else f"exit status {ending.exit_status}"
    return CODE, f"{how}: {_last_line(stderr) or 'it said nothing'}"


def error_of(kind: str, said: str) -> RemoteJobFailed:
    """The error of a class of failure: the class says whether another attempt may help."""
    return _ERRORS[kind](said)


def log_tail(folder: JobFolder) -> bytes:
    """The end of what the job said."""
    try:
        with folder.log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - STDERR_TAIL_BYTES))
            return file.read(STDERR_TAIL_BYTES)
    except FileNotFoundError:
        return b""


def memory_kills() -> int:
    """How many processes the kernel has killed for memory, on this machine and in this process's cgroup."""
    return _counter(Path("/proc/vmstat")) + CGROUPS.memory_kills()


def _counter(path: Path) -> int:
    """The `oom_kill` line of a file of the kernel; 0 where there is none (another system)."""
    try:
        words = path.read_text().split()
    except OSError:
        return 0
    return int(words[words.index("oom_kill") + 1]) if "oom_kill" in words else 0


def _signal(ending: Ending) -> int | None:
    if ending.signal is not None or ending.exit_status is None or ending.exit_status <= _SHELL_SIGNAL:
        return ending.signal
    return ending.exit_status - _SHELL_SIGNAL


def _last_line(stderr: bytes) -> str:
    lines = stderr.decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:400] if lines else ""
