"""Telling hosts what their workers may use of their machine, as `resources.rebalance` decided."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path

from ringrift_loop.checked_json import convert
from ringrift_loop.cluster.agent.actions import PACE
from ringrift_loop.cluster.transport.opening import HOSTS_AT_ONCE, Transports, open_transport
from ringrift_loop.errors import DataError, LoopError
from ringrift_loop.hosts.inventory import Host
from ringrift_loop.json_value import JsonValue
from ringrift_loop.ledger import utilization
from ringrift_loop.ledger.resources import SCALE_DOWN, SCALE_UP
from ringrift_loop.ledger.utilization import SampleRow
from ringrift_loop.loop import Loop
from ringrift_loop.machine.utilization import disk_percent
from ringrift_loop.resources.api import selfplay_weights, utilization_status
from ringrift_loop.resources.control import STALE_S
from ringrift_loop.resources.rebalance import Rebalance, rebalance
from ringrift_loop.selfplay.pace import Allowance

_log = logging.getLogger(__name__)

HOST_LIMIT_S = 15.0  # wall clock for one host; the next pass tries again


@dataclass(frozen=True)
class PacingReport:
    """What was decided, and which hosts were told."""

    rebalance: Rebalance
    told: tuple[str, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, JsonValue]:
        """The report for logs and XCom."""
        return {**self.rebalance.as_json(), "told": list(self.told), "failed": dict(self.failed)}


def rebalance_and_tell(
    loop: Loop, *, transports: Transports = open_transport, disk: Callable[[Path], float] = disk_percent
) -> PacingReport:
    """Decide on every machine, then tell the hosts whose workers were told otherwise when they were seen last.

    Level-triggered: a host that could not be told is told in the next pass.
    """
    done = rebalance(loop, disk=disk)
    with loop.ledger.read() as conn:
        newest = utilization.newest(utilization.since(conn, loop.clock() - STALE_S))
    wrong = {
        name: allowance
        for name, allowance in done.allowances.items()
        if name in loop.inventory.hosts and not _has(newest[name], allowance)
    }
    failed = asyncio.run(_tell(loop, wrong, transports))
    _emit(loop, done)
    return PacingReport(done, tuple(sorted(wrong.keys() - failed.keys())), failed)


_ACTIONS = {SCALE_UP: 1.0, SCALE_DOWN: -1.0}
_MEMORY = {"ok": 0.0, "warning": 1.0, "critical": 2.0}


def _emit(loop: Loop, done: Rebalance) -> None:
    """Send what is known; no figure is made up for what no machine told."""
    status, metrics = utilization_status(loop), loop.metrics
    if status["cpu_util"] is not None:
        metrics.gauge("ringrift_cluster_cpu_utilization_percent", status["cpu_util"])
        metrics.gauge("ringrift_cpu_in_target_range", float(status["cpu"]["status"] == "optimal"))
    if status["gpu_util"] is not None:
        metrics.gauge("ringrift_cluster_gpu_utilization_percent", status["gpu_util"])
        metrics.gauge("ringrift_gpu_in_target_range", float(status["gpu"]["status"] == "optimal"))
    if status["gpu_memory_util"] is not None:
        metrics.gauge("ringrift_cluster_gpu_memory_utilization", status["gpu_memory_util"])
    metrics.gauge("ringrift_gpu_memory_status", _MEMORY[status["gpu_memory"]["status"]])
    metrics.gauge("ringrift_optimization_action", sum(_ACTIONS.get(row.action, 0.0) for row in done.decisions))
    metrics.gauge("ringrift_selfplay_rate_per_hour", float(status["current_rate"]))
    with loop.ledger.read() as conn:
        weights = selfplay_weights(conn, loop.config)
    for variant, weight in weights.items():
        metrics.gauge("ringrift_config_weight", weight, config=variant)
    playing = [host.name for host in loop.inventory.hosts.values() if host.slots]
    metrics.gauge("ringrift_cluster_backpressure_factor", done.pressure.factor(playing))
    metrics.gauge("ringrift_workers_resting", float(done.resting))
    for host, allowance in done.allowances.items():
        metrics.gauge("ringrift_worker_duty", allowance.duty, host=host)


def _has(sample: SampleRow, wanted: Allowance) -> bool:
    """Whether the host's workers keep to it already, or as good as that."""
    try:
        return convert(sample.allowance, Allowance, "an allowance").serves(wanted)
    except DataError:
        return False


async def _tell(loop: Loop, allowances: Mapping[str, Allowance], transports: Transports) -> dict[str, str]:
    gate = asyncio.Semaphore(HOSTS_AT_ONCE)

    async def one(host: Host) -> str | None:
        try:
            async with gate, asyncio.timeout(HOST_LIMIT_S), aclosing(transports(host, loop.directory)) as transport:
                await transport.call(PACE, allowances[host.name])
        except (LoopError, OSError) as error:  # TimeoutError is an OSError
            _log.warning("%s is not told what its workers may use: %s", host.name, error)
            return str(error) or type(error).__name__
        return None

    hosts = [loop.inventory.hosts[name] for name in allowances]
    problems = await asyncio.gather(*map(one, hosts))
    return {host.name: problem for host, problem in zip(hosts, problems, strict=True) if problem is not None}
