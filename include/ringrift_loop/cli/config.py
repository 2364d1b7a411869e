"""`ringrift-loop config show` and `config check`: the values in force, where each came from, and what is wrong."""

from __future__ import annotations

import argparse
import json
import sys

from ringrift_loop.cli.options import add_config_file
from ringrift_loop.config import EffectiveConfig, as_dict, config_hash, load_effective
from ringrift_loop.config.notifier import check_notifier
from ringrift_loop.config.reference import reference_page
from ringrift_loop.text import aligned


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = sub.add_parser(
        "config",
        help="show or check the configuration",
        description="The configuration: config/unified_loop.yaml, the preset it names, and RINGRIFT__SECTION__KEY in "
        "the environment. docs/6-configuration.md lists every key.",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    show = actions.add_parser(
        "show",
        help="print every value in force and where it came from",
        description="Prints every value in force and where it came from: a default, the preset, a line of the file, or "
        "an environment variable.",
    )
    show.add_argument("--json", action="store_true", help="print one JSON object: hash, path, values and origins")
    show.set_defaults(func=run_show)
    check = actions.add_parser(
        "check",
        help="read the file; exit 2 and name every mistake with its line",
        description="Reads the configuration and names every mistake with file and line. Exit status 0 or 2.",
    )
    check.set_defaults(func=run_check)
    reference = actions.add_parser(
        "reference",
        help="print docs/6-configuration.md, generated from the schema",
        description="Prints the page docs/6-configuration.md as it follows from the schema.",
    )
    reference.set_defaults(func=run_reference)
    for action in (show, check):
        add_config_file(action)


def run_show(args: argparse.Namespace) -> int:
    """Print the values in force."""
    effective = load_effective(args.config_file)
    if args.json:
        print(json.dumps(_document(effective), indent=2))
    else:
        print(_table(effective))
    return 0


def run_check(args: argparse.Namespace) -> int:
    """Read the configuration; a mistake raises `ConfigError`."""
    effective = load_effective(args.config_file)
    check_notifier(effective.config.notifications)
    print(f"{effective.path or 'no file, the defaults apply'}: no mistakes", file=sys.stderr)
    print(json.dumps({"ok": True, "path": _path(effective), "hash": config_hash(effective.config)}))
    return 0


def run_reference(args: argparse.Namespace) -> int:
    """Print the reference page."""
    print(reference_page(), end="")
    return 0


def _document(effective: EffectiveConfig) -> dict[str, object]:
    values = as_dict(effective.config)
    return {
        "hash": config_hash(effective.config),
        "path": _path(effective),
        "values": {name: {"value": value, "origin": effective.origins[name]} for name, value in values.items()},
    }


def _table(effective: EffectiveConfig) -> str:
    rows = [(name, _short(value), effective.origins[name]) for name, value in as_dict(effective.config).items()]
    return "\n".join([*aligned(rows), f"hash {config_hash(effective.config)}"])


def _short(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _path(effective: EffectiveConfig) -> str | None:
    return None if effective.path is None else str(effective.path)
