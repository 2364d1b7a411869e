"""`ringrift-loop host`: what the coordinator runs on a host by SSH, and nothing that a person needs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommands: one for each action, and the supervisor that `start-job` starts."""
    from ringrift_loop.cluster.agent.actions import ACTIONS

    parser = sub.add_parser(
        "host",
        help="what the coordinator runs on a host by SSH",
        description="The host's side of the SSH transport. Requests come on stdin, answers are one line of JSON.",
    )
    names = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for action in ACTIONS.values():
        description = (
            f"Request: {action.request.__name__}, answer: {action.answer.__name__}. {action.help.capitalize()}."
        )
        names.add_parser(action.name, help=action.help, description=description).set_defaults(func=act)
    supervise = names.add_parser(
        "run-job",
        help="supervise a job: what start-job starts",
        description="Runs a job to its end.",
    )
    supervise.add_argument("--id", required=True, help="the job's id")
    supervise.add_argument("--lock", type=int, help="an open lock file, closed once the job's process is on record")
    supervise.set_defaults(func=run_job)
    for one in names.choices.values():
        one.add_argument("--root", type=Path, required=True, help="the host's root folder")


def act(args: argparse.Namespace) -> int:
    """Read the request, do it, and answer."""
    from ringrift_loop.cluster.agent.actions import ACTIONS
    from ringrift_loop.cluster.agent.wire import MAX_REQUEST_BYTES, answer_text, read_request
    from ringrift_loop.layout import HostDirectory

    action = ACTIONS[args.action]
    request, token = read_request(sys.stdin.buffer.readline(MAX_REQUEST_BYTES), action.request)
    sys.stdout.write(answer_text(action.run(HostDirectory(args.root.resolve()), request), token))
    return 0


def run_job(args: argparse.Namespace) -> int:
    """Supervise a job to its end."""
    from ringrift_loop.cluster.agent.job_supervisor import supervise_job
    from ringrift_loop.layout import HostDirectory

    supervise_job(HostDirectory(args.root.resolve()), args.id, args.lock)
    return 0
