"""`ringrift-loop export-state`: the deployment guide's state file, made from the ledger."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ringrift_loop.cli.options import add_config_file


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = sub.add_parser(
        "export-state",
        help="the guide's unified_loop_state.json, made from the ledger",
        description="Prints the state as one JSON object with the keys of the deployment guide's "
        "unified_loop_state.json, so that its jq commands work. A copy: the ledger is the state, and nothing reads "
        "the file back.",
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="write it there, whole, instead of printing it")
    add_config_file(parser)
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Print or write the state."""
    from ringrift_loop.launcher.leftovers import has_ended
    from ringrift_loop.loop import Loop
    from ringrift_loop.machine.files import write_whole
    from ringrift_loop.status.state_file import state_document

    loop = Loop.open(config_path=args.config_file)
    stopped = has_ended(loop.directory)
    with loop.ledger.read() as conn:
        document = state_document(conn, loop.config, loop.inventory, now=loop.clock(), stopped=stopped)
    text = json.dumps(document, indent=2)
    if args.output is None:
        print(text)
    else:
        write_whole(args.output, f"{text}\n".encode())
    return 0
