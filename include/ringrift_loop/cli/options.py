"""Options that several commands share."""

from __future__ import annotations

import argparse
from pathlib import Path

from ringrift_loop.config.schema import VARIANT_NAMES


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
