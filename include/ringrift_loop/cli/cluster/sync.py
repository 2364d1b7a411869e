"""`ringrift-loop sync`: one cycle over all hosts, by hand."""

from __future__ import annotations

import argparse
import json

from ringrift_loop.cli.options import add_config_file


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = sub.add_parser(
        "sync",
        help="fetch new games from the hosts once",
        description="Visits every host that is due: fetches and checks new games, reads heartbeats, sends missing "
        "champions. Prints the report as JSON; exit 1 if a host failed, 75 if another cycle is running.",
    )
    parser.add_argument(
        "--host",
        action="append",
        default=[],
        metavar="NAME",
        help="only this host, even during its pause; may be repeated",
    )
    add_config_file(parser)
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """One cycle."""
    from ringrift_loop.cluster.sync.cycle import sync_once
    from ringrift_loop.loop import Loop

    report = sync_once(Loop.open(config_path=args.config_file), only=args.host)
    print(json.dumps(report.as_json(), indent=2))
    return 1 if report.failed or report.problems else 0
