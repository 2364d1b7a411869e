"""The supervisor of one detached job: `ringrift-loop host run-job`, a session of its own on the host.

It starts the job, waits, and writes down how it ended. It ends the job when it is told to, when the time is over, when
it uses more memory than it may, and when the coordinator has not asked for `fence_s`: by then another host may have
been given the work. The job dies with
its supervisor, by the kernel; whatever else it started carries a token in its environment and is found by that.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from ringrift_loop.checked_json import line
from ringrift_loop.cluster.agent.job_failure import Ending, classify, log_tail, memory_kills
from ringrift_loop.cluster.agent.job_record import (
    CODE,
    OUT_OF_MEMORY,
    RETRYABLE,
    JobExit,
    JobFailure,
    JobSpec,
    spec_from_bytes,
)
from ringrift_loop.cluster.agent.workers import clean_environment
from ringrift_loop.errors import ConfigError, DataError
from ringrift_loop.layout import HostDirectory, JobFolder
from ringrift_loop.machine.failure import FAILURE_VARIABLE
from ringrift_loop.machine.files import write_whole
from ringrift_loop.machine.giving_way import ROOM_VARIABLE
from ringrift_loop.machine.memory import MemoryWatch, job_limit
from ringrift_loop.machine.processes import (
    ProcessRecord,
    end_group,
    kill_marked,
    marked_processes,
    process_start,
    signal_group,
    spawn,
)
from ringrift_loop.selfplay.pace import read_allowance

GRACE_S = 5.0  # between SIGTERM and SIGKILL
OUTPUT_LIMIT_BYTES = 64 << 20  # of stdout and of stderr
JOB_MEMORY_ADVICE = "give it less to do at once, or raise resource_targets.job_memory_gb"
_LOOK_S = 0.5
_TOKEN = "RINGRIFT_JOB_TOKEN"


@dataclass(frozen=True)
class Supervisor(ProcessRecord):
    """The supervisor's process as written down before the job starts."""

    token: str  # in the environment of everything that the job starts


def supervise_job(host_dir: HostDirectory, job_id: str, lock: int | None = None) -> None:
    """Run a job to its end, in this process.

    Args:
        host_dir: the host's root folder.
        job_id: a job whose spec is written.
        lock: the open lock file of whoever started this; released once the job's process is on record.

    Raises:
        ConfigError: this is not Linux.
    """
    if sys.platform != "linux":
        raise ConfigError(f"detached jobs need Linux, this is {sys.platform}")
    folder = host_dir.job(job_id)
    spec = spec_from_bytes(folder.spec.read_bytes())
    # Both are waited for below, by name; the job's own process gets a clean mask.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGCHLD})
    token = secrets.token_hex(16)
    Supervisor(os.getpid(), process_start(os.getpid()) or "", token).write(folder.process)
    kills = memory_kills()
    try:
        process = _start(host_dir, folder, spec, token)
    except OSError as error:
        _write_exit(folder, Ending(), JobFailure(CODE, f"{spec.command[0]} does not start: {error}", "start"))
        return
    finally:
        if lock is not None:
            os.close(lock)
    cut_off = _wait(folder, spec, process)
    if cut_off is not None:
        end_group(process.pid, grace_s=GRACE_S)
    # What the job left running goes with it; its own process is not reaped yet, so its group is still its own.
    signal_group(process.pid, signal.SIGKILL)
    end_marked(token)
    code = process.wait()
    ending = Ending(code if code >= 0 else None, -code if code < 0 else None, memory_kills() > kills)
    if cut_off is None:
        _write_exit(folder, ending, classify(folder, ending))
        return
    kind, message = cut_off
    stderr = log_tail(folder).decode("utf-8", "replace")
    for file in _outputs(folder):
        os.truncate(file, min(file.stat().st_size, OUTPUT_LIMIT_BYTES))
    _write_exit(folder, ending, JobFailure(kind, message, "run", ending.exit_status, ending.signal, stderr))


def end_marked(token: str) -> None:
    """Kill every process that carries a job's token."""
    if kill_marked(_TOKEN, token) and marked_processes(_TOKEN, token):
        raise DataError(
            "processes of a job cannot be ended: they wait in the kernel, or start others faster than we look"
        )


def renew(folder: JobFolder) -> None:
    """Note that the coordinator asked: the file's time, by the clock that no change of the date moves.

    A time and no content: it can be set on a full disk too.
    """
    now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    if not folder.renewed.exists():
        folder.renewed.touch()
    os.utime(folder.renewed, ns=(now, now))


def _write_exit(folder: JobFolder, ending: Ending, failure: JobFailure | None) -> None:
    cancelled = folder.cancelled.exists() and failure is not None
    write_whole(folder.exit, line(JobExit(cancelled, failure, ending.exit_status, ending.signal)))


def _start(host_dir: HostDirectory, folder: JobFolder, spec: JobSpec, token: str) -> subprocess.Popen[bytes]:
    for made in (folder.input, folder.output):
        made.mkdir(exist_ok=True)
    # Found beside this program first, so that a job's `ringrift-loop` is this very one.
    environment = clean_environment()
    environment |= {
        "PATH": f"{Path(sys.executable).parent}:{environment.get('PATH', os.defpath)}",
        "PYTHONUNBUFFERED": "1",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",  # the order in which nvidia-smi counts
        "CUDA_VISIBLE_DEVICES": ",".join(map(str, spec.gpus)),
        FAILURE_VARIABLE: str(folder.failure),
        ROOM_VARIABLE: str(_room(host_dir)),
        _TOKEN: token,
    }
    with folder.log.open("wb") as log, folder.stdout.open("wb") as stdout:
        return spawn(
            _words(host_dir, folder, spec),
            cwd=str(folder.root),
            env=environment,
            stdout=stdout,
            stderr=log,
            death_signal=signal.SIGKILL,
        )


def _room(host_dir: HostDirectory) -> float:
    """What strangers, workers and jobs may use together, percent of the machine."""
    try:
        room = read_allowance(host_dir).room
    except DataError:  # the workers say what is wrong with it
        room = None
    return 100.0 if room is None else room


def _words(host_dir: HostDirectory, folder: JobFolder, spec: JobSpec) -> list[str]:
    paths = {"{input}": folder.input, "{output}": folder.output, "{root}": host_dir.root}
    words = []
    for word in spec.command:
        for token, path in paths.items():
            word = word.replace(token, str(path))
        words.append(word)
    return words


def _wait(folder: JobFolder, spec: JobSpec, process: subprocess.Popen[bytes]) -> tuple[str, str] | None:
    """Until the job's process has ended (not reaped yet): None. Else why it must end now: class and message."""
    over = _now() + spec.limit_s
    memory = MemoryWatch(process.pid, job_limit(spec.memory_gb))
    while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        received = signal.sigtimedwait({signal.SIGTERM, signal.SIGCHLD}, _LOOK_S)
        if received is not None and received.si_signo == signal.SIGTERM:
            if folder.cancelled.exists():
                return CODE, "it was cancelled"
            return RETRYABLE, "its supervisor was asked to end from outside, as at a shutdown of the host"
        if _now() > over:
            return CODE, f"it did not end within its limit of {spec.limit_s:g} s"
        if (excess := memory.excess()) is not None:
            return OUT_OF_MEMORY, f"it {excess}; {JOB_MEMORY_ADVICE}"
        if any(file.stat().st_size > OUTPUT_LIMIT_BYTES for file in _outputs(folder)):
            return CODE, f"it printed more than {OUTPUT_LIMIT_BYTES >> 20} MiB; results belong in its output folder"
        silent = _now() - folder.renewed.stat().st_mtime
        if silent > spec.fence_s:
            return RETRYABLE, f"the coordinator did not ask for {silent:.0f} s, so that it may run elsewhere by now"
    return None


def _outputs(folder: JobFolder) -> tuple[Path, Path]:
    return folder.log, folder.stdout


def _now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
