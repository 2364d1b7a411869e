"""One pass of resource control: the newest samples in, a decision for each machine out, each a row with its reason.

Before the machines (`decision.py`) comes what holds for all of them: backpressure, and the rate that was negotiated.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from ringrift_loop.config import LoopConfig, ResourceTargets
from ringrift_loop.errors import ConfigError
from ringrift_loop.hosts.inventory import Inventory
from ringrift_loop.json_value import JsonValue
from ringrift_loop.ledger import games, resources, utilization, workers
from ringrift_loop.ledger.resources import NO_DATA, DecisionRow
from ringrift_loop.ledger.utilization import SampleRow
from ringrift_loop.loop import Loop
from ringrift_loop.machine.utilization import disk_percent
from ringrift_loop.resources.backpressure import Backpressure, Limits, Seen, press
from ringrift_loop.resources.control import STALE_S
from ringrift_loop.resources.crew import share_out
from ringrift_loop.resources.decision import (
    MachineSample,
    Outside,
    allowance_of,
    decide,
    machine_samples,
    resting,
    restored,
)
from ringrift_loop.resources.rate import AIM, Output, Producer, duty_cap, workers_within
from ringrift_loop.selfplay.pace import MIN_DUTY, Allowance

_log = logging.getLogger(__name__)

FRESH_S = 120.0
"""A heartbeat older than this says nothing about the present rate."""
_WOKEN_DUTY = 0.5  # no more workers are woken than are within the rate at this duty


@dataclass(frozen=True)
class Rebalance:
    """What a pass decided."""

    decisions: tuple[DecisionRow, ...] = ()
    allowances: Mapping[str, Allowance] = field(default_factory=dict)  # host -> what its workers may use from now on
    pressure: Backpressure = field(default_factory=Backpressure)
    resting: int = 0  # slots that rest by it, of all hosts

    @property
    def duties(self) -> dict[str, float]:
        """Host -> duty that holds."""
        return {host: allowance.duty for host, allowance in self.allowances.items()}

    def as_json(self) -> dict[str, JsonValue]:
        """The pass for logs and XCom."""
        return {
            "duties": dict(self.duties),
            "decisions": [
                {"machine": row.machine, "action": row.action, "duty": row.duty, "reason": row.reason}
                for row in self.decisions
            ],
            "backpressure": [cause.reason for cause in self.pressure.causes],
            "resting": self.resting,
        }


def rebalance(loop: Loop, *, disk: Callable[[Path], float] = disk_percent) -> Rebalance:
    """Decide on every machine that told something new, and on those that fell silent.

    Args:
        loop: the loop.
        disk: how full the file system of a folder is, percent.
    """
    at, own_disk = loop.clock(), disk(loop.directory.root)
    with loop.ledger.begin() as conn:
        newest = utilization.newest(utilization.since(conn, at - STALE_S))
        samples = machine_samples(newest.values())
        held = resources.decisions(conn)
        before = Backpressure.parse(resources.backpressure(conn))
        pressure = press(before, _seen(conn, loop, newest, own_disk), _limits(loop))
        if pressure != before:
            resources.note_backpressure(conn, [asdict(cause) for cause in pressure.causes], at=at)
            _log_changes(before, pressure)
        outside = _outside(conn, loop, samples, held, pressure)
        made = [
            row
            for sample in samples
            if (
                row := decide(
                    targets_of(loop.config, loop.inventory, sample.hosts),
                    held.get(sample.machine),
                    sample,
                    outside[sample.machine],
                )
            )
            is not None
        ]
        told = {sample.machine for sample in samples}
        made += [_silent(row, at) for machine, row in held.items() if machine not in told and row.action != NO_DATA]
        resources.decide(conn, *made)
        playing = workers_allowed(conn, loop.inventory)
    holds = {**held, **{row.machine: row for row in made}}
    allowances = {host: allowance_of(holds[sample.machine]) for sample in samples for host in sample.hosts}
    slots = sum(host.slots for host in loop.inventory.hosts.values())
    return Rebalance(tuple(made), allowances, pressure, slots - sum(playing.values()))


def workers_allowed(conn: Connection, inventory: Inventory) -> dict[str, int]:
    """How many of its slots each host may use: fewer where workers rest, none where a disk is full.

    A host that nothing was decided on has all of them; one that fell silent keeps what it had.
    """
    slots = {host.name: host.slots for host in inventory.hosts.values()}
    last = {}  # the newest decision on each host: a machine that was restarted has another id
    for row in sorted(resources.decisions(conn).values(), key=lambda row: row.at):
        last.update(dict.fromkeys(resting(row)[0], row))
    pressure = Backpressure.parse(resources.backpressure(conn))
    paused = {host for host in slots if pressure.on(host)[0] == 0.0}
    allowed = {host: 0 if host in paused else number for host, number in slots.items()}
    for row in {row.machine: row for row in last.values()}.values():
        own = {host: allowed[host] for host in slots if host not in paused and last.get(host) is row}
        allowed.update(share_out(own, resting(row)[1]))
    return allowed


def rates(rows: Iterable[workers.WorkerRow], now: float) -> dict[str, list[float]]:
    """Games an hour that each worker plays now, by host."""
    found: dict[str, list[float]] = {}
    for row in rows:
        rate = (row.heartbeat or {}).get("games_per_hour")
        if row.heartbeat_at is not None and now - row.heartbeat_at <= FRESH_S and isinstance(rate, (int, float)):
            found.setdefault(row.host, []).append(float(rate))
    return found


def _seen(conn: Connection, loop: Loop, newest: Mapping[str, SampleRow], own_disk: float) -> Seen:
    pending = games.pending_by_variant(conn)
    told = {name: newest.get(name) for name in loop.inventory.hosts}
    return Seen(
        disk=own_disk,
        disks={name: None if row is None else row.disk for name, row in told.items()},
        waiting={
            name: None if row is None or row.unsynced is None else (row.unsynced, row.unsynced_s or 0.0)
            for name, row in told.items()
        },
        pending={variant: pending.get(variant, 0) for variant in loop.config.variants},
    )


def _limits(loop: Loop) -> Limits:
    own = {
        host.name: targets_of(loop.config, loop.inventory, [host.name])
        for host in loop.inventory.hosts.values()
        if host.resource_targets
    }
    return Limits(loop.config.resource_targets, own, loop.config.data_ingestion, loop.config.training)


def _outside(
    conn: Connection,
    loop: Loop,
    samples: Sequence[MachineSample],
    held: Mapping[str, DecisionRow],
    pressure: Backpressure,
) -> dict[str, Outside]:
    """What holds each machine back besides its own use."""
    told = rates(workers.all_workers(conn), loop.clock())
    found, producers = {}, {}
    for sample in samples:
        hosts = {name: pressure.on(name) for name in sample.hosts}
        # A host whose disk is full rests alone; those beside it on the machine go on.
        paused = "; ".join(why for factor, why in hosts.values() if factor == 0.0)
        going = [name for name, on in hosts.items() if on[0] > 0.0]
        factor, reason = min((hosts[name] for name in going), default=(0.0, paused))
        slots = sum(loop.inventory.hosts[name].slots for name in going if name in loop.inventory.hosts)
        games_per_hour = tuple(rate for name in sample.hosts for rate in told.get(name, ()))
        found[sample.machine] = Outside(slots, factor, reason, paused if going else "", games_per_hour=games_per_hour)
        row = held.get(sample.machine)
        if row is not None:
            wanted, per_worker = row.state.get("wanted"), restored(Output, row.state.get("output")).per_worker
            duty = float(wanted) if isinstance(wanted, (int, float)) else row.duty
            producers[sample.machine] = Producer(slots, max(0, slots - resting(row)[1]), per_worker, duty)
    rate = resources.negotiated(conn)
    if rate is None:
        return found
    cap = duty_cap(producers, AIM * rate.approved)
    most = workers_within(producers, AIM * rate.approved, MIN_DUTY)
    room = workers_within(producers, AIM * rate.approved, _WOKEN_DUTY)
    words = f"held to {rate.approved} games/h as negotiated by {rate.requestor}"
    return {
        machine: replace(one, cap=cap, rate_reason=words, rate_most=most.get(machine), rate_room=room.get(machine))
        for machine, one in found.items()
    }


def targets_of(config: LoopConfig, inventory: Inventory, names: Sequence[str]) -> ResourceTargets:
    """The loop's targets with those of a machine's hosts in their place; the loop's alone where they contradict."""
    common = config.resource_targets
    hosts = [inventory.hosts[name] for name in names if name in inventory.hosts]
    own: dict[str, Any] = {key: value for host in hosts for key, value in host.resource_targets.items()}
    targets = replace(common, **own)
    try:
        targets.check()
    except ConfigError as error:
        _log.warning("%s: the inventory's targets do not count: %s", ", ".join(names), error)
        return common
    return targets


def _silent(row: DecisionRow, at: float) -> DecisionRow:
    """A machine that says nothing keeps what it has: no data is no reason for more load."""
    reason = f"no sample for more than {STALE_S:.0f} s: the workers keep {row.duty:.0%} of their time"
    return replace(row, at=at, action=NO_DATA, inputs={}, reason=reason)


def _log_changes(before: Backpressure, now: Backpressure) -> None:
    """Say what has begun and ended to press; a factor alone is for the decisions' reasons."""
    old, new = ({(one.kind, one.subject): one for one in pressure.causes} for pressure in (before, now))
    for key in sorted(new.keys() - old.keys()):
        _log.warning("backpressure: %s", new[key].reason)
    for key in sorted(old.keys() - new.keys()):
        _log.info("backpressure has ended: %s", old[key].reason)
