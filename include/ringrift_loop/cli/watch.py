"""`ringrift-loop watch`: the page Overview in a terminal, renewed every two seconds."""

from __future__ import annotations

import argparse
import importlib.util
import signal
import sys
import time
from typing import TYPE_CHECKING

from ringrift_loop.cli.options import add_config_file
from ringrift_loop.errors import ConfigError

if TYPE_CHECKING:
    from ringrift_loop.loop import Loop
    from ringrift_loop.views.overview import LoopState

_EVERY_S = 2.0


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = sub.add_parser(
        "watch",
        help="the page Overview in a terminal, renewed every two seconds",
        description="Shows what the page Overview says: the state of the loop in a sentence; of each variant champion, "
        "rating and gain with their 95 % intervals, pending games against the threshold, what it does now and what "
        "was last decided; what runs, and the last events. Renews it every two seconds until Ctrl-C; prints it once "
        "without a terminal. Times are local.",
    )
    parser.add_argument("--once", action="store_true", help="print it once, as plain text")
    add_config_file(parser)
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Show the overview, once or until Ctrl-C."""
    if importlib.util.find_spec("rich") is None:
        raise ConfigError(
            "watch needs the package rich, which comes with Airflow; pip install -c constraints.txt "
            "'ringrift-loop[airflow]', or `ringrift-loop status`, which does without"
        )
    from rich.console import Console
    from rich.live import Live

    from ringrift_loop.cli.screen import screen
    from ringrift_loop.loop import Loop

    loop = Loop.open(config_path=args.config_file)
    console = Console()
    if args.once or not sys.stdout.isatty() or console.is_dumb_terminal:
        Console(color_system=None).print(screen(_state(loop)))
        return 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    live = Live(screen(_state(loop)), console=console, screen=True, auto_refresh=False)
    try:
        live.start(refresh=True)
        while True:
            time.sleep(_EVERY_S)
            live.update(screen(_state(loop)), refresh=True)
    except KeyboardInterrupt:
        return 0
    finally:
        live.stop()  # and the terminal has its cursor and its earlier text back, wherever it was interrupted


def _state(loop: Loop) -> LoopState:
    from ringrift_loop.launcher.leftovers import has_ended
    from ringrift_loop.views.overview import read_state

    hosts = [host.name for host in loop.inventory.enabled]
    with loop.ledger.read() as conn:
        return read_state(conn, loop.config, hosts, now=loop.clock(), stopped=has_ended(loop.directory))
