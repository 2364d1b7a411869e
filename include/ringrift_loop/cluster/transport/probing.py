"""Asking hosts what they are: a probe in one round trip, and what a sync would find, on the same connection.

A host that cannot be asked is a result like any other. The skew of its clock is its time against the middle of the
round trip, known to half the round trip.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from ringrift_loop.cluster.agent import wire
from ringrift_loop.cluster.agent.actions import REPORT
from ringrift_loop.cluster.agent.probe import MAX_BYTES, HostFacts, facts_from_shell, host_facts
from ringrift_loop.cluster.agent.report import HostReport, ReportRequest
from ringrift_loop.cluster.agent.requests import Nothing
from ringrift_loop.cluster.ssh import commands
from ringrift_loop.cluster.ssh.connection import SSHHost
from ringrift_loop.cluster.transport.local import LocalTransport
from ringrift_loop.cluster.transport.opening import HOSTS_AT_ONCE, local_directory
from ringrift_loop.cluster.transport.remote import SSHTransport
from ringrift_loop.cluster.transport.turns import host_failure
from ringrift_loop.errors import DataError, HostUnreachable, LoopError, RemoteJobFailed
from ringrift_loop.hosts.inventory import LOCAL, Host
from ringrift_loop.layout import RunDirectory

HOST_LIMIT_S = 30.0  # wall clock for one host, both questions
_SHOWN = 500  # of what a program complained of


@dataclass(frozen=True)
class Probe:
    """What came of asking a host; `error` or `facts`, and in `report_error` or `report` what a sync would meet."""

    host: Host
    seconds: float
    facts: HostFacts | None = None
    error: LoopError | OSError | None = None
    said: str = ""  # what the program complained of
    skew_s: float = 0.0  # above 0: the host's clock is ahead
    uncertainty_s: float = 0.0
    report: HostReport | None = None
    report_error: LoopError | OSError | None = None


def probe_hosts(hosts: Sequence[Host], directory: RunDirectory, *, limit_s: float = HOST_LIMIT_S) -> list[Probe]:
    """Ask all hosts, some at once; never raises what a host can cause.

    Args:
        hosts: whom to ask; the results come in this order.
        directory: the run directory, below which local hosts may live.
        limit_s: wall clock for one host.
    """

    async def ask_all() -> list[Probe]:
        gate = asyncio.Semaphore(HOSTS_AT_ONCE)

        async def one(host: Host) -> Probe:
            async with gate:
                started = time.monotonic()
                try:
                    async with asyncio.timeout(limit_s):
                        return await (_local(host, directory) if host.transport == LOCAL else _by_ssh(host, limit_s))
                except TimeoutError:
                    late = HostUnreachable(f"{host.name} ({host.address}) did not finish within {limit_s:g} s")
                    return Probe(host, time.monotonic() - started, error=late)
                except Exception as error:  # noqa: BLE001 - see turns.py
                    return Probe(host, time.monotonic() - started, error=host_failure(host.name, error))

        return list(await asyncio.gather(*map(one, hosts)))

    return asyncio.run(ask_all())


async def _local(host: Host, directory: RunDirectory) -> Probe:
    """A host that is a folder of this machine: this very program, this very clock."""
    started = time.monotonic()
    folder = local_directory(host, directory)
    facts = await asyncio.to_thread(host_facts, folder.root)
    report = await LocalTransport(folder).call(REPORT, ReportRequest())
    return Probe(host, time.monotonic() - started, facts=facts, report=report)


async def _by_ssh(host: Host, limit_s: float) -> Probe:
    remote = SSHHost(host)
    try:
        before, started = time.time(), time.monotonic()
        ours, shells = wire.new_token(), wire.new_token()
        script = commands.probe_script(host, wire.request_line(Nothing(), ours), *wire.marks(shells))
        line = commands.bounded(commands.script(), limit_s - commands.LEAD_S)
        done = await remote.run(line, stdin=script, limit_s=limit_s, max_bytes=MAX_BYTES)
        seconds = time.monotonic() - started
        said = done.said[-_SHOWN:]
        if done.exit_status != 0:
            raise RemoteJobFailed(f"{host.name}: the probe ended with exit status {done.exit_status}: {said}")
        try:
            if wire.marks(shells)[0].encode() in done.stdout:
                facts = facts_from_shell(wire.between_marks(done.stdout, shells).decode("utf-8", "replace"))
            else:
                facts = wire.read_answer(done.stdout, ours, HostFacts)
        except DataError as error:
            return Probe(host, seconds, error=error, said=said)
        skew = 0.0 if facts.clock is None else facts.clock - (before + seconds / 2)
        report, report_error = await _report(remote) if facts.whole else (None, None)
        uncertainty = seconds / 2 + (0.0 if facts.whole else 0.5)  # the shell tells whole seconds
        return Probe(host, seconds, facts, None, said, skew, uncertainty, report, report_error)
    finally:
        await remote.aclose()


async def _report(remote: SSHHost) -> tuple[HostReport | None, LoopError | OSError | None]:
    """What a sync would be told; nothing is fetched or deleted."""
    try:
        return await SSHTransport(remote, owned=False).call(REPORT, ReportRequest()), None
    except Exception as error:  # noqa: BLE001 - see turns.py
        return None, host_failure(remote.host.name, error)
