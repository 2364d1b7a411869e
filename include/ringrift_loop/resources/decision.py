"""One machine's decision: what it did, and what else holds its workers back, in; a duty and whole workers out.

Hosts on one machine are one machine. What others use is told apart: the loop's own jobs, which no duty slows down, and
strangers, to whom the workers give way. Pure functions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeVar

from ringrift_loop.checked_json import convert
from ringrift_loop.config import ResourceTargets
from ringrift_loop.json_value import JsonValue
from ringrift_loop.ledger.resources import HOLD, SCALE_DOWN, SCALE_UP, DecisionRow
from ringrift_loop.ledger.utilization import SampleRow
from ringrift_loop.resources.bands import Band, Zone, cpu_band, gpu_band
from ringrift_loop.resources.control import STALE_S, Controller, step
from ringrift_loop.resources.crew import Crew, next_crew
from ringrift_loop.resources.prediction import LOOK_AHEAD_S, Outlook, look
from ringrift_loop.resources.rate import OK, Output, learned, memory_factor, memory_status
from ringrift_loop.selfplay.pace import MIN_DUTY, Allowance

_State = TypeVar("_State")
_SAME = 0.005  # duties that differ by less are the same
_MEMORY_MARGIN = 15.0  # points of the machine's memory that must be free below its limit before a worker is woken
_RATE_SLACK = 0.04  # of a duty that a rate holds; smaller corrections are not worth a word to the host
_HELD = 0.01  # a duty that lies so far below a controller's own was held by something else


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
    disk: float | None = None  # the fullest of its hosts' file systems

    @property
    def strangers(self) -> float:
        """What is neither workers nor jobs of the loop."""
        return max(0.0, self.cpu - self.workers - self.jobs)


@dataclass(frozen=True)
class Outside:
    """What holds a machine's workers back besides its own use."""

    slots: int = 0  # of its hosts, those excepted that rest by backpressure
    pressure: float = 1.0  # backpressure's factor, 0..1; 0: all of them rest
    pressure_reason: str = ""
    paused_reason: str = ""  # why some of its hosts rest while the others go on
    cap: float = 1.0  # duty that the rate in force allows
    rate_reason: str = ""  # as "held to 400 games/h as negotiated by somebody"
    rate_most: int | None = None  # workers that are within the rate at the least duty; None: no rate, or none known
    rate_room: int | None = None  # those that are so at half duty: no more are woken
    games_per_hour: tuple[float, ...] = field(default=())  # as each of its workers tells


NOTHING = Outside()


def machine_samples(rows: Iterable[SampleRow]) -> list[MachineSample]:
    """The newest samples of hosts taken together by machine, in the order of their ids."""
    by_machine: dict[str, list[SampleRow]] = {}
    for row in rows:
        by_machine.setdefault(row.machine, []).append(row)
    return [_together(machine, own) for machine, own in sorted(by_machine.items())]


def decide(
    targets: ResourceTargets, before: DecisionRow | None, sample: MachineSample, outside: Outside = NOTHING
) -> DecisionRow | None:
    """The decision on a machine's sample; None when that sample was decided on already.

    Args:
        targets: bands, gains and limits of this machine.
        before: what holds, with the controllers' state.
        sample: what the machine did.
        outside: what else holds its workers back.
    """
    states = {} if before is None else before.state
    cpu_state, gpu_state = restored(Controller, states.get("cpu")), restored(Controller, states.get("gpu"))
    crew = restored(Crew, states.get("crew"))
    if cpu_state.at is not None and cpu_state.at - sample.at > STALE_S:  # the clock was set back
        cpu_state, gpu_state, crew = replace(cpu_state, at=None), replace(gpu_state, at=None), replace(crew, at=None)
    if cpu_state.at is not None and sample.at <= cpu_state.at:
        return None
    outlook = look(restored(Outlook, states.get("outlook")), sample.at, sample.cpu - sample.workers)
    output = learned(restored(Output, states.get("output")), outside.games_per_hour, sample.duty)
    in_force = sample.duty if crew.settled(sample.at) else 0.0
    band = cpu_band(targets)
    cpu = step(
        cpu_state,
        band,
        targets.pid,
        used=sample.cpu,
        own=sample.workers,
        at=sample.at,
        in_force=in_force,
        ahead=outlook.change,
    )
    duty, limit, used = (1.0 if band.unlimited else cpu.duty), "CPU", sample.cpu
    room = None if band.unlimited else min(100.0, max(0.0, band.target + cpu.output))
    most = 1.0
    gpu = gpu_state
    if sample.gpu is not None:
        gpus = gpu_band(targets)
        gpu = step(gpu_state, gpus, targets.pid, used=sample.gpu, own=sample.gpu, at=sample.at, in_force=in_force)
        if not gpus.unlimited and gpu.duty < duty:
            duty, limit, used, band = gpu.duty, "GPU", sample.gpu, gpus
            most = duty
    memory = memory_status(sample.gpu_memory, warning=targets.gpu_memory_warning, critical=targets.gpu_memory_critical)
    held = sample.duty if before is None else before.duty
    factor = memory_factor(memory) * outside.pressure
    free = max(MIN_DUTY, round(duty * factor, 3))
    duty = _within_rate(free, held, outside.cap)
    played = outside.slots - crew.resting
    crew = _crew(crew, sample, band, used, duty, outside, cpu.appetite or 100.0, targets.memory_max)
    action = HOLD if abs(duty - held) < _SAME else SCALE_UP if duty > held else SCALE_DOWN
    said = [_use(sample, band, limit, used), *_beside(sample, outlook, limit, memory, outside, duty < free)]
    if sample.memory > targets.memory_max:
        said.append(f"memory {sample.memory:.0f}% is above {targets.memory_max:.0f}%")
    reason = f"{'; '.join(said)}: {_outcome(held, duty)}{_crew_words(crew, outside, sample.at)}"
    # The controllers go on from what is in force.
    more = (outside.slots - crew.resting) / played if played > 0 else 1.0
    cpu, gpu = (_gone_on(one, duty, more) for one in (cpu, gpu))
    allowance = Allowance(
        duty=duty,
        most=max(duty, min(most * factor, outside.cap)),
        room=None if factor == 0.0 else room,
        appetite=max(1.0, (cpu.appetite or 100.0) / (factor or 1.0)),
        workers=max(0, outside.slots - crew.resting),
    )
    state: dict[str, JsonValue] = {
        "hosts": list(sample.hosts),
        "allowance": allowance.as_json(),
        "wanted": free,
        **{
            name: asdict(one)
            for name, one in (("cpu", cpu), ("gpu", gpu), ("crew", crew), ("outlook", outlook), ("output", output))
        },
    }
    inputs: dict[str, JsonValue] = {
        **asdict(sample),
        "hosts": list(sample.hosts),
        "band": asdict(band),
        "cap": outside.cap,
        "pressure": outside.pressure,
    }
    return DecisionRow(sample.machine, sample.at, action, duty, inputs, state, reason)


def restored(kind: type[_State], value: JsonValue) -> _State:
    """A state as a decision's row holds it; a new one where it holds none."""
    return kind(**value) if isinstance(value, dict) else kind()


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
        disk=max((row.disk for row in rows if row.disk is not None), default=None),
    )


def _within_rate(free: float, held: float, cap: float) -> float:
    """The duty below the rate's cap; a small correction of a duty that it holds already is left out."""
    if free <= cap:
        return free
    duty = max(MIN_DUTY, round(min(free, cap), 3))
    return held if held <= free and abs(duty - held) <= _RATE_SLACK * held else duty


def _crew(
    crew: Crew,
    sample: MachineSample,
    band: Band,
    used: float,
    duty: float,
    outside: Outside,
    appetite: float,
    memory_max: float,
) -> Crew:
    playing, zone = outside.slots - crew.resting, band.zone(used)
    over = sample.memory - memory_max
    too_many = outside.rate_most is not None and playing > outside.rate_most
    most = outside.slots if outside.rate_room is None else outside.rate_room
    fitting = int((band.target - used) * playing / appetite) if playing > 0 else 1
    return next_crew(
        crew,
        outside.slots,
        crowded=too_many or (duty <= MIN_DUTY and zone in (Zone.ABOVE, Zone.CRITICAL)),
        idle=duty >= 1.0 - _SAME
        and (zone is Zone.BELOW or band.unlimited)
        and playing < most
        and sample.memory <= memory_max - _MEMORY_MARGIN,
        least=0 if too_many else 1,  # a machine's own use leaves it a worker, which notices when it is free again
        at=sample.at,
        room=max(1, min(most - playing, fitting)),
        # Halfway to full there is no time to take them one by one.
        surplus=0 if over <= 0.0 else 1 if over < (100.0 - memory_max) / 2.0 else (playing + 1) // 2,
    )


def _gone_on(own: Controller, duty: float, more: float) -> Controller:
    """A controller that goes on from a duty in force, with so many times the workers."""
    appetite = own.appetite if own.appetite is None or more == 0.0 else own.appetite * more
    return replace(own, duty=duty, held=duty < own.duty - _HELD, appetite=appetite)


def _use(sample: MachineSample, band: Band, limit: str, used: float) -> str:
    place = {
        Zone.BELOW: f"below {band.low:.0f}%",
        Zone.OPTIMAL: f"within {band.low:.0f}-{band.high:.0f}%",
        Zone.ABOVE: f"above {band.high:.0f}%",
        Zone.CRITICAL: f"critical, above {band.critical:.0f}%",
    }[band.zone(used)]
    said = f"{limit} {used:.0f}% is {place}"
    if band.unlimited:
        said = f"{limit} {used:.0f}%, which may be used whole"
    return said + f" (strangers {sample.strangers:.0f}%, our jobs {sample.jobs:.0f}%, workers {sample.workers:.0f}%)"


def _beside(
    sample: MachineSample, outlook: Outlook, limit: str, memory: str, outside: Outside, by_rate: bool
) -> Iterable[str]:
    if outlook.change and limit == "CPU":
        way = "rises" if outlook.change > 0 else "falls"
        yield (
            f"others' load {way} by {abs(outlook.change):.0f} points within {LOOK_AHEAD_S:.0f} s (such forecasts were "
            f"{outlook.error:.1f} points off, the last value {outlook.error_of_last:.1f})"
        )
    if memory != OK:
        yield f"GPU memory {sample.gpu_memory:.0f}% is {memory}"
    if outside.pressure < 1.0:
        yield f"backpressure lets {outside.pressure:.0%} through ({outside.pressure_reason})"
    if outside.paused_reason:
        yield outside.paused_reason
    if by_rate:
        yield outside.rate_reason


def _outcome(held: float, duty: float) -> str:
    if abs(duty - held) < _SAME:
        return f"the workers keep {duty:.0%} of their time"
    return f"the workers go from {held:.0%} to {duty:.0%} of their time"


def _crew_words(crew: Crew, outside: Outside, at: float) -> str:
    if outside.pressure == 0.0:
        return ", and all of them rest"
    playing = outside.slots - crew.resting
    if crew.changed_at == at:
        return f", and {playing} of {outside.slots} play from now on"
    return f", {playing} of {outside.slots} play" if crew.resting else ""


def allowance_of(row: DecisionRow) -> Allowance:
    """What the machine's workers may use by a decision; by one of a version before, the duty alone."""
    value = row.state.get("allowance")
    return Allowance(duty=row.duty, most=row.duty) if value is None else convert(value, Allowance, "an allowance")


def resting(row: DecisionRow) -> tuple[list[str], int]:
    """The hosts that a decision is on, and how many of their workers rest by it."""
    hosts: Any = row.state.get("hosts")
    return list(hosts or ()), restored(Crew, row.state.get("crew")).resting
