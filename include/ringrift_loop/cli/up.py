"""`ringrift-loop up`: the whole loop on this machine, from one command."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = sub.add_parser(
        "up",
        help="start Airflow, the metrics bridge and the embedded hosts on this machine, until Ctrl-C",
        description="Checks the machine, prepares the databases, starts Airflow and the metrics bridge, and prints a "
        "line whenever something happens. Ctrl-C or SIGTERM stops everything within 20 seconds; the next start picks "
        "up where this one ended.",
    )
    parser.add_argument("--port", type=int, default=8080, help="port of Airflow's web page on 127.0.0.1 (default 8080)")
    parser.add_argument(
        "--home", type=Path, default=None, help="run directory (default: $RINGRIFT_HOME, else ./run)", metavar="FOLDER"
    )
    parser.add_argument(
        "--project",
        type=Path,
        default=Path(),
        help="the folder with dags/, plugins/ and config/, or one below it (default: here)",
        metavar="FOLDER",
    )
    parser.add_argument(
        "--login",
        action="store_true",
        help="ask for a password on the web page; it is generated and printed at the first such start",
    )
    parser.add_argument(
        "--fresh",
        action="store_true",
        help="begin a new run from nothing instead of with the shipped champions; the run remembers it",
    )
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Start the loop and stay until it is stopped."""
    from ringrift_loop.config import load_config
    from ringrift_loop.launcher.checks import is_of_this_machine
    from ringrift_loop.launcher.environment import Addresses
    from ringrift_loop.launcher.run import Launch, LaunchSettings
    from ringrift_loop.layout import RunDirectory
    from ringrift_loop.project import Project

    directory = RunDirectory(args.home.resolve()) if args.home else RunDirectory.from_environment()
    config = load_config()
    addresses = Addresses(
        port=args.port,
        metrics_port=config.metrics_port,
        statsd_host=config.statsd_host,
        statsd_port=config.statsd_port,
        has_bridge=is_of_this_machine(config.statsd_host),
    )
    settings = LaunchSettings(directory, Project.find(args.project), addresses, login=args.login, fresh=args.fresh)
    return Launch(settings, lambda text: print(text, file=sys.stderr, flush=True)).run()
