"""This version of the program to the hosts: examined, planned, shown, installed beside the old one, switched to.

What runs on a host is not touched before the new installation stands and has answered: the old one plays on while pip
works, its workers are drained by the new program, and a link moved by a rename puts that in use. Any step may be cut
off or fail; the next deployment does what is missing. A host that fails stops no other.
"""

from __future__ import annotations

import abc
import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

from ringrift_loop.checked_json import line
from ringrift_loop.cluster.agent.actions import REPORT, SETTINGS, START_WORKER, STOP_WORKER
from ringrift_loop.cluster.agent.report import ReportRequest, WorkerReport
from ringrift_loop.cluster.agent.requests import StartWorker, StopWorker
from ringrift_loop.cluster.selfplay.supervise import DRAIN_LIMIT_S
from ringrift_loop.cluster.ssh import commands
from ringrift_loop.cluster.ssh.connection import SSHHost
from ringrift_loop.cluster.ssh.fan_out import FAILED, OK, UNREACHABLE, FanOutReport, HostResult
from ringrift_loop.cluster.transport.remote import SSHTransport
from ringrift_loop.config import Selfplay
from ringrift_loop.config.leaves import plain_section
from ringrift_loop.config.schema import VARIANT_NAMES
from ringrift_loop.deployment import units
from ringrift_loop.deployment.plan import Found, HostPlan, Wish, installed_record, make_plan, parse_found
from ringrift_loop.deployment.release import CONSTRAINTS, Release
from ringrift_loop.deployment.step import Coordinator, change_units, install, run_step
from ringrift_loop.errors import DataError, HostUnreachable, LoopError, RemoteJobFailed
from ringrift_loop.hosts.inventory import SELFPLAY, SSH, Host
from ringrift_loop.json_value import JsonValue
from ringrift_loop.selfplay.host_settings import HostSettings
from ringrift_loop.text import clean_lines

_log = logging.getLogger(__name__)

_MAX_LINE = 4000  # of the plan

HOSTS_AT_ONCE = 16
SEND_LIMIT_S = 300.0
COMPILE_LIMIT_S = 1800.0
BUILD_LIMIT_S = 3600.0  # pip fetches some gigabytes for a training host
_DRAIN_POLL_S = 1.0


@dataclass(frozen=True)
class Means:
    """How it is done; the defaults are for real machines."""

    pip_arguments: tuple[str, ...] = ()  # more options for `pip install`
    unit_dir: str = units.UNIT_DIR
    compile_engine: bool = True  # on hosts that play, before they change over


@dataclass(frozen=True)
class Deployment:
    """What is deployed, and how."""

    release: Release
    wish: Wish
    variants: tuple[str, ...]  # that the loop plays
    selfplay_unit: str  # text of the self-play unit as it lies in the project
    selfplay: Selfplay  # of workers that are started again
    means: Means = Means()


@dataclass(frozen=True)
class DeployReport:
    """What was planned, and what came of it."""

    lines: tuple[str, ...]  # the plan, one for each host
    results: tuple[HostResult, ...]  # after a dry run only those of hosts that could not be planned for
    dry_run: bool

    @property
    def failed(self) -> list[str]:
        """The hosts that are not as they should be."""
        return [result.host for result in self.results if result.status != OK]

    def table(self) -> str:
        """One line a host, for people."""
        return FanOutReport(self.results, len(self.results)).table()

    def as_json(self) -> dict[str, JsonValue]:
        """The report for logs and XCom."""
        return {
            "dry_run": self.dry_run,
            "plan": list(self.lines),
            "failed": list(self.failed),
            "results": [result.as_json() for result in self.results],
        }


def deploy(
    hosts: Sequence[Host],
    deployment: Deployment,
    *,
    dry_run: bool,
    say: Callable[[str], None] = _log.info,
    tell: Callable[[int, int], None] = lambda done, total: None,
    coordinator: Coordinator | None = None,
) -> DeployReport:
    """Bring hosts to this version.

    Args:
        hosts: those reached by SSH are deployed to; others run this machine's own installation.
        deployment: what.
        dry_run: stop after the plan.
        say: is given the plan line by line before anything is done.
        tell: is told of how many machines the work is done, and of how many of them, first that it is none.
        coordinator: this machine's own unit, when that is to be seen to as well.
    """
    return asyncio.run(_deploy(hosts, deployment, dry_run, say, tell, coordinator))


async def _deploy(
    hosts: Sequence[Host],
    deployment: Deployment,
    dry_run: bool,
    say: Callable[[str], None],
    tell: Callable[[int, int], None],
    coordinator: Coordinator | None,
) -> DeployReport:
    gate = asyncio.Semaphore(HOSTS_AT_ONCE)
    async with AsyncExitStack() as stack:
        parts: list[_Part] = []
        for host in hosts:
            if host.transport == SSH:
                part = _HostPart(SSHHost(host), deployment)
                stack.push_async_callback(part.remote.aclose)
                parts.append(part)
        if coordinator is not None:
            parts.append(_CoordinatorPart(coordinator, deployment.wish))
        await asyncio.gather(*(part.attempt(part.look, gate) for part in parts))
        lines = [f"{host.name}: this machine's own installation" for host in hosts if host.transport != SSH]
        lines += [part.line() for part in parts]
        for line in lines:
            say(clean_lines(line, _MAX_LINE))
        if not dry_run:
            ready = [part for part in parts if part.failure is None]
            if ready:
                tell(0, len(ready))
            steps = [part.attempt(part.carry_out, gate) for part in ready]
            for done, step in enumerate(asyncio.as_completed(steps), 1):
                await step
                tell(done, len(ready))
    results = tuple(part.result() for part in parts if part.failure is not None or not dry_run)
    return DeployReport(tuple(lines), results, dry_run)


class _Part(abc.ABC):
    """One machine's part of a deployment."""

    name: str
    plan: HostPlan

    def __init__(self) -> None:
        self.failure: HostResult | None = None
        self._seconds = 0.0

    @abc.abstractmethod
    async def look(self) -> None:
        """See what is there, and plan."""

    @abc.abstractmethod
    async def carry_out(self) -> None:
        """Do what was planned."""

    async def attempt(self, step: Callable[[], Awaitable[None]], gate: asyncio.Semaphore) -> None:
        """Do a step when it is this machine's turn; what goes wrong is its result."""
        async with gate:
            started = time.monotonic()
            try:
                await step()
            except (LoopError, OSError) as error:
                status = UNREACHABLE if isinstance(error, HostUnreachable) else FAILED
                message = str(error) or type(error).__name__
                self.failure = HostResult(self.name, status, None, 0.0, error=message)
            self._seconds += time.monotonic() - started

    def line(self) -> str:
        """The plan for people."""
        return self.plan.line() if self.failure is None else f"{self.name}: {self.failure.error}"

    def result(self) -> HostResult:
        """What came of it."""
        if self.failure is not None:
            return replace(self.failure, seconds=self._seconds)
        return HostResult(self.name, OK, 0, self._seconds, stdout="; ".join(self.plan.steps) or "up to date")


class _CoordinatorPart(_Part):
    def __init__(self, coordinator: Coordinator, wish: Wish) -> None:
        super().__init__()
        self.name, self._coordinator, self._wish = coordinator.host.name, coordinator, wish

    async def look(self) -> None:
        self.plan = await self._coordinator.plan(self._wish)

    async def carry_out(self) -> None:
        await self._coordinator.carry_out(self.plan)


class _HostPart(_Part):
    _found: Found

    def __init__(self, remote: SSHHost, deployment: Deployment) -> None:
        super().__init__()
        self.name, self.remote, self._host = remote.host.name, remote, remote.host
        self._deployment = deployment

    async def look(self) -> None:
        deployment = self._deployment
        options = ["--unit-dir", deployment.means.unit_dir, "--unit", units.SELFPLAY_TEMPLATE]
        for variant in VARIANT_NAMES:
            options += ["--instance", units.instance(variant)]
        self._found = parse_found(await install(self.remote, self._host, "probe", *options), self._host)
        workers = await self._workers() if self._found.link else ()
        self.plan = make_plan(
            self._host,
            self._found,
            workers,
            deployment.release,
            deployment.wish,
            template=deployment.selfplay_unit,
            variants=deployment.variants,
        )

    async def carry_out(self) -> None:
        plan, host = self.plan, self._host
        new = replace(host, remote_path=f"{self._found.path}/venvs/{plan.key}")
        if plan.install:
            await self._install()
            await self._handshake(new)
            if SELFPLAY in host.roles and self._deployment.means.compile_engine:
                await run_step(self.remote, self.name, commands.compile_engine(new), limit_s=COMPILE_LIMIT_S)
        drained = await self._drain(new) if plan.install or plan.restart else []
        if plan.install:
            record = line(installed_record(self._deployment.release, plan.extras))
            await install(self.remote, host, "switch", "--key", plan.key, content=record)
            await self._handshake(host)
        transport = SSHTransport(self.remote)
        if plan.hot_reload is not None:
            await transport.call(SETTINGS, HostSettings(plan.hot_reload))
        if plan.restart:
            settings = plain_section(self._deployment.selfplay)
            for slot in drained:
                await transport.call(START_WORKER, StartWorker(self.name, slot, settings))
        await change_units(self.remote, host, plan, self._deployment.means.unit_dir)

    async def _workers(self) -> Sequence[WorkerReport]:
        """The loop's workers, as far as the program that is there can tell; the new one looks again."""
        try:
            return (await SSHTransport(self.remote).call(REPORT, ReportRequest())).workers
        except (DataError, RemoteJobFailed) as error:
            _log.info("%s: the installed program gives no report: %s", self.name, error)
            return ()

    async def _install(self) -> None:
        """Ship the files under their digests, and build the new installation beside the old one."""
        release, key = self._deployment.release, self.plan.key
        for path, name, digest in (
            (release.wheel, release.wheel.name, release.wheel_sha256),
            (release.constraints, CONSTRAINTS, release.constraints_sha256),
        ):
            content = await asyncio.to_thread(path.read_bytes)
            options = ["--key", key, "--name", name, "--sha256", digest, "--size", str(len(content))]
            await install(self.remote, self._host, "receive", *options, content=content, limit_s=SEND_LIMIT_S)
        options = ["--key", key, "--name", release.wheel.name, *(f"--extra={extra}" for extra in self.plan.extras)]
        options += [f"--pip-argument={argument}" for argument in self._deployment.means.pip_arguments]
        await install(self.remote, self._host, "build", *options, limit_s=BUILD_LIMIT_S)

    async def _handshake(self, host: Host) -> None:
        """The program answers, and is what was installed.

        Raises:
            RemoteJobFailed: it does not, or is another.
        """
        wanted = self._deployment.release.version
        report = await SSHTransport(self.remote, host=host).call(REPORT, ReportRequest())
        if report.version != wanted:
            raise RemoteJobFailed(f"{self.name}: {wanted} was installed, but {report.version} answers")

    async def _drain(self, host: Host) -> list[int]:
        """Let the loop's workers seal their games and end; returns their slots.

        Raises:
            RemoteJobFailed: one goes on; nothing was replaced.
        """
        transport = SSHTransport(self.remote, host=host)
        asked: list[int] = []
        give_up = time.monotonic() + DRAIN_LIMIT_S
        while alive := [one for one in (await transport.call(REPORT, ReportRequest())).workers if one.alive]:
            if time.monotonic() > give_up:
                slots = ", ".join(f"{self.name}/{one.slot}" for one in alive)
                raise RemoteJobFailed(f"{slots} did not end within {DRAIN_LIMIT_S:.0f} s; nothing was replaced")
            for one in alive:
                if one.slot not in asked:
                    await transport.call(STOP_WORKER, StopWorker(one.slot))
                    asked.append(one.slot)
            await asyncio.sleep(_DRAIN_POLL_S)
        return asked
