"""Command lines as the real program reads them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ringrift_loop.cli.entry import build_parser


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """The options of a `ringrift-loop` command line; ends with SystemExit where the program would refuse it."""
    return build_parser(arguments[0]).parse_args(arguments)
