"""`ringrift-loop shadow`: one shadow tournament of a variant."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from ringrift_loop.cli.options import add_config_file, add_logins, add_variant, open_loop


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = sub.add_parser(
        "shadow",
        help="one shadow tournament of a variant",
        description="Plays a few games between candidate, champion, ancestors and baselines, stores them in the match "
        "log and refits the ratings. A champion that these games show to be weaker than its predecessor is rolled back "
        "(promotion.auto_rollback). The games are played on a host with the role `tournament` that is reached by "
        "SSH; here when there is none. Prints a report as JSON. Fails if no new game was played.",
    )
    add_variant(parser)
    parser.add_argument(
        "--games",
        type=int,
        default=None,
        metavar="N",
        help="games, rounded up to whole blocks (default: evaluation.shadow_games_per_config)",
    )
    add_config_file(parser, "--config-file")
    add_logins(parser)
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Play the tournament."""
    from ringrift_loop.cli.progress import CountedArena, progress
    from ringrift_loop.cluster.jobs.host_arena import HostArena
    from ringrift_loop.promotion.monitor import watch_champion
    from ringrift_loop.tournament.duration import games_limit
    from ringrift_loop.tournament.remote.placement import SHADOW_LIMIT_S
    from ringrift_loop.tournament.shadow import run_shadow

    loop = open_loop(args)
    games = args.games or loop.config.evaluation.shadow_games_per_config
    limit_s = games_limit(loop.config, args.variant, games, floor_s=SHADOW_LIMIT_S)
    with progress() as tell:
        arena = CountedArena(HostArena(loop, limit_s=limit_s), f"Shadow tournament of {args.variant}", tell)
        report = run_shadow(loop, args.variant, args.games, arena=arena)
    watch = watch_champion(loop, args.variant)
    print(json.dumps({**asdict(report), "watch": None if watch is None else asdict(watch)}))
    return 0
