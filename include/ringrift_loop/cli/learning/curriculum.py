"""`ringrift-loop curriculum`: compute the variants' shares of self-play."""

from __future__ import annotations

import argparse
import json

from ringrift_loop.cli.options import add_config_file


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = sub.add_parser(
        "curriculum",
        help="compute the variants' shares of self-play",
        description="Computes every variant's weight from its champion's rating, stores the weights and prints them "
        "as JSON.",
    )
    add_config_file(parser, "--config-file")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Compute and print the weights."""
    from ringrift_loop.curriculum.weights import rebalance
    from ringrift_loop.loop import Loop

    print(json.dumps(rebalance(Loop.open(config_path=args.config_file))))
    return 0
