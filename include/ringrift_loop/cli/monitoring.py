"""`ringrift-loop monitoring`: the alert rules for Prometheus and the dashboards for Grafana."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ringrift_loop.cli.options import add_config_file


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommands."""
    parser = sub.add_parser(
        "monitoring", help="alert rules and dashboards", description="Files for Prometheus and Grafana."
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    rules = actions.add_parser(
        "rules",
        help="print the alert rules for Prometheus",
        description="Prints the rule file with the limits of this configuration (section `alerts` and others).",
    )
    add_config_file(rules)
    rules.set_defaults(func=print_rules)

    boards = actions.add_parser(
        "dashboards",
        help="write the dashboards for Grafana into a folder",
        description="Writes a JSON file for each dashboard, to be imported or provisioned; prints their paths.",
    )
    boards.add_argument("folder", type=Path, metavar="DIR", help="where to; it is made if it is not there")
    boards.set_defaults(func=write_dashboards)


def print_rules(args: argparse.Namespace) -> int:
    """Print the rule file."""
    from ringrift_loop.config import load_config
    from ringrift_loop.monitoring.rules import rules_text

    print(rules_text(load_config(args.config_file)), end="")
    return 0


def write_dashboards(args: argparse.Namespace) -> int:
    """Write the dashboards."""
    from ringrift_loop.machine.files import write_whole
    from ringrift_loop.monitoring.dashboards import DASHBOARDS
    from ringrift_loop.monitoring.grafana import dashboard_text

    paths = []
    for dashboard in DASHBOARDS:
        path = args.folder / f"{dashboard.uid}.json"
        write_whole(path, dashboard_text(dashboard).encode())
        path.chmod(0o644)  # Grafana reads it as another user
        paths.append(str(path))
    print(json.dumps({"written": paths}))
    return 0
