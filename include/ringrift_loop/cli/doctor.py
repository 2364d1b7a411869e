"""`ringrift-loop doctor`: what is wrong on this machine, in the loop and on the hosts, each with its remedy."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from ringrift_loop.cli.options import add_config_file


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = sub.add_parser(
        "doctor",
        help="what is wrong here and on the hosts, each with its remedy",
        description="Checks this machine, the loop and every enabled host, and changes nothing. Prints a line for each "
        "check, and below each complaint what would be right and a command to type. Exit status 1 if a check failed. "
        "The table of checks is in docs/5-operations.md.",
    )
    parser.add_argument(
        "--host",
        action="append",
        default=[],
        metavar="NAME",
        help="only this host, even a disabled one; may be repeated",
    )
    parser.add_argument(
        "--local", action="store_true", help="only this machine and the loop; with --host, those hosts as well"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_config_file(parser)
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Make the checks and print them."""
    from ringrift_loop.doctor.examine import examine
    from ringrift_loop.doctor.findings import FAILED, table

    names = args.host if args.host or args.local else None
    with _as_the_components_see():
        findings = examine(here=args.local or not args.host, names=names, config_path=args.config_file)
    failed = any(finding.status == FAILED for finding in findings)
    if args.json:
        print(json.dumps({"ok": not failed, "findings": [asdict(finding) for finding in findings]}, indent=2))
    else:
        print(table(findings))
    return 1 if failed else 0


@contextmanager
def _as_the_components_see() -> Iterator[None]:
    """The environment of the loop that runs in the run directory, or the one that the next start here would make."""
    from ringrift_loop.errors import ConfigError
    from ringrift_loop.launcher.environment import read_shell_file, shell_file
    from ringrift_loop.launcher.leftovers import is_running
    from ringrift_loop.layout import RunDirectory
    from ringrift_loop.project import Project

    before = dict(os.environ)
    directory = RunDirectory.from_environment()
    if is_running(directory):
        others = {name: value for name, value in before.items() if not name.startswith(("AIRFLOW__", "RINGRIFT_"))}
        seen = others | read_shell_file(shell_file(directory))
    else:
        seen = before
        with suppress(ConfigError):  # a host that only works has no project
            seen = Project.find(Path.cwd()).loop_files() | before
    os.environ.clear()
    os.environ.update(seen)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
