"""What the loop does with its machines and why, what a person may change, and the configuration in force."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from ringrift_loop.config import EffectiveConfig, as_dict
from ringrift_loop.config.leaves import leaves, plain
from ringrift_loop.curriculum.weights import standings
from ringrift_loop.json_value import JsonValue
from ringrift_loop.ledger import curriculum, events, resources, state, utilization
from ringrift_loop.ledger.schema import rate_negotiations
from ringrift_loop.loop import Loop
from ringrift_loop.resources.api import selfplay_weights, utilization_status
from ringrift_loop.resources.backpressure import Backpressure
from ringrift_loop.resources.control import STALE_S
from ringrift_loop.resources.decision import MachineSample, machine_samples
from ringrift_loop.status.overview import loop_runs, worker_overviews
from ringrift_loop.text import clean, without_secrets
from ringrift_loop.views.bottlenecks import Bottleneck, read_bottlenecks

_NEGOTIATIONS = 8
_CHANGES = 8
_SECRET_NAMES = ("password", "secret", "token", "webhook", "key")
HIDDEN = "***"


@dataclass(frozen=True)
class Change:
    """What a person changed of the whole loop."""

    at: float
    what: str
    user: str | None
    why: str | None


@dataclass(frozen=True)
class Utilization:
    """The cluster's use of its machines, percent; None where nothing told it lately."""

    machines: int
    """That told it lately."""
    cpu: float | None
    """The mean of the machines."""
    gpu: float | None
    """The mean of the machines that have one."""
    gpu_memory: float | None
    """Of the machine where it is fullest."""
    cpu_target: float
    gpu_target: float
    state: str
    """`unknown`, `below`, `optimal`, `above`, `critical` or what the memory of the GPUs says."""
    why: str
    """A sentence."""
    played: int
    """Self-play, games an hour, as the workers tell."""
    approved: int | None
    """The games an hour that self-play is held to; None: nobody has asked for a rate."""


@dataclass(frozen=True)
class SteeredMachine:
    """One machine: what it did in its last interval, percent, and what was decided."""

    machine: str
    hosts: tuple[str, ...]
    at: float | None
    cpu: float | None
    workers: float | None
    strangers: float | None
    """Neither workers nor jobs of the loop."""
    memory: float | None
    gpu: float | None
    duty: float | None
    """Share of the time in which its workers may compute from now on, 0..1."""
    action: str | None
    why: str | None
    decided_at: float | None


@dataclass(frozen=True)
class Weight:
    """A variant's share of self-play."""

    variant: str
    share: float
    """Of the workers' time, 0..1."""
    curriculum: float
    """By how far its champion is; 1 is an equal share."""
    win_share: float | None
    """What the curriculum looks at: of the games against the heuristic, those in which the champion finishes first, by
    their ratings, 0..1; None without a champion, or with too few rated games."""
    champion_s: float | None
    """What it looks at too: seconds since the champion was promoted; None as above."""
    games: float
    """By games of the last day and rates; 1 is an equal share."""
    pressure: float
    """By which it is cut because its games wait for training; 1: it is not."""
    why: str


@dataclass(frozen=True)
class Negotiation:
    """A request for a rate of self-play, and its answer; games an hour."""

    at: float
    requestor: str
    requested: float
    approved: int
    reason: str
    answer: str


@dataclass(frozen=True)
class ControlState:
    """What the page shows. Times are UTC seconds."""

    at: float
    runs: bool
    halted: bool
    share: float
    """Of the self-play slots, those that may play."""
    slots: int
    """Of the enabled hosts."""
    changes: list[Change]
    """The newest first."""
    utilization: Utilization
    pressing: list[str]
    """What holds self-play back, a sentence each."""
    bottlenecks: list[Bottleneck]
    """What would make the loop faster; never empty."""
    machines: list[SteeredMachine]
    weights: list[Weight]
    negotiations: list[Negotiation]
    """The newest first."""


@dataclass(frozen=True)
class Setting:
    """One value in force."""

    name: str
    value: str
    """As YAML or JSON; secrets are hidden."""
    origin: str
    """`default`, `preset ...`, file and line, or the name of an environment variable."""
    default: str
    help: str


def read_control(conn: Connection, loop: Loop, *, now: float, stopped: bool = False) -> ControlState:
    """The state at `now`; `stopped` says that the loop is known not to run."""
    pressure = Backpressure.parse(resources.backpressure(conn))
    return ControlState(
        at=now,
        runs=loop_runs(conn, loop.config, now=now, stopped=stopped),
        halted=state.halted(conn),
        share=state.selfplay_share(conn),
        slots=sum(host.slots for host in loop.inventory.enabled),
        changes=_changes(conn),
        utilization=_utilization(conn, loop, now, stopped=stopped),
        pressing=[clean(cause.reason) for cause in pressure.causes],
        bottlenecks=read_bottlenecks(conn, loop, now=now, stopped=stopped),
        machines=_machines(conn, now),
        weights=_weights(conn, loop, pressure),
        negotiations=_negotiations(conn),
    )


def settings(effective: EffectiveConfig) -> list[Setting]:
    """Every value in force, in the order of the reference page."""
    rules = leaves()
    return [
        Setting(
            name=name,
            value=_shown(name, value),
            origin=effective.origins[name],
            default=_shown(name, plain(rules[name].default)),
            help=rules[name].rule.help,
        )
        for name, value in as_dict(effective.config).items()
    ]


def _shown(name: str, value: object) -> str:
    if isinstance(value, dict):
        value = {key: HIDDEN if _secret(str(key)) else item for key, item in value.items()}
    if _secret(name.rpartition(".")[2]) and value not in ("", None):
        return HIDDEN
    return without_secrets(value if isinstance(value, str) else json.dumps(value))


def _secret(name: str) -> bool:
    return any(word in name.lower() for word in _SECRET_NAMES)


def _changes(conn: Connection) -> list[Change]:
    """Halts and shares of self-play that a person set."""
    found = [*events.latest(conn, kind="halt", limit=_CHANGES), *_shares(conn)]
    newest = sorted(found, key=lambda event: event.at, reverse=True)[:_CHANGES]
    return [Change(event.at, event.message, _text(event.data, "user"), _text(event.data, "why")) for event in newest]


def _shares(conn: Connection) -> list[events.Event]:
    return [event for event in events.latest(conn, kind="worker", limit=200) if "share" in event.data]


def _text(data: dict[str, JsonValue], key: str) -> str | None:
    value = data.get(key)
    return clean(value) if isinstance(value, str) and value else None


def _utilization(conn: Connection, loop: Loop, now: float, *, stopped: bool) -> Utilization:
    told, rate = utilization_status(loop), resources.negotiated(conn)
    slots = worker_overviews(conn, loop.config, now=now, runs=loop_runs(conn, loop.config, now=now, stopped=stopped))
    played = sum(play.games_per_hour for slot in slots for play in slot.plays if slot.state == "playing")
    return Utilization(
        machines=told["machines"],
        cpu=told["cpu_util"],
        gpu=told["gpu_util"],
        gpu_memory=told["gpu_memory_util"],
        cpu_target=told["cpu"]["target"],
        gpu_target=told["gpu"]["target"],
        state=told["status"],
        why=told["recommendation"],
        played=round(played),
        approved=None if rate is None else rate.approved,
    )


def _machines(conn: Connection, now: float) -> list[SteeredMachine]:
    """Those that told something lately, and those that something was decided about."""
    decided = resources.decisions(conn)
    samples = {each.machine: each for each in _samples(conn, now)}
    return [_machine(name, samples.get(name), decided.get(name)) for name in sorted({*decided, *samples})]


def _samples(conn: Connection, now: float) -> Sequence[MachineSample]:
    return machine_samples(utilization.newest(utilization.since(conn, now - STALE_S)).values())


def _machine(name: str, sample: MachineSample | None, decision: resources.DecisionRow | None) -> SteeredMachine:
    return SteeredMachine(
        machine=clean(name),
        hosts=() if sample is None else sample.hosts,
        at=None if sample is None else sample.at,
        cpu=None if sample is None else sample.cpu,
        workers=None if sample is None else sample.workers,
        strangers=None if sample is None else sample.strangers,
        memory=None if sample is None else sample.memory,
        gpu=None if sample is None else sample.gpu,
        duty=None if decision is None else decision.duty,
        action=None if decision is None else decision.action,
        why=None if decision is None else clean(decision.reason),
        decided_at=None if decision is None else decision.at,
    )


def _weights(conn: Connection, loop: Loop, pressure: Backpressure) -> list[Weight]:
    games, need = resources.weights(conn), curriculum.weights(conn)
    weights, known = selfplay_weights(conn, loop.config), standings(conn, loop)
    total = sum(weights.values()) or 1.0
    return [
        Weight(
            variant=name,
            share=weight / total,
            curriculum=need.get(name, 1.0),
            win_share=known[name].share if name in known else None,
            champion_s=known[name].age_s if name in known else None,
            games=games.get(name, 1.0),
            pressure=pressure.on_variant(name),
            why=_reason(need.get(name, 1.0), games.get(name, 1.0), pressure.on_variant(name)),
        )
        for name, weight in weights.items()
    ]


def _reason(need: float, games: float, pressure: float) -> str:
    """What moves a share away from an equal one."""
    parts = []
    if round(need, 2) != 1.0:
        # The weight follows slowly, so it may lag behind what its champion does now.
        behind = "weaker against the heuristic than the others, or longer without a promotion"
        ahead = "stronger against the heuristic than the others, or promoted later"
        parts.append(f"{behind if need > 1 else ahead} (× {need:.2f})")
    if round(games, 2) != 1.0:
        parts.append(f"{'few games or a slow stream of them' if games > 1 else 'many games'} (× {games:.2f})")
    if round(pressure, 2) != 1.0:
        parts.append(f"its games wait for training (× {pressure:.2f})")
    return ", ".join(parts) or "an equal share"


def _negotiations(conn: Connection) -> list[Negotiation]:
    query = select(rate_negotiations).order_by(rate_negotiations.c.id.desc()).limit(_NEGOTIATIONS)
    return [
        Negotiation(row.at, clean(row.requestor), row.requested, row.approved, clean(row.reason), clean(row.answer))
        for row in conn.execute(query)
    ]
