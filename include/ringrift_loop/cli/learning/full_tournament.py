"""`ringrift-loop full-tournament`: a variant's champions against their ancestors and the baselines."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from ringrift_loop.cli.options import add_config_file, add_logins, add_variant, open_loop


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = sub.add_parser(
        "full-tournament",
        help="every champion of a variant against its ancestors and the baselines",
        description="Plays what is missing of the variant's full tournament, the most telling pairings first: each "
        "champion against those 1, 3, 10 and 30 promotions before it and the baselines. What the time does not suffice "
        "for, the next run plays. Stores the games in the match log and refits the ratings. Prints a report as JSON. "
        "Fails if no new game was played.",
    )
    add_variant(parser)
    parser.add_argument(
        "--games",
        type=int,
        default=None,
        metavar="N",
        help="games of a pairing, rounded up to whole blocks (default: 50)",
    )
    parser.add_argument(
        "--budget",
        type=float,
        default=None,
        metavar="SECONDS",
        help="portions of games are begun for so long, s (default: from the two intervals of evaluation)",
    )
    add_config_file(parser, "--config-file")
    add_logins(parser)
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Play the tournament."""
    from ringrift_loop.cli.progress import CountedArena, progress
    from ringrift_loop.cluster.jobs.host_arena import HostArena
    from ringrift_loop.tournament.duration import games_limit
    from ringrift_loop.tournament.full import run_full
    from ringrift_loop.tournament.remote.placement import SHADOW_LIMIT_S

    loop = open_loop(args)
    portion = loop.config.evaluation.shadow_games_per_config
    hosts = HostArena(loop, limit_s=games_limit(loop.config, args.variant, portion, floor_s=SHADOW_LIMIT_S))
    with progress() as tell:
        # Its total grows with each portion: how many there will be, the time decides.
        arena = CountedArena(hosts, f"Full tournament of {args.variant}", tell)
        report = run_full(loop, args.variant, args.games, budget=args.budget, arena=arena)
    print(json.dumps(asdict(report)))
    return 0
