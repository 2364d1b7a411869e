"""`ringrift-loop deploy`: this version of the program to the hosts, the plan first."""

from __future__ import annotations

import argparse
from pathlib import Path

from ringrift_loop.cli.options import add_config_file


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand; the options are the deployment guide's, and a few more."""
    parser = sub.add_parser(
        "deploy",
        help="install this version on the hosts",
        description="Builds this program's wheel and installs it, with the versions in constraints.txt, in each "
        "host's remote_path: beside what is there, checked by a handshake, then switched to. Prints the plan first. "
        "The host's workers finish before the switch; the loop starts them again. A host that is up to date is left "
        "alone. Exit 1 if a host failed.",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--primary", action="store_true", help="only hosts for training, hp_tuning or tournaments")
    which.add_argument("--selfplay", action="store_true", help="only self-play hosts")
    parser.add_argument("--host", action="append", default=[], metavar="NAME", help="only this host; may be repeated")
    parser.add_argument(
        "--install-systemd",
        action="store_true",
        help="install the systemd units: self-play on the hosts, the loop on this machine",
    )
    parser.add_argument("--restart", action="store_true", help="drain and restart the workers, and the units")
    parser.add_argument("--dry-run", action="store_true", help="print the plan and change nothing")
    parser.add_argument(
        "--no-hot-reload", action="store_true", help="the hosts' workers keep their model until they are restarted"
    )
    parser.add_argument(
        "--wheel", type=Path, metavar="FILE", help="install this wheel (default: built from the source)"
    )
    add_config_file(parser)
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Plan, tell, deploy."""
    from ringrift_loop.cli.progress import Standing, progress
    from ringrift_loop.config import load_config
    from ringrift_loop.deployment import plan as deploy_plan
    from ringrift_loop.deployment.project import deploy_project
    from ringrift_loop.hosts.inventory import load_inventory
    from ringrift_loop.layout import RunDirectory

    scope = deploy_plan.PRIMARY if args.primary else deploy_plan.SELFPLAY_HOSTS if args.selfplay else deploy_plan.ALL
    with progress() as tell:
        report = deploy_project(
            load_inventory(),
            load_config(args.config_file),
            deploy_plan.Wish(args.install_systemd, args.restart, not args.no_hot_reload),
            say=print,
            tell=lambda done, total: tell(Standing("Machines", done, total)),
            scope=scope,
            names=args.host,
            dry_run=args.dry_run,
            wheel=args.wheel,
            run=RunDirectory.from_environment(),
        )
    if report.results:
        print(report.table())
    return 1 if report.failed else 0
