"""Worker processes on this machine: started in a session of their own, known by pid and start time.

Nothing here ever looks for processes by name. What was started is written down in the host's folder; a pid counts only
together with the start that was written with it, so a pid that the system gave away again is never signalled.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeAlias

import psutil

from ringrift_loop.errors import DataError
from ringrift_loop.layout import LEDGER_VARIABLE, HostDirectory
from ringrift_loop.machine.files import NotPlainError, open_plain

VERSION = 1
NICE = 15
_MAX_RECORD_BYTES = 16384
_GONE_WITHIN_S = 5.0  # a process of low priority on a busy machine takes its time to die
KEPT_FD = 3
_LOG_LIMIT_BYTES = 20 << 20
# What a worker inherits; an Airflow task's environment also holds tokens that are none of its business.
_ENVIRONMENT = (
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "TZ",
    "TMPDIR",
    "VIRTUAL_ENV",
    "LD_LIBRARY_PATH",
    "CUDA_VISIBLE_DEVICES",
)
_ENVIRONMENT_PREFIXES = ("RINGRIFT_", "PYTHON", "NUMBA_", "OMP_", "LC_", "COVERAGE_")


@dataclass(frozen=True)
class WorkerSpec:
    """What a slot should run."""

    host: str  # the inventory's name, for the records
    slot: int
    variant: str
    config_path: Path | None = None
    nice: int = NICE


WorkerCommand: TypeAlias = Callable[[HostDirectory, WorkerSpec], list[str]]


def worker_command(host_dir: HostDirectory, spec: WorkerSpec) -> list[str]:
    """The command line of a slot's worker."""
    command = [sys.executable, "-m", "ringrift_loop.cli", "selfplay", "--root", str(host_dir.root), "--host", spec.host]
    command += ["--variant", spec.variant, "--slot", str(spec.slot), "--nice", str(spec.nice)]
    return command if spec.config_path is None else [*command, "--config", str(spec.config_path)]


@dataclass(frozen=True)
class ProcessRecord:
    """A worker process as written down at its start."""

    pid: int
    start: str  # boot and clock tick of its start (`process_start`)
    variant: str
    stop_requested_at: float | None = None  # when it was told to finish

    @property
    def alive(self) -> bool:
        """Whether this very process runs; a zombie does not."""
        return process_start(self.pid) == self.start


def read_record(host_dir: HostDirectory, slot: int) -> ProcessRecord | None:
    """The process last started in a slot, dead or alive.

    Raises:
        DataError: the record is not readable, so nothing is known of the slot's process.
    """
    record = _read_record(host_dir, slot)
    if record is not None and record.alive:
        return record
    return _unrecorded(host_dir, slot) or record


def _read_record(host_dir: HostDirectory, slot: int) -> ProcessRecord | None:
    path = host_dir.worker_process(slot)
    try:
        with open_plain(path) as file:
            document = json.loads(file.read(_MAX_RECORD_BYTES))
        if document.pop("v") != VERSION:
            raise ValueError("unknown version")
        return ProcessRecord(**document)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, NotPlainError) as error:
        raise DataError(f"{path} is no process record: {error}; end the worker by hand and delete the file") from error


def _unrecorded(host_dir: HostDirectory, slot: int) -> ProcessRecord | None:
    """A live worker of ours whose starter was killed before it could write the record.

    The pid is the one in the slot's own heartbeat file, and its command line must be that of this slot of this folder.
    """
    try:
        with open_plain(host_dir.heartbeat(slot)) as file:
            pid = json.loads(file.read(_MAX_RECORD_BYTES))["pid"]
        if type(pid) is not int:
            return None
        command = psutil.Process(pid).cmdline()
    except (OSError, ValueError, TypeError, KeyError, RecursionError, psutil.Error):
        return None
    ours = (_option(command, "--root"), _option(command, "--slot")) == (str(host_dir.root), str(slot))
    variant = _option(command, "--variant")
    start = process_start(pid) if ours and "selfplay" in command else None
    return ProcessRecord(pid, start, variant) if start is not None and variant is not None else None


def _option(command: list[str], name: str) -> str | None:
    return command[command.index(name) + 1] if name in command[:-1] else None


def start_worker(host_dir: HostDirectory, spec: WorkerSpec, command: WorkerCommand = worker_command) -> ProcessRecord:
    """Start a slot's worker unless one runs there; returns the running one."""
    with _slot_lock(host_dir, spec.slot):
        record = read_record(host_dir, spec.slot)
        if record is not None and record.alive:
            return record
        pid = spawn_detached(command(host_dir, spec), host_dir.worker_log(spec.slot))
        # A process that ended already has no start; "" never matches, so it counts as dead.
        started = ProcessRecord(pid, process_start(pid) or "", spec.variant)
        _write_record(host_dir, spec.slot, started)
        return started


def stop_worker(host_dir: HostDirectory, slot: int, *, kill: bool = False, at: float | None = None) -> bool:
    """Tell a slot's worker to finish its games' segment and exit, or end it with all its children at once.

    Args:
        host_dir: the host's root folder.
        slot: the slot.
        kill: SIGKILL to the whole process group instead of SIGTERM to the worker.
        at: when it was asked, UTC seconds; now when left out.

    Returns:
        Whether there was a live worker.
    """
    with _slot_lock(host_dir, slot):
        record = read_record(host_dir, slot)
        if record is None or not record.alive:
            return False
        with contextlib.suppress(ProcessLookupError):
            if kill:
                os.killpg(record.pid, signal.SIGKILL)  # it leads its own session and group
                _wait_for_end(record)
            else:
                os.kill(record.pid, signal.SIGTERM)
        if record.stop_requested_at is None:
            asked = time.time() if at is None else at
            _write_record(host_dir, slot, replace(record, stop_requested_at=asked))
        return True


def _wait_for_end(record: ProcessRecord) -> None:
    """Until a killed process is gone, so that who asks next is not told that it lives."""
    over = time.monotonic() + _GONE_WITHIN_S
    while record.alive and time.monotonic() < over:
        time.sleep(0.02)


def spawn_detached(command: list[str], log: Path, *, keep_fd: int | None = None) -> int:
    """Start a detached process with a clean environment and signal state; its output is appended to the log.

    Args:
        command: its words.
        log: for stdout and stderr.
        keep_fd: an open file of ours that the process gets as `KEPT_FD`.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > _LOG_LIMIT_BYTES:
        log.rename(log.with_suffix(".1.log"))
    return os.posix_spawn(
        command[0],
        command,
        clean_environment() | {"PYTHONUNBUFFERED": "1"},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
            *([] if keep_fd is None else [(os.POSIX_SPAWN_DUP2, keep_fd, KEPT_FD)]),
        ],
        setsid=True,  # outlives the Airflow task that starts it
        setsigmask=[],
        setsigdef=[signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD],
    )


def clean_environment() -> dict[str, str]:
    """What a process on a host inherits of this one's environment."""
    return {key: value for key, value in os.environ.items() if _inherited(key)}


def _inherited(key: str) -> bool:
    if key == LEDGER_VARIABLE:
        return False  # may hold the database's password; workers never open the ledger
    return key in _ENVIRONMENT or key.startswith(_ENVIRONMENT_PREFIXES)


def process_start(pid: int) -> str | None:
    """What tells this process from any other that had or will have its pid; None when there is none, or its remains.

    Linux: the boot's id and the clock tick of the start, which no change of the clock moves. Elsewhere: the time.
    """
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # our own child is reaped, so that it does not look alive
    try:
        if sys.platform != "linux":
            process = psutil.Process(pid)
            return None if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.2f}"
        # The second field, the name in brackets, may hold anything; state and start are fields 3 and 22.
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except (FileNotFoundError, ProcessLookupError, psutil.NoSuchProcess):
        return None
    return None if fields[0] in "ZX" else f"{boot}:{fields[19]}"


def _write_record(host_dir: HostDirectory, slot: int, record: ProcessRecord) -> None:
    path = host_dir.worker_process(slot)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    with temporary.open("w") as file:
        json.dump({"v": VERSION, **asdict(record)}, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)


@contextmanager
def _slot_lock(host_dir: HostDirectory, slot: int) -> Iterator[None]:
    """One supervisor at a time handles a slot, also across processes."""
    path = host_dir.worker_process(slot).with_suffix(".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
