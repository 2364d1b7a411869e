"""`ringrift-loop train`: a candidate model from the replay window."""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ringrift_loop.loop import Loop


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = sub.add_parser(
        "train",
        help="train a candidate for a variant",
        description="Trains a candidate on the replay window and registers it in the ledger; it is not promoted by "
        "this. A run that was killed goes on from its last checkpoint. Prints the report as JSON.",
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--run", metavar="ID", help="a training run that was claimed already")
    what.add_argument(
        "--variant", help="claim the variant's new games for a new run, or go on with its interrupted one"
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="configuration file (default: as `config show` says)"
    )
    parser.add_argument(
        "--wait",
        type=float,
        default=0.0,
        metavar="S",
        help="wait so long for another process that trains the variant, and take its result if it is this run's",
    )
    parser.add_argument("--json", action="store_true", help="print the report on one line")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Train; prints the report."""
    # Before torch starts its threads: threads that spin while they wait halve the speed next to self-play
    # (docs/log.md).
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from ringrift_loop.loop import Loop
    from ringrift_loop.training.train import train

    loop = Loop.open(config_path=args.config)
    run_id = args.run or _claim(loop, args.variant)
    report = train(loop, run_id, wait_s=args.wait).to_json()
    print(json.dumps(report) if args.json else json.dumps(report, indent=2))
    return 0


def _claim(loop: Loop, variant: str) -> str:
    """The variant's interrupted run, or a new one with its unconsumed games."""
    from ringrift_loop.ledger import training
    from ringrift_loop.training.claim import claim_for_run

    with loop.ledger.read() as conn:
        interrupted = training.active(conn, variant)
    if interrupted is not None:
        return interrupted.id
    return claim_for_run(loop, [variant], key=f"command line {os.getpid()} {time.time()}").run_id
