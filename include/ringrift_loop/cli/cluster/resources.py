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
    from ringrift_loop.resources.rebalance import MachineSample

_HEAD = ("hosts", "cpu", "workers", "our jobs", "strangers", "gpu", "gpu memory", "memory", "duty", "decided")


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = sub.add_parser(
        "resources",
        help="how busy the machines are, and the decisions on their workers",
        description="Prints a row for each machine: the average use of its last half minute in percent, whose it was, "
        "and the duty of its workers, the share of their time in which they compute. Hosts on one machine are one row.",
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
    from ringrift_loop.resources.control import STALE_S
    from ringrift_loop.resources.rebalance import machine_samples

    loop = Loop.open(config_path=args.config)
    with loop.ledger.read() as conn:
        newest = utilization.newest(utilization.since(conn, 0.0))
        held = resources.decisions(conn)
        if args.why is not None:
            return _why(args, loop, resources.history(conn, _machine_of(args.why, newest), most=args.last))
    fresh = [row for row in newest.values() if row.at > loop.clock() - STALE_S]
    samples = machine_samples(fresh)
    silent = sorted(newest.keys() - {row.host for row in fresh})
    if args.json:
        machines = [_as_json(sample, held.get(sample.machine)) for sample in samples]
        print(json.dumps({"machines": machines, "silent": silent}, indent=2))
        return 0
    print("\n".join(_table(samples, held, loop.clock())))
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


def _as_json(sample: MachineSample, row: DecisionRow | None) -> dict[str, object]:
    decided = None if row is None else {"at": row.at, "action": row.action, "duty": row.duty, "reason": row.reason}
    return {**asdict(sample), "strangers": sample.strangers, "decision": decided}


def _table(samples: Sequence[MachineSample], held: Mapping[str, DecisionRow], now: float) -> list[str]:
    rows = [_HEAD, *(_row(sample, held.get(sample.machine), now) for sample in samples)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _row(sample: MachineSample, row: DecisionRow | None, now: float) -> tuple[str, ...]:
    def percent(value: float | None) -> str:
        return "-" if value is None else f"{value:.0f}%"

    return (
        ",".join(sample.hosts),
        *map(percent, (sample.cpu, sample.workers, sample.jobs, sample.strangers)),
        *map(percent, (sample.gpu, sample.gpu_memory, sample.memory)),
        percent(100 * (sample.duty if row is None else row.duty)),
        "-" if row is None else f"{now - row.at:.0f} s ago: {row.action}",
    )
