"""Why a job on this host failed: from its exit, the error it left behind and the kernel's count of processes killed.

Our own commands say exactly which error ended them (`RINGRIFT_FAILURE_FILE`); text is looked at only for the words with
which other programs say that memory ran out.
"""

from __future__ import annotations

import json
import re
import signal
from dataclasses import dataclass
from pathlib import Path

from ringrift_loop.cluster.agent.job_record import CODE, DATA, OUT_OF_MEMORY, RETRYABLE, STDERR_TAIL_BYTES, JobFailure
from ringrift_loop.layout import JobFolder

_TRY_AGAIN = 75  # EX_TEMPFAIL, as our own commands end when something is busy or away
_SHELL_SIGNAL = 128  # a shell whose child was killed by signal N ends with 128 + N
_CLASS_OF_ERROR = {
    "DataError": DATA,
    "GateError": DATA,
    "IllegalMoveError": DATA,
    "LedgerError": DATA,
    "ModelError": DATA,
    "MemoryError": OUT_OF_MEMORY,
    "OutOfMemoryError": OUT_OF_MEMORY,
}
_OUT_OF_MEMORY = re.compile(
    rb"CUDA out of memory|torch\.(cuda\.)?OutOfMemoryError|CUDA error: out of memory|cudaErrorMemoryAllocation"
    rb"|^(numpy\.\S*)?(_Array)?MemoryError\b|std::bad_alloc|Cannot allocate memory",
    re.MULTILINE,
)
_MAX_FAILURE_BYTES = 64 << 10


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
    number = _signal(ending)
    error, said = _left_error(folder)
    if number == signal.SIGKILL and ending.killed_for_memory:
        kind, message = OUT_OF_MEMORY, "the kernel killed it because memory ran out"
    elif error is not None and error in _CLASS_OF_ERROR:
        kind, message = _CLASS_OF_ERROR[error], f"{error}: {said}"
    elif _OUT_OF_MEMORY.search(stderr):
        kind, message = OUT_OF_MEMORY, "memory ran out, it says"
    elif number in (signal.SIGTERM, signal.SIGKILL, signal.SIGHUP):
        kind, message = RETRYABLE, f"it was ended from outside by {signal.Signals(number).name}"
    elif ending.exit_status == _TRY_AGAIN:
        kind, message = RETRYABLE, f"it asks to be tried again: {said or _last_line(stderr)}"
    elif error is not None:
        kind, message = CODE, f"{error}: {said}"
    else:
        how = f"signal {ending.signal}" if ending.signal else f"exit status {ending.exit_status}"
        kind, message = CODE, f"{how}: {_last_line(stderr) or 'it said nothing'}"
    text = stderr.decode("utf-8", "replace")
    return JobFailure(kind, message, "run", ending.exit_status, ending.signal, text)


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
    return _counter(Path("/proc/vmstat")) + _counter(_cgroup() / "memory.events")


def _cgroup() -> Path:
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return Path("/sys/fs/cgroup")
    own = next((line.removeprefix("0::/") for line in lines if line.startswith("0::/")), "")
    return Path("/sys/fs/cgroup") / own


def _counter(path: Path) -> int:
    """The `oom_kill` line of a file of the kernel; 0 where there is none (cgroup v1, another system)."""
    try:
        words = path.read_text().split()
    except OSError:
        return 0
    return int(words[words.index("oom_kill") + 1]) if "oom_kill" in words else 0


def _signal(ending: Ending) -> int | None:
    if ending.signal is not None or ending.exit_status is None or ending.exit_status <= _SHELL_SIGNAL:
        return ending.signal
    return ending.exit_status - _SHELL_SIGNAL


def _left_error(folder: JobFolder) -> tuple[str | None, str]:
    try:
        with folder.failure.open("rb") as file:
            document = json.loads(file.read(_MAX_FAILURE_BYTES))
        return str(document["error"])[:80], str(document["message"])[:2000]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None, ""  # another program, or one that was killed while it wrote


def _last_line(stderr: bytes) -> str:
    lines = stderr.decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:400] if lines else ""
