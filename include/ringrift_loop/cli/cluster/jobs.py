"""`ringrift-loop jobs`: the jobs that run detached on hosts, for people."""

from __future__ import annotations

import argparse
import asyncio
import json
from dataclasses import asdict

from ringrift_loop.cli.options import add_config_file


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommands."""
    parser = sub.add_parser(
        "jobs", help="list and cancel the jobs that run detached on hosts", description="Detached jobs on hosts."
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listed = actions.add_parser(
        "list",
        help="the newest jobs, from the ledger",
        description="Prints one JSON object per line, the last placed first; contacts no host.",
    )
    listed.add_argument("--limit", type=int, default=50, help="how many (default 50)")
    listed.set_defaults(func=show)
    ended = actions.add_parser(
        "cancel",
        help="end a job with all its processes",
        description="Asks the job's host and waits until it has ended there. The task that runs it fails.",
    )
    ended.add_argument("id", help="the job's id")
    ended.set_defaults(func=cancel)
    for action in (listed, ended):
        add_config_file(action)


def show(args: argparse.Namespace) -> int:
    """Print the ledger's rows."""
    from ringrift_loop.ledger import jobs
    from ringrift_loop.loop import Loop

    with Loop.open(config_path=args.config_file).ledger.read() as conn:
        rows = jobs.all_jobs(conn, limit=args.limit)
    for row in rows:
        print(json.dumps(asdict(row)))
    return 0


def cancel(args: argparse.Namespace) -> int:
    """Cancel one job."""
    from ringrift_loop.cluster.jobs import lifecycle as jobs
    from ringrift_loop.loop import Loop

    print(json.dumps({"was_active": asyncio.run(jobs.cancel(Loop.open(config_path=args.config_file), args.id))}))
    return 0
