"""One command on many hosts: a few dozen at once, a time limit for each, one result for each.

A host that fails is a result, never an exception: the caller sees all of them and whether there were enough.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from ringrift_loop.cluster.ssh import commands
from ringrift_loop.cluster.ssh.commands import LEAD_S
from ringrift_loop.cluster.ssh.connection import MAX_OUTPUT_BYTES, STDERR_TAIL_BYTES, Completed, SSHHost, tail, whole
from ringrift_loop.errors import ConfigError, HostUnreachable, LoopError, RemoteJobFailed
from ringrift_loop.hosts.inventory import LOCAL, Host
from ringrift_loop.text import aligned, clean, clean_lines

if TYPE_CHECKING:  # the ledger's package brings SQLAlchemy
    from ringrift_loop.json_value import JsonValue

HOSTS_AT_ONCE = 64  # more were no faster with 200 hosts
LIMIT_S = 60.0
_SHOWN = 4000  # characters of each stream in a result
OK, FAILED, TIMED_OUT, UNREACHABLE = "ok", "failed", "timed out", "unreachable"


@dataclass(frozen=True)
class HostResult:
    """What came of the command on one host."""

    host: str
    status: str  # OK, FAILED, TIMED_OUT or UNREACHABLE
    exit_status: int | None  # None when it is not known; never a success
    seconds: float
    stdout: str = ""  # the end of it
    stderr: str = ""
    error: str | None = None

    def as_json(self) -> dict[str, JsonValue]:
        """The result for logs and XCom."""
        return asdict(self) | {"seconds": round(self.seconds, 3)}


@dataclass(frozen=True)
class FanOutReport:
    """What came of the command on all hosts, in the order that they were given."""

    results: tuple[HostResult, ...]
    needed: int  # successes that were asked for

    @property
    def succeeded(self) -> list[str]:
        """The hosts where it ended with 0."""
        return [result.host for result in self.results if result.status == OK]

    @property
    def failed(self) -> list[str]:
        """The other hosts."""
        return [result.host for result in self.results if result.status != OK]

    @property
    def outcome(self) -> str:
        """`all`, `partial` (some failed, but enough did not) or `too few`."""
        if len(self.succeeded) < self.needed:
            return "too few"
        return "partial" if self.failed else "all"

    def as_json(self) -> dict[str, JsonValue]:
        """The report for logs and XCom."""
        return {
            "outcome": self.outcome,
            "needed": self.needed,
            "succeeded": list(self.succeeded),
            "failed": list(self.failed),
            "results": [result.as_json() for result in self.results],
        }

    def table(self) -> str:
        """One line a host, for people."""
        rows = [("host", "status", "exit", "seconds", "last words")]
        for result in self.results:
            words = (result.error or result.stderr or result.stdout).strip().rsplit("\n", 1)[-1]
            exit_status = "" if result.exit_status is None else str(result.exit_status)
            rows.append((result.host, result.status, exit_status, f"{result.seconds:.2f}", clean(words, 100)))
        return "\n".join(aligned(rows))


class Runner(Protocol):
    """A way to run a line of shell on one host; `ssh.SSHHost` is one."""

    async def run(
        self, line: str, *, stdin: bytes = b"", limit_s: float, max_bytes: int = MAX_OUTPUT_BYTES
    ) -> Completed:
        """Run it, whatever its exit status."""

    async def aclose(self) -> None:
        """Give back what is held."""


class Fleet:
    """The ways to some hosts, kept open from one fan-out to the next; within one event loop.

    A kept connection costs a fifth of the CPU of a new one.
    """

    def __init__(self, hosts: Sequence[Host]) -> None:
        self.hosts = tuple(hosts)
        self._runners: dict[str, Runner] = {}

    async def __aenter__(self) -> Fleet:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(runner.aclose() for runner in self._runners.values()))

    def runner(self, host: Host) -> Runner:
        """The way to a host, connected when it is first used."""
        if host.name not in self._runners:
            self._runners[host.name] = LocalShell(host.name) if host.transport == LOCAL else SSHHost(host)
        return self._runners[host.name]

    async def run(
        self,
        command: str | Sequence[str] | Callable[[Host], Sequence[str]],
        *,
        limit_s: float = LIMIT_S,
        at_once: int = HOSTS_AT_ONCE,
        min_success: int | float | None = None,
    ) -> FanOutReport:
        """Run a command on every host.

        Args:
            command: lines of POSIX sh, a list of words that it does not look into, or what makes such a list for a
                host; whatever the host's login shell is, and with an empty stdin.
            limit_s: wall clock for one host, connecting included; the command is ended there too.
            at_once: hosts at a time.
            min_success: how many must succeed: a number, or a share as a fraction below 1; None for all.

        Raises:
            ConfigError: a limit is out of its range.
        """
        return await self._run(command, limit_s, at_once, min_success, keep=True)

    async def _run(
        self,
        command: str | Sequence[str] | Callable[[Host], Sequence[str]],
        limit_s: float,
        at_once: int,
        min_success: int | float | None,
        *,
        keep: bool,
    ) -> FanOutReport:
        """`run`; without `keep` each connection ends with its command, while the other hosts are at work."""

        async def one(host: Host) -> HostResult:
            words = command(host) if callable(command) else command
            text = words if isinstance(words, str) else shlex.join(words)
            line = commands.bounded(commands.script(), limit_s - LEAD_S)
            work = self.runner(host).run(line, stdin=text.encode(), limit_s=limit_s)
            return await result_of(host.name, work, limit_s, _command_status)

        async def close(host: Host) -> None:
            await self.runner(host).aclose()

        after = None if keep else close
        return await on_each(self.hosts, one, limit_s=limit_s, at_once=at_once, min_success=min_success, after=after)


async def on_each(
    hosts: Sequence[Host],
    one: Callable[[Host], Awaitable[HostResult]],
    *,
    limit_s: float,
    at_once: int,
    min_success: int | float | None,
    after: Callable[[Host], Awaitable[None]] | None = None,
) -> FanOutReport:
    """Have something done for every host, a bounded number of them at a time; the arguments are `Fleet.run`'s.

    What comes `after` a host's part does not keep the next host waiting.

    Raises:
        ConfigError: a limit is out of its range.
    """
    needed = _needed(min_success, len(hosts))
    if limit_s <= LEAD_S or at_once < 1:
        raise ConfigError(f"a fan-out needs limit_s above {LEAD_S} and at_once from 1, got {limit_s}, {at_once}")
    gate = asyncio.Semaphore(at_once)

    async def gated(host: Host) -> HostResult:
        async with gate:
            result = await one(host)
        if after is not None:
            await after(host)
        return result

    return FanOutReport(tuple(await asyncio.gather(*map(gated, hosts))), needed)


def fan_out(
    hosts: Sequence[Host],
    command: str | Sequence[str] | Callable[[Host], Sequence[str]],
    *,
    limit_s: float = LIMIT_S,
    at_once: int = HOSTS_AT_ONCE,
    min_success: int | float | None = None,
) -> FanOutReport:
    """Connect, run a command on every host (`Fleet.run`), disconnect."""

    async def run() -> FanOutReport:
        async with Fleet(hosts) as fleet:
            return await fleet._run(command, limit_s, at_once, min_success, keep=False)

    return asyncio.run(run())


class LocalShell:
    """This machine in a host's place: a shell with a session of its own."""

    def __init__(self, name: str) -> None:
        self._name = name

    async def run(
        self, line: str, *, stdin: bytes = b"", limit_s: float, max_bytes: int = MAX_OUTPUT_BYTES
    ) -> Completed:
        """Run the line by /bin/sh; its whole session ends when the time is over."""
        return await run_here(self._name, ["/bin/sh", "-c", line], stdin=stdin, limit_s=limit_s, max_bytes=max_bytes)

    async def aclose(self) -> None:
        """Nothing is held."""


async def run_here(
    name: str, argv: Sequence[str], *, stdin: bytes = b"", limit_s: float, max_bytes: int = MAX_OUTPUT_BYTES
) -> Completed:
    """Run a program of this machine on behalf of a host; its whole session ends when the time is over.

    Raises:
        RemoteJobFailed: it did not end in time, or a signal ended it.
        DataError: it said too much.
    """
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(limit_s):
            assert process.stdout is not None
            assert process.stderr is not None
            stdout, stderr, _ = await asyncio.gather(
                whole(process.stdout, max_bytes, name),
                tail(process.stderr, STDERR_TAIL_BYTES),
                _feed(process, stdin),
            )
            await process.wait()
    except TimeoutError:
        raise RemoteJobFailed(f"{name}: the command did not end within {limit_s:g} s") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    assert process.returncode is not None
    if process.returncode < 0:
        raise RemoteJobFailed(f"{name}: the command was ended by signal {-process.returncode}")
    return Completed(process.returncode, stdout, stderr)


async def _feed(process: asyncio.subprocess.Process, stdin: bytes) -> None:
    """Hand over all and close; a program that reads no further shows in its exit status."""
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(stdin)
        await process.stdin.drain()
    process.stdin.close()


# What `timeout` on the host answers for a command that it ended: 137 when SIGTERM was not enough.
_ENDED: Mapping[int, str] = {124: "by SIGTERM", 137: "by SIGKILL"}


async def result_of(
    name: str,
    work: Awaitable[Completed],
    limit_s: float,
    judge: Callable[[Completed, float, float], tuple[str, str | None]],
) -> HostResult:
    """Wait for what runs for one host and say how it went.

    Args:
        name: the host's.
        work: raises the loop's own errors, or ends with an exit status.
        limit_s: wall clock that it has; whatever raises `RemoteJobFailed` later than that was too slow.
        judge: status and sentence for how it ended, the seconds it took and the limit.
    """
    started = time.monotonic()
    try:
        done = await work
    except (LoopError, OSError) as error:
        seconds = time.monotonic() - started
        status = UNREACHABLE if isinstance(error, HostUnreachable) else FAILED
        if isinstance(error, RemoteJobFailed) and seconds >= limit_s:
            status = TIMED_OUT
        return HostResult(name, status, None, seconds, error=str(error) or type(error).__name__)
    seconds = time.monotonic() - started
    status, sentence = judge(done, seconds, limit_s)
    return HostResult(name, status, done.exit_status, seconds, _end(done.stdout), _end(done.stderr), sentence)


def _command_status(done: Completed, seconds: float, limit_s: float) -> tuple[str, str | None]:
    if done.exit_status in _ENDED and seconds >= limit_s - LEAD_S:
        return TIMED_OUT, f"ended {_ENDED[done.exit_status]} after {limit_s - LEAD_S:g} s"
    return (OK if done.exit_status == 0 else FAILED), None


def _needed(min_success: int | float | None, hosts: int) -> int:
    if min_success is None:
        return hosts
    if isinstance(min_success, float) and 0 < min_success < 1:
        return max(1, -(-round(min_success * hosts * 1000) // 1000))  # rounded up
    if min_success != int(min_success) or not 0 <= min_success <= hosts:
        raise ConfigError(
            f"min_success is a number of hosts up to {hosts}, or a fraction between 0 and 1, got {min_success}"
        )
    return int(min_success)


def _end(raw: bytes) -> str:
    return clean_lines(raw.decode("utf-8", "replace"), _SHOWN)
