"""`ringrift-loop resources`: how busy the machines are, what was decided on them, and why."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ringrift_loop.errors import ConfigError

if TYPE_CHECKING:
    from ringrift_loop.ledger.resources import DecisionRow
    from ringrift_loop.ledger.utilization import SampleRow
    from ringrift_loop.loop import Loop
    from ringrift_loop.resources.decision import MachineSample

_HEAD = (
    *("hosts", "cpu", "workers", "our jobs", "strangers", "gpu", "gpu memory", "memory", "disk"),
    *("duty", "playing", "forecast", "decided"),
)


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = sub.add_parser(
        "resources",
        help="how busy the machines are, and the decisions on their workers",
        description="Prints a row for each machine: the average use of its last half minute in percent, whose it was, "
        "the duty of its workers, the share of their time in which they compute, and how many of them play. Hosts on "
        "one machine are one row. `forecast`: mean error, in points, of what was foretold of others' load a minute "
        "ahead, and in brackets that of the last value; it is acted on where it is the smaller. Below: rate and "
        "backpressure.",
    )
    parser.add_argument("--why", metavar="HOST", help="the last decisions on this host's machine, in sentences")
    parser.add_argument("--last", type=int, default=20, metavar="N", help="with --why: how many (default: 20)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--config", type=Path, metavar="FILE", help="configuration (default: as `config show` says)")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Print the machines, or the history of one."""
    from ringrift_loop.ledger import resources, utilization
    from ringrift_loop.loop import Loop
    from ringrift_loop.resources.backpressure import Backpressure
    from ringrift_loop.resources.control import STALE_S
    from ringrift_loop.resources.decision import machine_samples
    from ringrift_loop.resources.rebalance import workers_allowed

    loop = Loop.open(config_path=args.config)
    with loop.ledger.read() as conn:
        newest = utilization.newest(utilization.since(conn, 0.0))
        held = resources.decisions(conn)
        if args.why is not None:
            return _why(args, loop, resources.history(conn, _machine_of(args.why, newest), most=args.last))
        rate, pressure = resources.negotiated(conn), Backpressure.parse(resources.backpressure(conn))
        allowed = workers_allowed(conn, loop.inventory)
    slots = {host.name: host.slots for host in loop.inventory.hosts.values()}
    fresh = [row for row in newest.values() if row.at > loop.clock() - STALE_S]
    samples = machine_samples(fresh)
    silent = sorted(newest.keys() - {row.host for row in fresh})
    if args.json:
        machines = [_as_json(sample, held.get(sample.machine), allowed) for sample in samples]
        whole = {
            "machines": machines,
            "silent": silent,
            "rate": None if rate is None else asdict(rate),
            "backpressure": {
                "factor": pressure.factor(name for name, number in slots.items() if number),
                "causes": [asdict(cause) for cause in pressure.causes],
            },
        }
        print(json.dumps(whole, indent=2))
        return 0
    playing = {
        sample.machine: tuple(sum(numbers.get(host, 0) for host in sample.hosts) for numbers in (allowed, slots))
        for sample in samples
    }
    print("\n".join(_table(samples, held, playing, loop.clock())))
    if rate is not None:
        print(f"rate: at most {rate.approved} games/h, asked for by {rate.requestor} ({rate.reason})")
    for cause in pressure.causes:
        print(f"backpressure {cause.factor:.0%}: {cause.reason}")
    if silent:
        print(f"no sample for more than {STALE_S:.0f} s: {', '.join(silent)}; their workers keep what they have")
    if not newest:
        print("no host has told its utilization yet: it comes with the second sync cycle of a running loop")
    return 0


def _machine_of(host: str, newest: Mapping[str, SampleRow]) -> str:
    if host not in newest:
        known = ", ".join(sorted(newest)) or "none yet"
        raise ConfigError(f"no host named {host} has told its utilization; those that have: {known}")
    return newest[host].machine


def _why(args: argparse.Namespace, loop: Loop, rows: Sequence[DecisionRow]) -> int:
    if args.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
        return 0
    for row in reversed(rows):
        print(f"{loop.clock() - row.at:6.0f} s ago  {row.reason}")
    if not rows:
        print("nothing was decided yet: `ringrift_resource_rebalance` does so every 30 s")
    return 0


def _as_json(sample: MachineSample, row: DecisionRow | None, allowed: Mapping[str, int]) -> dict[str, object]:
    decided = None if row is None else {"at": row.at, "action": row.action, "duty": row.duty, "reason": row.reason}
    return {
        **asdict(sample),
        "strangers": sample.strangers,
        "playing": {host: allowed.get(host, 0) for host in sample.hosts},
        "forecast": None if row is None else _forecast(row),
        "decision": decided,
    }


def _forecast(row: DecisionRow) -> dict[str, float] | None:
    """How good the machine's forecasts have been; None before the first was due."""
    from ringrift_loop.resources.decision import restored
    from ringrift_loop.resources.prediction import Outlook

    outlook = restored(Outlook, row.state.get("outlook"))
    if not outlook.tries:
        return None
    return {
        "error": outlook.error,
        "error_of_last_value": outlook.error_of_last,
        "confidence": outlook.confidence,
        "acted_on": outlook.change,
    }


def _table(
    samples: Sequence[MachineSample],
    held: Mapping[str, DecisionRow],
    playing: Mapping[str, tuple[int, ...]],
    now: float,
) -> list[str]:
    rows = [_HEAD, *(_row(sample, held.get(sample.machine), playing[sample.machine], now) for sample in samples)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _row(sample: MachineSample, row: DecisionRow | None, playing: tuple[int, ...], now: float) -> tuple[str, ...]:
    def percent(value: float | None) -> str:
        return "-" if value is None else f"{value:.0f}%"

    forecast = None if row is None else _forecast(row)
    return (
        ",".join(sample.hosts),
        *map(percent, (sample.cpu, sample.workers, sample.jobs, sample.strangers)),
        *map(percent, (sample.gpu, sample.gpu_memory, sample.memory, sample.disk)),
        percent(100 * (sample.duty if row is None else row.duty)),
        "/".join(map(str, playing)),
        "-" if forecast is None else f"{forecast['error']:.1f} ({forecast['error_of_last_value']:.1f})",
        "-" if row is None else f"{now - row.at:.0f} s ago: {row.action}",
    )
