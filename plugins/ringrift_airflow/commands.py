"""Heavy work as a child process of the task: `ringrift-loop` with its arguments, watched until it ends.

The child has a session of its own and a lower priority; its talk goes to the task's log line by line, the last line of
its standard output is the JSON result. It is ended as a group when the task is cancelled, times out or dies.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import selectors
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from ringrift_airflow.settings import child_environment, loop_config, match_logins
from ringrift_loop.cluster.agent.job_failure import Ending, cause, error_of, memory_kills
from ringrift_loop.cluster.agent.job_supervisor import JOB_MEMORY_ADVICE
from ringrift_loop.errors import DataError, JobInterrupted, JobOutOfMemory, LoopError
from ringrift_loop.launcher.components import loop_command
from ringrift_loop.machine.failure import FAILURE_VARIABLE, Failure, read_failure
from ringrift_loop.machine.memory import MemoryWatch, job_limit
from ringrift_loop.machine.processes import end_group, spawn

_log = logging.getLogger(__name__)

NICE = 5
_MATCH_COMMANDS = (
    "shadow",
    "full-tournament",
    "regression-gate",
    "champion-gate",
)  # they may play on hosts, and log in there
GRACE_S = 5.0
_TAIL_BYTES = 8 * 1024
_MAX_LINE_BYTES = 64 * 1024
_MAX_RESULT_BYTES = 4 * 1024**2


def run_command(*arguments: str, verdict: bool = False) -> dict[str, Any]:
    """Run one `ringrift-loop` command to its end and give the JSON object it printed last.

    The time limit is the task's `execution_timeout`.

    Args:
        verdict: status 1 with a JSON result is an answer ("no"), not a failure; for the gates.

    Raises:
        LoopError: the one that ended the command, by its class.
        JobInterrupted: it was ended from outside, or the task was asked to stop.
        JobOutOfMemory: memory ran out, or the command used more than `resource_targets.job_memory_gb`.
        JobFaulty: it ended by itself with another failure.
        DataError: it succeeded, but its last line is no JSON object.
    """
    command, env = loop_command(*arguments), child_environment()
    memory_gb = loop_config().resource_targets.job_memory_gb
    logins = match_logins() if arguments[0] in _MATCH_COMMANDS else None
    if logins is None:
        return run_process(command, env=env, verdict=verdict, memory_gb=memory_gb)
    with _in_memory(logins) as descriptor:
        logged_in = (*command, "--logins", f"/proc/self/fd/{descriptor}")
        return run_process(logged_in, env=env, verdict=verdict, memory_gb=memory_gb, pass_fds=(descriptor,))


def run_process(
    command: tuple[str, ...],
    *,
    env: Mapping[str, str],
    verdict: bool = False,
    memory_gb: float = 0.0,
    pass_fds: Sequence[int] = (),
) -> dict[str, Any]:
    """`run_command` for any command line; `pass_fds` stay open in the child.

    With `memory_gb` 0, half of this machine's memory is its limit.
    """
    shown = " ".join(command[2:]) if command[1:2] == ("-m",) else " ".join(command)
    _log.info("starting %s", shown)
    started, kills = time.monotonic(), memory_kills()
    with tempfile.TemporaryDirectory(prefix="ringrift-command-") as folder:
        left = Path(folder) / "failure.json"
        said = {FAILURE_VARIABLE: str(left)}
        process = spawn(
            command,
            env={**env, **said},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            nice=NICE,
            pass_fds=pass_fds,
        )
        try:
            with _cancellation() as is_cancelled:
                memory = MemoryWatch(process.pid, job_limit(memory_gb))
                result, tail, excess = _follow(process, is_cancelled, memory)
                if excess is not None:
                    raise JobOutOfMemory(f"{shown} {excess}; {JOB_MEMORY_ADVICE}")
                if is_cancelled():
                    raise JobInterrupted(f"{shown} was ended because the task was asked to stop")
        finally:
            # Also after a command that ended: whatever it left in its group goes with it.
            end_group(process.pid, grace_s=GRACE_S)
            process.wait()
        failure = read_failure(left)
    _log.info("%s ended with status %d after %.1f s", shown, process.returncode, time.monotonic() - started)
    document = _parsed(result)
    if process.returncode == 0 and document is None:
        raise DataError(f"{shown} printed no JSON object as its last line, but {result[:200]!r}")
    if document is not None and (process.returncode == 0 or (verdict and process.returncode == 1 and failure is None)):
        return document
    ending = _ending(process.returncode, killed_for_memory=memory_kills() > kills)
    raise _error(shown, ending, failure, tail)


@contextlib.contextmanager
def _in_memory(data: bytes) -> Iterator[int]:
    """An open file without a name or a place on a disk, for what holds passwords."""
    with os.fdopen(os.memfd_create("ringrift-logins"), "wb") as file:
        file.write(data)
        file.flush()
        yield file.fileno()


def _ending(code: int, *, killed_for_memory: bool) -> Ending:
    """How a child of this process ended: a negative code is a signal's number."""
    return Ending(None, -code, killed_for_memory) if code < 0 else Ending(code, None, killed_for_memory)


def _error(shown: str, ending: Ending, failure: Failure | None, tail: bytes) -> LoopError:
    """Why the command failed; the loop's own error, where it left one."""
    if failure is not None and failure.is_own:
        return failure.as_error(f"{shown}: {failure.error}: {failure.message}")
    kind, message = cause(ending, failure, tail)
    said = tail.decode(errors="replace").strip() or "(nothing)"
    return error_of(kind, f"{shown}: {message}; the end of what it said:\n{said}")


def _parsed(line: bytes) -> dict[str, Any] | None:
    with contextlib.suppress(ValueError):
        document = json.loads(line)
        if isinstance(document, dict):
            return document
    return None


@contextlib.contextmanager
def _cancellation() -> Iterator[Callable[[], bool]]:
    """Notice SIGTERM for the time of the block; whoever handled it before is called as well.

    Airflow's own handler calls `on_kill` of the operator, which is empty for a plain function, and lets it run on.
    """
    cancelled = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield cancelled.is_set  # signals arrive in the main thread only; `dag.test()` may run tasks elsewhere
        return
    previous = signal.getsignal(signal.SIGTERM)

    def on_term(number: int, frame: FrameType | None) -> None:
        cancelled.set()
        if callable(previous):
            previous(number, frame)

    signal.signal(signal.SIGTERM, on_term)
    try:
        yield cancelled.is_set
    finally:
        signal.signal(signal.SIGTERM, previous)


class _Lines:
    """Cuts a stream of bytes into lines; a line that never ends is cut at 64 KiB (4 MiB for results)."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that are complete now; an empty `data` is the end of the stream."""
        if not data:
            rest, self._rest = self._rest, b""
            return [rest] if rest else []
        *lines, self._rest = (self._rest + data).split(b"\n")
        while len(self._rest) > self._max_bytes:
            lines.append(self._rest[: self._max_bytes])
            self._rest = self._rest[self._max_bytes :]
        return lines


def _follow(
    process: subprocess.Popen[bytes], is_cancelled: Callable[[], bool], memory: MemoryWatch
) -> tuple[bytes, bytes, str | None]:
    """Read both pipes until they close, the task is cancelled or the command uses too much memory.

    Returns:
        The last result line, the end of the talk, and how much memory was too much.
    """
    assert process.stdout is not None and process.stderr is not None
    result, tail = b"", b""
    cutters = {process.stdout: _Lines(_MAX_RESULT_BYTES), process.stderr: _Lines(_MAX_LINE_BYTES)}
    with selectors.DefaultSelector() as selector, process.stdout, process.stderr:
        for stream in cutters:
            selector.register(stream, selectors.EVENT_READ)
        while selector.get_map() and not is_cancelled():
            if (excess := memory.excess()) is not None:
                return result, tail, excess
            for key, _ in selector.select(timeout=0.5):
                data = os.read(key.fd, 65536)
                stream = process.stdout if key.fileobj is process.stdout else process.stderr
                for line in cutters[stream].feed(data):
                    if stream is process.stdout:
                        result = line or result
                    else:
                        tail = (tail + line + b"\n")[-_TAIL_BYTES:]
                        _log.info("%s", line.decode(errors="replace").rstrip())
                if not data:
                    selector.unregister(stream)
            if process.poll() is not None and not selector.select(timeout=0):
                break  # ended, pipes drained; a grandchild may still hold them open
        if not is_cancelled():
            process.wait()
    return result, tail, None
