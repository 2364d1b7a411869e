"""`ringrift-loop match-bundle`: play the matches of a bundle, on a machine without ledger and configuration."""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = sub.add_parser(
        "match-bundle",
        help="play the matches of a bundle: what a tournament host runs",
        description="Plays the blocks of games that the bundle names and leaves a file for each block in the output "
        "folder. If killed and run again, it plays those whose files are missing. Prints the number of blocks played "
        "as one line of JSON. The coordinator starts it as a job on a host with the role `tournament`.",
    )
    parser.add_argument("--bundle", type=Path, required=True, metavar="DIR", help="the folder with bundle.json")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="for the blocks' files")
    parser.add_argument(
        "--root", type=Path, required=True, metavar="DIR", help="the host's root folder, with its models by digest"
    )
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Play the blocks."""
    from ringrift_loop.layout import HostDirectory
    from ringrift_loop.tournament.remote.run_bundle import run_bundle

    print(json.dumps({"blocks": run_bundle(args.bundle, args.output, HostDirectory(args.root))}))
    return 0
