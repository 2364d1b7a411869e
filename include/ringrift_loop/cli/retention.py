"""`ringrift-loop retention`: what can be deleted, and deleting it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from ringrift_loop.cli.options import add_config_file


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = sub.add_parser(
        "retention",
        help="say what nothing refers to and is too old or too much; with --apply, delete it",
        description="Looks at segments, training runs with their checkpoints, models, what crashes have left of "
        "matches on hosts, task logs and Airflow's own tables. What the ledger refers to stays, whatever its age; so "
        "does everything younger than a day. The limits stand in the configuration under `retention`. Prints what goes "
        "on stderr and one JSON object on stdout.",
    )
    parser.add_argument("--apply", action="store_true", help="delete; without it nothing is changed")
    parser.add_argument(
        "--logs", type=Path, action="append", default=[], metavar="FOLDER", help="one more folder of task logs"
    )
    add_config_file(parser)
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Look, and delete when told to."""
    from ringrift_loop.launcher.airflow_tables import clean_airflow
    from ringrift_loop.loop import Loop
    from ringrift_loop.retention.plan import DAY_S
    from ringrift_loop.retention.retain import retain

    def say(line: str) -> None:
        print(line, file=sys.stderr)

    loop = Loop.open(config_path=args.config_file)
    report = retain(loop, apply=args.apply, log_folders=args.logs, say=say)
    say(
        clean_airflow(
            loop.directory, before=loop.clock() - loop.config.retention.airflow_days * DAY_S, apply=args.apply
        )
    )
    print(json.dumps(report.as_json()))
    return 0
