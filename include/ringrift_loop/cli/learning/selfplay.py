"""`ringrift-loop selfplay`: what a worker slot runs."""

from __future__ import annotations

import argparse
import json
import logging
import os
from pathlib import Path

from ringrift_loop.cli.options import add_config_file, variant_name
from ringrift_loop.config.schema import VARIANT_NAMES
from ringrift_loop.hosts.entry import MAX_SLOTS
from ringrift_loop.machine.priority import lower_priority

BY_VARIANT = "by-variant"
_log = logging.getLogger(__name__)


def unsupervised_slot(variant: str) -> int:
    """The slot of a variant's worker that something else than the loop runs, such as systemd."""
    return MAX_SLOTS + VARIANT_NAMES.index(variant)


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = sub.add_parser(
        "selfplay",
        help="play games until stopped: what a worker runs",
        description="Plays games of one variant, or in turns those of the host's plan, into sealed segments in the "
        "root folder until SIGTERM, with the model that models/current-<variant>.json names there. Until there is one, "
        "the nearest variant's plays (selfplay.transfer), or the heuristic-guided search.",
    )
    parser.add_argument("--root", type=Path, required=True, help="the host's root folder")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--variant", type=variant_name, help="the one to play, such as square8_2p")
    what.add_argument(
        "--plan",
        action="store_true",
        help="play the variants of plan.json in the root folder in turns, each for its weight's share of the time",
    )
    parser.add_argument(
        "--slot",
        type=_slot,
        default=0,
        metavar="NUMBER",
        help="the worker's number on this host (default 0); `by-variant`, with --variant: one per variant, which the "
        "loop never gives to a worker of its own",
    )
    add_config_file(parser)
    parser.add_argument("--games", type=int, help="end after this many games (default: play until stopped)")
    parser.add_argument("--host", default="", help="the host's name in the records (default: the machine's)")
    parser.add_argument("--run-id", default="", help="seed of the games, for a repeatable run (default: random)")
    parser.add_argument(
        "--nice", type=int, default=0, help="lower the process's priority by this much, 0..19 (default 0)"
    )
    parser.set_defaults(func=run)


def _slot(text: str) -> int | None:
    return None if text == BY_VARIANT else int(text)


def run(args: argparse.Namespace) -> int:
    """Play; prints the number of games as JSON at the end."""
    # Before numpy and ONNX Runtime start their own threads: a worker is one core's work.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if args.nice and not lower_priority(args.nice):
        _log.warning("plays with the weight of a program in front: the kernel did not take this session's")
    from ringrift_loop.config import load_config
    from ringrift_loop.errors import ConfigError
    from ringrift_loop.layout import HostDirectory
    from ringrift_loop.machine.memory import cap_own_data, worker_limit
    from ringrift_loop.selfplay.host_settings import read_settings
    from ringrift_loop.selfplay.segments import MAX_SLOT
    from ringrift_loop.selfplay.worker import Worker, WorkerOptions, run_until_signalled

    if args.games is not None and args.games < 1:
        raise ConfigError(f"--games must be at least 1, got {args.games}")
    if args.slot is None and args.variant is None:
        raise ConfigError("--slot by-variant goes with --variant; with --plan name the slot's number")
    slot = unsupervised_slot(args.variant) if args.slot is None else args.slot
    if not 0 <= slot <= MAX_SLOT:
        raise ConfigError(f"--slot must be in 0..{MAX_SLOT}, got {slot}")
    options = WorkerOptions(
        host_dir=HostDirectory(args.root.resolve()),
        variant=args.variant,
        slot=slot,
        games=args.games,
        host=args.host,
        run=args.run_id,
    )
    selfplay = read_settings(options.host_dir).applied_to(load_config(args.config_file).selfplay)
    cap_own_data(worker_limit(selfplay.worker_memory_gb))
    finished = run_until_signalled(Worker(options, selfplay))
    print(json.dumps({"games": finished}))
    return 0
