"""`ringrift-loop experiment`: two arms of the loop with the same budget, and which of them is stronger."""

from __future__ import annotations

import argparse
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ringrift_loop.cli.options import add_config_file, add_variant
from ringrift_loop.errors import ConfigError

if TYPE_CHECKING:
    from ringrift_loop.cli.progress import Standing
    from ringrift_loop.experiments.record import Experiment


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = sub.add_parser(
        "experiment",
        help="two arms of the loop with the same budget: which of them is stronger?",
        description="Runs the whole loop in this process, once for each arm and seed, with equal core-seconds or equal "
        "games, then plays the models against each other until a sequential test decides. Keeps record, page and games "
        "in experiments/NAME of the run directory; the same command goes on with an experiment that was killed. Prints "
        "the verdict as JSON.",
    )
    parser.add_argument("--name", required=True, help="the experiment's folder")
    parser.add_argument("--question", default="", help="what is to be found out, in a sentence")
    add_variant(parser)
    for option, text in (
        ("--first", "a setting of the first arm, such as selfplay.considered_moves=4; may be given several times"),
        ("--second", "a setting of the second arm"),
        ("--set", "a setting of both arms"),
    ):
        parser.add_argument(option, action="append", default=[], metavar="KEY=VALUE", help=text)
    budget = parser.add_mutually_exclusive_group(required=True)
    budget.add_argument("--core-seconds", type=float, metavar="S", help="CPU time of each run, all its stages together")
    budget.add_argument("--games", type=int, metavar="N", help="self-play games of each run")
    parser.add_argument(
        "--from-shipped",
        action="store_true",
        help="begin each run with the variant's shipped champion, not from nothing",
    )
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="runs of each arm (default %(default)s)")
    parser.add_argument(
        "--match-games",
        type=int,
        default=40,
        metavar="N",
        help="games of a seed between looks (default %(default)s)",
    )
    parser.add_argument(
        "--most-match-games",
        type=int,
        default=400,
        metavar="N",
        help="games of a seed after which it stays undecided (default %(default)s)",
    )
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="self-play processes (default %(default)s)")
    parser.add_argument(
        "--ship",
        type=Path,
        metavar="FOLDER",
        help="copy record, page and games there, such as docs/experiments/NAME",
    )
    add_config_file(parser, "--config-file")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Make the experiment, or go on with it."""
    # Before torch starts its threads; see train.py.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from ringrift_loop.cli.learning.train import require_torch
    from ringrift_loop.cli.progress import followed
    from ringrift_loop.experiments.experiment import Plan, run_experiment
    from ringrift_loop.experiments.match_file import MATCHES
    from ringrift_loop.experiments.page import PAGE
    from ringrift_loop.experiments.record import RECORD, Arm, Budget, read_experiment
    from ringrift_loop.layout import RunDirectory

    require_torch()
    if args.seeds < 1 or args.workers < 1:
        raise ConfigError(f"--seeds and --workers must be at least 1, got {args.seeds} and {args.workers}")
    first, second = settings(args.first, "--first"), settings(args.second, "--second")
    if first == second:
        raise ConfigError(f"the arms must differ, both have {first or 'no setting of their own'}")
    plan = Plan(
        name=args.name,
        question=args.question,
        variant=args.variant,
        budget=Budget("games", args.games) if args.games is not None else Budget("core_seconds", args.core_seconds),
        arms=(Arm(arm_name(first), first), Arm(arm_name(second), second)),
        seeds=tuple(range(1, args.seeds + 1)),
        start="shipped" if args.from_shipped else "nothing",
        common=settings(args.set, "--set"),
        look_games=args.match_games,
        most_games=args.most_match_games,
    )
    folder = RunDirectory.from_environment().experiment(args.name)
    with followed(lambda: standing(read_experiment(folder))):
        experiment = run_experiment(plan, folder, config_path=args.config_file, workers=args.workers)
    if args.ship is not None:
        args.ship.mkdir(parents=True, exist_ok=True)
        for name in (RECORD, PAGE, MATCHES):
            shutil.copy(folder / name, args.ship / name)
    assert experiment.verdict is not None
    print(json.dumps({"folder": str(folder), **experiment.verdict.as_json()}))
    return 0


def standing(record: Experiment) -> Standing:
    """How much of all runs' budgets is used, and after that how many of the games at most are played."""
    from ringrift_loop.cli.progress import Standing

    kind, amount = record.budget.kind, record.budget.amount
    of_all = amount * len(record.arms) * len(record.seeds)
    used = sum(amount if run.finished else min(amount, getattr(run, kind)) for run in record.runs)
    if used < of_all:
        return Standing(f"Runs, {kind.replace('_', '-')}", used, of_all)
    played = sum(match.games for match in record.matches)
    return Standing("Matches, games at most", played, record.most_games * len(record.seeds))


def settings(given: Sequence[str], option: str) -> dict[str, str]:
    """Keys and values of `KEY=VALUE` arguments.

    Raises:
        ConfigError: one has no `=`, or a key is given twice.
    """
    found: dict[str, str] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or not key or key in found:
            raise ConfigError(f"{option} must be KEY=VALUE with a key of its own, got {text!r}")
        found[key] = value
    return found


def arm_name(own: dict[str, str]) -> str:
    """`considered_moves=4`: what people call an arm."""
    return ", ".join(f"{key.rpartition('.')[2]}={value}" for key, value in own.items()) or "as configured"
