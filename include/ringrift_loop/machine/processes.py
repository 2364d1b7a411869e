"""Child processes that end with their parent, are known by pid and start time, and are ended as a group.

Used by the launcher for its components and by Airflow tasks for their jobs. A pid alone names nobody: it is used again
after a while, so a process is always recorded with its start time and looked up by both.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import IO, Any

import psutil

from ringrift_loop.machine.priority import lower_priority

_PR_SET_PDEATHSIG = 1
# Loaded before any fork: a child between fork and exec must not search for libraries.
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True)
class ProcessRecord:
    """A process as it is written down."""

    name: str
    pid: int
    start_time: float  # seconds since the epoch, as psutil reads it from the kernel

    def as_json(self) -> dict[str, Any]:
        """The record as a JSON object."""
        return asdict(self)

    def find(self) -> psutil.Process | None:
        """The process, when it still is the one that was recorded."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.start_time) < 1.0
        except psutil.NoSuchProcess:
            return None
        return process if same else None


def record(name: str, pid: int) -> ProcessRecord:
    """What is to be written down about a living process.

    Raises:
        psutil.NoSuchProcess: it is gone already.
    """
    return ProcessRecord(name=name, pid=pid, start_time=psutil.Process(pid).create_time())


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

    Call it from a thread that lives as long as the child is wanted, best the main thread. The death signal is Linux's;
    elsewhere a child whose parent was killed is found at the next start (`ProcessRecord`).
    """
    parent = os.getpid()

    def before_exec() -> None:
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


def marked_processes(variable: str, value: str, *, spare: Iterable[int] = ()) -> list[psutil.Process]:
    """The living processes whose start environment holds `variable=value`, without the pids in `spare`."""
    spared = {os.getpid(), *spare}
    found = []
    for process in psutil.process_iter():
        if process.pid in spared:
            continue
        with contextlib.suppress(psutil.Error):
            if process.environ().get(variable) == value and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def end_group(leader_pid: int, *, grace_s: float, clock: Callable[[], float] = time.monotonic) -> None:
    """End a child's whole group: SIGTERM, then SIGKILL to whoever is left after `grace_s` seconds."""
    signal_group(leader_pid, signal.SIGTERM)
    give_up_at = clock() + grace_s
    while group_members(leader_pid):
        if clock() >= give_up_at:
            signal_group(leader_pid, signal.SIGKILL)
            return
        time.sleep(0.1)
