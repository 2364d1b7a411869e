"""Options that several commands share."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ringrift_loop.config.schema import VARIANT_NAMES

if TYPE_CHECKING:
    from ringrift_loop.loop import Loop


def variant_name(text: str) -> str:
    """The text, when it names one of the twelve variants; for argparse's `type`.

    Raises:
        argparse.ArgumentTypeError: it does not; the message names them.
    """
    if text not in VARIANT_NAMES:
        raise argparse.ArgumentTypeError(f"no variant named {text!r}; the variants are {', '.join(VARIANT_NAMES)}")
    return text


def add_variant(parser: argparse.ArgumentParser) -> None:
    """Add `--config VARIANT`, the guide's word, with our own `--variant` beside it."""
    parser.add_argument(
        "--config",
        "--variant",
        dest="variant",
        type=variant_name,
        required=True,
        metavar="VARIANT",
        help="variant, such as square8_2p",
    )


def add_config_file(parser: argparse.ArgumentParser, *names: str) -> None:
    """Add `--config FILE`, or under other names where `--config` is the guide's word for the variant."""
    text = "configuration (default: $RINGRIFT_CONFIG, else config/unified_loop.yaml)"
    parser.add_argument(*(names or ("--config",)), dest="config_file", type=Path, metavar="FILE", help=text)


def add_logins(parser: argparse.ArgumentParser) -> None:
    """Add `--logins FILE`, for a command that plays matches and so may use hosts."""
    text = "how to log in at hosts, instead of what the inventory says; tasks give what Airflow's connections say"
    parser.add_argument("--logins", type=Path, metavar="FILE", help=text)


def open_loop(args: argparse.Namespace) -> Loop:
    """The loop of a command with `add_config_file` and `add_logins`."""
    from ringrift_loop.hosts.logins import with_logins
    from ringrift_loop.loop import Loop

    loop = Loop.open(config_path=args.config_file)
    return loop if args.logins is None else replace(loop, inventory=with_logins(loop.inventory, args.logins))
