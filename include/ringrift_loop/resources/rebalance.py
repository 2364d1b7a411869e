"""One pass of resource control: the newest samples in, a decision for each machine out, each a row with its reason.

Hosts on one machine are one machine. What others use is told apart: the loop's own jobs, which no duty slows down, and
strangers, to whom the workers give way.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ringrift_loop.config import ResourceTargets
from ringrift_loop.errors import ConfigError
from ringrift_loop.json_value import JsonValue
from ringrift_loop.ledger import resources, utilization
from ringrift_loop.ledger.resources import HOLD, NO_DATA, SCALE_DOWN, SCALE_UP, DecisionRow
from ringrift_loop.ledger.utilization import SampleRow
from ringrift_loop.loop import Loop
from ringrift_loop.resources.bands import Band, Zone, cpu_band, gpu_band
from ringrift_loop.resources.control import MIN_DUTY, STALE_S, Controller, step
from ringrift_loop.resources.rate import OK, memory_factor, memory_status

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MachineSample:
    """What a machine did on average in one interval, percent of it."""

    machine: str
    hosts: tuple[str, ...]
    at: float
    cpu: float
    workers: float
    jobs: float
    memory: float
    duty: float
    gpu: float | None = None  # of its busiest GPU; None: it has none, or none tells
    gpu_memory: float | None = None  # of its fullest

    @property
    def strangers(self) -> float:
        """What is neither workers nor jobs of the loop."""
        return max(0.0, self.cpu - self.workers - self.jobs)


@dataclass(frozen=True)
class Rebalance:
    """What a pass decided."""

    decisions: tuple[DecisionRow, ...] = ()
    duties: Mapping[str, float] = field(default_factory=dict)  # host -> duty that holds

    def as_json(self) -> dict[str, JsonValue]:
        """The pass for logs and XCom."""
        return {
            "duties": dict(self.duties),
            "decisions": [
                {"machine": row.machine, "action": row.action, "duty": row.duty, "reason": row.reason}
                for row in self.decisions
            ],
        }


def rebalance(loop: Loop) -> Rebalance:
    """Decide on every machine that told something new, and on those that fell silent."""
    at = loop.clock()
    with loop.ledger.begin() as conn:
        samples = machine_samples(utilization.newest(utilization.since(conn, at - STALE_S)).values())
        held = resources.decisions(conn)
        made = [
            row
            for sample in samples
            if (row := decide(_targets_of(loop, sample), held.get(sample.machine), sample)) is not None
        ]
        told = {sample.machine for sample in samples}
        made += [_silent(row, at) for machine, row in held.items() if machine not in told and row.action != NO_DATA]
        for row in made:
            resources.decide(conn, row)
    holds = {**held, **{row.machine: row for row in made}}
    duties = {host: holds[sample.machine].duty for sample in samples for host in sample.hosts}
    return Rebalance(tuple(made), duties)


def _targets_of(loop: Loop, sample: MachineSample) -> ResourceTargets:
    """The loop's targets with those of the machine's hosts in their place; the loop's alone where they contradict."""
    common = loop.config.resource_targets
    hosts = [loop.inventory.hosts[name] for name in sample.hosts if name in loop.inventory.hosts]
    own: dict[str, Any] = {key: value for host in hosts for key, value in host.resource_targets.items()}
    targets = replace(common, **own)
    try:
        targets.check()
    except ConfigError as error:
        _log.warning("%s: the inventory's targets do not count: %s", ", ".join(sample.hosts), error)
        return common
    return targets


def machine_samples(rows: Iterable[SampleRow]) -> list[MachineSample]:
    """The newest samples of hosts taken together by machine, in the order of their ids."""
    by_machine: dict[str, list[SampleRow]] = {}
    for row in rows:
        by_machine.setdefault(row.machine, []).append(row)
    return [_together(machine, own) for machine, own in sorted(by_machine.items())]


def decide(targets: ResourceTargets, before: DecisionRow | None, sample: MachineSample) -> DecisionRow | None:
    """The decision on a machine's sample; None when that sample was decided on already.

    Args:
        targets: bands, gains and limits of this machine.
        before: what holds, with the controllers' state.
        sample: what the machine did.
    """
    states = {} if before is None else before.state
    cpu_state, gpu_state = _controller(states.get("cpu")), _controller(states.get("gpu"))
    if cpu_state.at is not None and sample.at <= cpu_state.at:
        return None
    band = cpu_band(targets)
    cpu = step(cpu_state, band, targets.pid, used=sample.cpu, own=sample.workers, at=sample.at, in_force=sample.duty)
    duty, limit, used = (1.0 if band.unlimited else cpu.duty), "CPU", sample.cpu
    gpu = gpu_state
    if sample.gpu is not None:
        gpus = gpu_band(targets)
        gpu = step(gpu_state, gpus, targets.pid, used=sample.gpu, own=sample.gpu, at=sample.at, in_force=sample.duty)
        if not gpus.unlimited and gpu.duty < duty:
            duty, limit, used, band = gpu.duty, "GPU", sample.gpu, gpus
    memory = memory_status(sample.gpu_memory, warning=targets.gpu_memory_warning, critical=targets.gpu_memory_critical)
    duty = max(MIN_DUTY, round(duty * memory_factor(memory), 3))
    # The controllers go on from what is in force.
    cpu, gpu = replace(cpu, duty=duty), replace(gpu, duty=duty)
    held = sample.duty if before is None else before.duty
    action = HOLD if abs(duty - held) < 0.005 else SCALE_UP if duty > held else SCALE_DOWN
    reason = _reason(sample, band, limit, used, memory, held, duty)
    state: dict[str, JsonValue] = {"cpu": asdict(cpu), "gpu": asdict(gpu)}
    inputs: dict[str, JsonValue] = {**asdict(sample), "hosts": list(sample.hosts), "band": asdict(band)}
    return DecisionRow(sample.machine, sample.at, action, duty, inputs, state, reason)


def _together(machine: str, rows: Sequence[SampleRow]) -> MachineSample:
    gpus = [gpu for row in rows for gpu in row.gpus]
    busy = [gpu.percent for gpu in gpus if gpu.percent is not None]
    full = [100.0 * gpu.memory_used_mib / gpu.memory_total_mib for gpu in gpus if gpu.memory_total_mib]
    cpu = sum(row.cpu for row in rows) / len(rows)
    return MachineSample(
        machine=machine,
        hosts=tuple(sorted(row.host for row in rows)),
        at=max(row.at for row in rows),
        cpu=cpu,
        workers=min(cpu, sum(row.workers for row in rows)),
        jobs=sum(row.jobs for row in rows) + max(row.control for row in rows),  # each host sees the same launch
        memory=max(row.memory for row in rows),
        duty=sum(row.duty for row in rows) / len(rows),
        gpu=max(busy, default=None),
        gpu_memory=max(full, default=None),
    )


def _silent(row: DecisionRow, at: float) -> DecisionRow:
    """A machine that says nothing keeps what it has: no data is no reason for more load."""
    reason = f"no sample for more than {STALE_S:.0f} s: the workers keep {row.duty:.0%} of their time"
    return replace(row, at=at, action=NO_DATA, inputs={}, reason=reason)


def _controller(state: JsonValue) -> Controller:
    return Controller(**state) if isinstance(state, dict) else Controller()  # type: ignore[arg-type]


def _reason(sample: MachineSample, band: Band, limit: str, used: float, memory: str, held: float, duty: float) -> str:
    zone = band.zone(used)
    place = {
        Zone.BELOW: f"below {band.low:.0f}%",
        Zone.OPTIMAL: f"within {band.low:.0f}-{band.high:.0f}%",
        Zone.ABOVE: f"above {band.high:.0f}%",
        Zone.CRITICAL: f"critical, above {band.critical:.0f}%",
    }[zone]
    said = f"{limit} {used:.0f}% is {place}"
    if band.unlimited:
        said = f"{limit} {used:.0f}%, which may be used whole"
    said += f" (strangers {sample.strangers:.0f}%, our jobs {sample.jobs:.0f}%, workers {sample.workers:.0f}%)"
    if memory != OK:
        said += f"; GPU memory {sample.gpu_memory:.0f}% is {memory}"
    if abs(duty - held) < 0.005:
        return f"{said}: the workers keep {duty:.0%} of their time"
    return f"{said}: the workers go from {held:.0%} to {duty:.0%} of their time"
