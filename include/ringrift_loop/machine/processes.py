"""Processes: how they are started, attached or detached, written down, signalled as a group and found by a mark.

A pid alone names nobody: it is used again after a while. So a process is always written down with its start, and
counts only when both are the same. Nothing here looks for processes by name.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Annotated, Self

import msgspec
import psutil

from ringrift_loop.errors import DataError
from ringrift_loop.machine.files import NotPlainError, open_plain, write_json
from ringrift_loop.machine.priority import lower_priority

KEPT_FD = 3  # where a detached process finds the open file that it was given
_VERSION = 1
_MAX_RECORD_BYTES = 16384

_PR_SET_PDEATHSIG = 1
# Loaded before any fork: a child between fork and exec must not search for libraries.
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True)
class ProcessRecord:
    """A process as it is written down."""

    pid: Annotated[int, msgspec.Meta(gt=0, lt=1 << 31)]  # 0 and below mean groups
    start: str  # what `process_start` said; "" for one that had ended by then

    @classmethod
    def of(cls, pid: int) -> ProcessRecord:
        """The record of a process that was just started."""
        return ProcessRecord(pid, process_start(pid) or "")

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """The record in a file; None when there is no file.

        Raises:
            DataError: the file is not readable, so nothing is known of the process.
        """
        try:
            with open_plain(path) as file:
                document = json.loads(file.read(_MAX_RECORD_BYTES))
            if document.pop("v") != _VERSION:
                raise ValueError("unknown version")
            return msgspec.convert(document, cls)
        except FileNotFoundError:
            return None
        except (
            ValueError,
            ArithmeticError,
            TypeError,
            LookupError,
            AttributeError,
            RecursionError,
            NotPlainError,
        ) as error:
            remedy = "end the process by hand and delete the file"
            raise DataError(f"{path} is not a process record: {error}; {remedy}") from error

    def write(self, path: Path) -> None:
        """Write the record down, whole and on the disk."""
        write_json(path, {"v": _VERSION, **asdict(self)})

    @property
    def alive(self) -> bool:
        """Whether this very process runs; a zombie does not, and a child of ours is reaped here."""
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, os.WNOHANG)
        return process_start(self.pid) == self.start


def process_start(pid: int) -> str | None:
    """What tells this process from any other that had or will have its pid; None when there is none, or its remains.

    Linux: the boot's id and the clock tick of the start, which no change of the clock moves. Elsewhere: the time.
    """
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


def boot_mark() -> str:
    """What tells this machine, since its last start, from others of its name: 8 hex digits."""
    if sys.platform == "linux":
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    else:
        boot = f"{psutil.boot_time():.0f}"
    return hashlib.sha256(boot.encode()).hexdigest()[:8]


def die_with_parent(death_signal: signal.Signals) -> None:
    """Have the kernel send this process a signal when the thread that started it ends; Linux only."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)


def spawn(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    stdout: int | IO[bytes],
    stderr: int | IO[bytes] = subprocess.STDOUT,
    cwd: str | None = None,
    nice: int = 0,
    death_signal: signal.Signals = signal.SIGTERM,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a command in a session of its own; the kernel sends it `death_signal` when the calling thread ends.

    It blocks no signals, whatever its parent blocks.

    Call it from a thread that lives as long as the child is wanted, best the main thread. The death signal is Linux's;
    elsewhere a child whose parent was killed is found at the next start (`ProcessRecord`).
    """
    parent = os.getpid()

    def before_exec() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, set())
        if _LIBC is not None:
            die_with_parent(death_signal)
            if os.getppid() != parent:  # the parent died before the line above
                os._exit(1)
        if nice:
            lower_priority(nice)

    return subprocess.Popen(
        list(command),
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        cwd=cwd,
        start_new_session=True,
        preexec_fn=before_exec,
        pass_fds=tuple(pass_fds),
    )


def spawn_detached(command: Sequence[str], log: Path, *, env: Mapping[str, str], keep_fd: int | None = None) -> int:
    """Start a process that outlives this one, with a clean signal state; its output is appended to the log.

    Args:
        command: its words.
        log: for stdout and stderr.
        env: its environment.
        keep_fd: an open file of ours that the process gets as `KEPT_FD`.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    return os.posix_spawn(
        command[0],
        list(command),
        {**env, "PYTHONUNBUFFERED": "1"},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
            *([] if keep_fd is None else [(os.POSIX_SPAWN_DUP2, keep_fd, KEPT_FD)]),
        ],
        setsid=True,
        setsigmask=[],
        setsigdef=[signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD],
    )


def signal_group(leader_pid: int, number: signal.Signals) -> bool:
    """Send a signal to the process group that a spawned child leads; False when nobody is left in it."""
    try:
        os.killpg(leader_pid, number)
    except ProcessLookupError:
        return False
    return True


def group_members(leader_pid: int) -> list[psutil.Process]:
    """The living processes of a group, zombies left out."""
    members = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError, PermissionError):
            if os.getpgid(process.pid) == leader_pid and process.status() != psutil.STATUS_ZOMBIE:
                members.append(process)
    return members


def end_group(leader_pid: int, *, grace_s: float) -> None:
    """End a child's whole group: SIGTERM, then SIGKILL to whoever is left after `grace_s` seconds."""
    signal_group(leader_pid, signal.SIGTERM)
    give_up_at = time.monotonic() + grace_s
    while group_members(leader_pid):
        if time.monotonic() >= give_up_at:
            signal_group(leader_pid, signal.SIGKILL)
            return
        time.sleep(0.1)


def marked_processes(variable: str, value: str, *, spare: Iterable[int] = ()) -> list[psutil.Process]:
    """The living processes whose start environment holds `variable=value`, without this one and the pids in `spare`."""
    spared = {os.getpid(), *spare}
    found = []
    for process in psutil.process_iter():
        if process.pid in spared:
            continue
        with contextlib.suppress(psutil.Error):
            if process.environ().get(variable) == value and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def kill_marked(variable: str, value: str, *, spare: Iterable[int] = ()) -> list[str]:
    """Kill every process with this mark, also those that they start while we look; the names of the first ones.

    What waits in the kernel lives on, and this gives it up after a second: `marked_processes` tells.
    """
    killed = []
    for look in range(20):
        marked = marked_processes(variable, value, spare=spare)
        if not marked:
            break
        for process in marked:
            with contextlib.suppress(psutil.Error):
                if look == 0:
                    killed.append(f"{process.name()} ({process.pid})")
                process.kill()
        time.sleep(0.05)
    return killed
