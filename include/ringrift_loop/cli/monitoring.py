"""`ringrift-loop monitoring`: the alert rules for Prometheus and the dashboards for Grafana."""

from __future__ import annotations

import argparse

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


def print_rules(args: argparse.Namespace) -> int:
    """Print the rule file."""
    from ringrift_loop.config import load_config
    from ringrift_loop.monitoring.rules import rules_text

    print(rules_text(load_config(args.config_file)), end="")
    return 0
