"""`ringrift-loop curriculum`: compute the variants' shares of self-play."""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = sub.add_parser(
        "curriculum",
        help="compute the variants' shares of self-play",
        description="Computes every variant's weight from its champion's rating, stores the weights and prints them "
        "as JSON.",
    )
    parser.add_argument(
        "--config-file",
        type=Path,
        default=None,
        metavar="FILE",
        help="configuration (default: $RINGRIFT_CONFIG, else config/unified_loop.yaml)",
    )
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Compute and print the weights."""
    from ringrift_loop.curriculum.weights import rebalance
    from ringrift_loop.loop import Loop

    print(json.dumps(rebalance(Loop.open(config_path=args.config_file))))
    return 0
