"""`ringrift-loop regression-gate` and `champion-gate`: the two tests between a candidate and its promotion."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from itertools import pairwise
from typing import TYPE_CHECKING

from ringrift_loop.cli.options import add_config_file, add_logins, add_variant, open_loop
from ringrift_loop.promotion.gate_tests import TEST_NAMES

if TYPE_CHECKING:
    from ringrift_loop.promotion.champion import ChampionReport

_MODEL_HELP = "`champion`, a digest (or at least its first 8 characters), or the path of a model folder"


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommands."""
    regression = sub.add_parser(
        "regression-gate",
        help="the six tests that every candidate must pass",
        description="Runs the regression gate on a model and prints a table: valid file, latency, no illegal move, "
        "every game finishes, win rates against random and heuristic players. The verdict is recorded in the ledger. "
        "Exits 0 if every test passed, 1 if not.",
    )
    _add_model(regression)
    regression.add_argument("--verbose", "-v", action="store_true", help="print each test's sentence as well")
    regression.add_argument("--json", action="store_true", help="print one JSON object; the table goes to stderr")
    # One test gives no verdict that could be recorded.
    one_or_all = regression.add_mutually_exclusive_group()
    one_or_all.add_argument(
        "--test",
        choices=TEST_NAMES,
        default=None,
        help="run only this test and print its result as JSON; record nothing",
    )
    one_or_all.add_argument(
        "--candidate",
        action="store_true",
        help="the model is up for promotion: if blocked, the promotion history records that too",
    )
    regression.add_argument(
        "--timeout", type=float, default=None, metavar="S", help="deadline, s (default: regression.timeout_seconds)"
    )
    regression.set_defaults(func=run_regression)
    champion = sub.add_parser(
        "champion-gate",
        help="play a candidate against the champion until decided",
        description="Plays a candidate against its variant's champion until the rule of promotion.looks decides, then "
        "checks it against the last three champions and the fixed players. Resumes an interrupted one. "
        "Exits 0 if it passed, 1 if not.",
    )
    _add_model(champion)
    champion.add_argument("--json", action="store_true", help="print one JSON object; the sentences go to stderr")
    champion.set_defaults(func=run_champion)


def run_regression(args: argparse.Namespace) -> int:
    """Run the regression gate, or one of its tests."""
    from ringrift_loop.cli.progress import CountedArena, progress
    from ringrift_loop.cluster.jobs.host_arena import HostArena
    from ringrift_loop.promotion.regression import run_gate, run_test
    from ringrift_loop.promotion.report import gate_table
    from ringrift_loop.promotion.subject import subject_of

    loop = open_loop(args)
    subject = subject_of(loop, args.model, args.variant)
    hosts = HostArena(loop, folders={subject.digest: str(subject.folder)})
    if args.test is not None:
        with progress() as tell:
            arena = CountedArena(hosts, args.test, tell)
            result = run_test(args.test, loop, args.model, args.variant, args.timeout, arena=arena)
        print(json.dumps(asdict(result)))
        return 0 if result.passed else 1
    with progress() as tell:
        arena = CountedArena(hosts, "Regression gate", tell)
        report = run_gate(loop, args.model, args.variant, arena=arena, timeout_s=args.timeout, candidate=args.candidate)
    print(gate_table(report, verbose=args.verbose), file=sys.stderr if args.json else sys.stdout)
    if args.json:
        print(json.dumps(report.as_json()))
    return 0 if report.passed else 1


def run_champion(args: argparse.Namespace) -> int:
    """Run the champion gate."""
    from ringrift_loop.cli.progress import CountedArena, progress
    from ringrift_loop.cluster.jobs.host_arena import HostArena
    from ringrift_loop.promotion.champion import champion_gate
    from ringrift_loop.promotion.subject import subject_of
    from ringrift_loop.tournament.duration import games_limit
    from ringrift_loop.tournament.remote.placement import LIMIT_S

    loop = open_loop(args)
    looks = (0, *loop.config.promotion.looks)
    games = max(after - before for before, after in pairwise(looks))
    arena = HostArena(loop, limit_s=games_limit(loop.config, args.variant, games, floor_s=LIMIT_S))
    with progress() as tell:
        counted = CountedArena(arena, "Champion gate", tell)
        report = champion_gate(loop, subject_of(loop, args.model, args.variant).digest, arena=counted)
    print(_champion_text(report), file=sys.stderr if args.json else sys.stdout)
    if args.json:
        print(json.dumps(report.as_json()))
    return 0 if report.passed else 1


def _champion_text(report: ChampionReport) -> str:
    lines = [
        f"{report.variant}  candidate {report.model_digest[:12]}  champion {(report.champion_digest or 'none')[:12]}"
    ]
    if report.error_rates:
        lines.append(report.error_rates)
    lines += report.reasons
    for seen in report.comparisons:
        lines.append(
            f"against {seen.opponent[:40]}: {seen.gain:+.0f} ± {1.96 * seen.stderr:.0f} Elo (all games pooled)"
        )
    lines.append(f"champion gate {'passed' if report.passed else 'FAILED'} in {report.seconds:.1f} s")
    return "\n".join(lines)


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, help=_MODEL_HELP)
    add_variant(parser)
    add_config_file(parser, "--config-file")
    add_logins(parser)
