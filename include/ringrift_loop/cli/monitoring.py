"""`ringrift-loop monitoring`: the alert rules for Prometheus, the dashboards for Grafana, or drawn without it."""

from __future__ import annotations

import argparse
import json
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from ringrift_loop.cli.options import add_config_file
from ringrift_loop.errors import ConfigError, HostUnreachable

if TYPE_CHECKING:
    from ringrift_loop.json_value import JsonValue

_TIMEOUT_S = 30.0


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

    drawing = actions.add_parser(
        "draw",
        help="draw the dashboards from a Prometheus, without Grafana",
        description="Asks Prometheus every query of every dashboard and writes an SVG picture of each; prints their "
        "paths.",
    )
    drawing.add_argument("folder", type=Path, metavar="DIR", help="where to; it is made if it is not there")
    drawing.add_argument(
        "--prometheus", default="http://127.0.0.1:9090", metavar="URL", help="which one (default: %(default)s)"
    )
    drawing.add_argument(
        "--hours", type=float, default=1.0, metavar="H", help="time that the graphs show, h (default: %(default)s)"
    )
    drawing.set_defaults(func=draw_dashboards)


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


def draw_dashboards(args: argparse.Namespace) -> int:
    """Draw the dashboards."""
    from ringrift_loop.machine.files import write_whole
    from ringrift_loop.monitoring.dashboards import DASHBOARDS
    from ringrift_loop.monitoring.drawing import draw

    def ask(path: str) -> JsonValue:
        return _asked(args.prometheus, path)

    if not args.hours > 0:  # NaN is not either
        raise ConfigError(f"--hours must be above 0, got {args.hours:g}")
    paths, now = [], time.time()
    for dashboard in DASHBOARDS:
        if dashboard.panels:
            path = args.folder / f"{dashboard.uid}.svg"
            write_whole(path, draw(dashboard, ask, end=now, span_s=3600 * args.hours).encode())
            path.chmod(0o644)
            paths.append(str(path))
    print(json.dumps({"written": paths}))
    return 0


def _asked(url: str, path: str) -> JsonValue:
    """The `data` of an answer of Prometheus' API.

    Raises:
        HostUnreachable: it does not answer, or not as Prometheus would.
    """
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"{url.rstrip('/')}/api/v1/{path}", timeout=_TIMEOUT_S) as answer:
            data: JsonValue = json.loads(answer.read())["data"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise HostUnreachable(f"no answer of a Prometheus from {url}: {error}") from error
    return data
