"""`ringrift-loop ugi`: the Universal Game Interface on stdin and stdout."""

from __future__ import annotations

import argparse
import sys

from ringrift_loop.cli.options import variant_name


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = sub.add_parser(
        "ugi",
        help="the Universal Game Interface on stdin and stdout",
        description="Speaks UGI, so that other programs can play against a model or a baseline. Options are set by the "
        "arguments here or by `setoption`; `ugi` lists them.",
    )
    parser.add_argument(
        "--player",
        default="heuristic-search",
        help="random, heuristic, heuristic-search, mcts-N, a model's digest or folder (default heuristic-search)",
    )
    parser.add_argument(
        "--variant", type=variant_name, default="square8_2p", help="such as hex8_3p (default square8_2p)"
    )
    parser.add_argument("--search", default="gumbel32", help="puct<N> or gumbel<N> simulations (default gumbel32)")
    parser.add_argument("--threads", type=int, default=1, help="threads of a model's evaluation (default 1)")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Answer until `quit` or the end of the input."""
    import queue
    import threading

    from ringrift_loop.layout import RunDirectory
    from ringrift_loop.ugi.options import UgiOptions
    from ringrift_loop.ugi.session import UgiSession

    given = {"Variant": args.variant, "Player": args.player, "Search": args.search, "Threads": str(args.threads)}
    options = UgiOptions()
    for name, value in given.items():
        options = options.with_option(name, value)
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def listen() -> None:
        for line in sys.stdin:
            lines.put(line.rstrip("\r\n"))
        lines.put(None)

    threading.Thread(target=listen, name="ugi-input", daemon=True).start()
    UgiSession(lines, lambda line: print(line, flush=True), options, RunDirectory.from_environment()).run()
    return 0
