"""`ringrift-loop ugi`: the Universal Game Interface on stdin and stdout."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ringrift_loop.cli.options import variant_name
from ringrift_loop.config.schema import VARIANT_NAMES


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = sub.add_parser(
        "ugi",
        help="the Universal Game Interface on stdin and stdout",
        description="Speaks UGI, so that other programs can play against a model or a baseline. Options are set by the "
        "arguments here or by `setoption`; `ugi` lists them. Ready about two seconds after it starts; the first start "
        "after installation compiles the engine, which takes a minute or two (`ringrift-loop engine compile`).",
    )
    parser.add_argument(
        "--player",
        default="heuristic-search",
        help="random; heuristic, which looks one ply ahead; heuristic-search, a search with the same evaluation; "
        "mcts-N, N random games a move; champion, of the variant; champion:VARIANT; a model's digest, or the first "
        "digits of it (4 or more); a model's folder (default heuristic-search)",
    )
    parser.add_argument(
        "--variant",
        type=variant_name,
        help=f"{', '.join(VARIANT_NAMES)} (default: the playing model's, else square8_2p)",
    )
    parser.add_argument(
        "--search",
        default="gumbel32",
        help="none, puct<N> or gumbel<N>, with N simulations from 1 to 100000; constants follow with commas, c_puct, "
        "fpu, considered, c_visit, c_scale or noise, such as gumbel32,c_scale=0.5 (default gumbel32)",
    )
    parser.add_argument("--threads", default="1", help="threads of a model's evaluation, 1 to 64 (default 1)")
    parser.add_argument(
        "--home",
        type=Path,
        metavar="FOLDER",
        help="run directory of the loop whose champions and models are used (default: $RINGRIFT_HOME, else ./run)",
    )
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Answer until `quit` or the end of the input."""
    import queue
    import threading

    from ringrift_loop.layout import RunDirectory
    from ringrift_loop.ugi.named import named_player
    from ringrift_loop.ugi.options import UgiOptions
    from ringrift_loop.ugi.session import UgiSession

    directory = RunDirectory(args.home.resolve()) if args.home else RunDirectory.from_environment()
    options = UgiOptions()
    player = named_player(args.player, args.variant or options.variant, directory)
    variant = args.variant or player.variant or options.variant
    given = {"Variant": variant, "Player": args.player, "Search": args.search, "Threads": args.threads}
    for name, value in given.items():
        options = options.with_option(name, value)
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def listen() -> None:
        for line in sys.stdin:
            lines.put(line.rstrip("\r\n"))
        lines.put(None)

    session = UgiSession(lines, lambda line: print(line, flush=True), options, directory)
    session.open_player()
    threading.Thread(target=listen, name="ugi-input", daemon=True).start()
    session.run()
    return 0
