"""`ringrift-loop engine`: compile the kernels, check the rules engine against recorded games."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommands."""
    parser = sub.add_parser(
        "engine", help="compile the rules engine, check it against recorded games", description="The rules engine."
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    step = actions.add_parser(
        "compile",
        help="compile the kernels of rules, search and encoding for this machine, once",
        description="Compiles what is not compiled yet; later processes load it in about a second. Reports on stderr.",
    )
    step.set_defaults(func=compile_all)

    check = actions.add_parser(
        "check-traces",
        help="replay recorded games; exit 1 at the first difference",
        description="Compares the legal moves, the state text and the digest at every ply, and the final result, with "
        "trace files (docs/3-rules.md 19), plain or .gz. Reports the first difference of each file.",
    )
    check.add_argument("files", nargs="+", type=Path, metavar="FILE", help="trace files, .jsonl or .jsonl.gz")
    check.add_argument(
        "--engine", choices=("kernel", "plain"), default="kernel", help="which engine to check (default kernel)"
    )
    check.set_defaults(func=check_traces)


def compile_all(_args: argparse.Namespace) -> int:
    """Compile every kernel."""
    from ringrift_loop.cli.progress import Standing, progress
    from ringrift_loop.engine.warmup import compile_kernels
    from ringrift_loop.selfplay.warmup import compile_selfplay_kernels

    steps = (compile_kernels, compile_selfplay_kernels)
    with progress() as report:
        for done, compile_one in enumerate(steps):
            report(Standing("Kernels", done, len(steps)))
            compile_one()
        report(Standing("Kernels", len(steps), len(steps)))
    return 0


def check_traces(args: argparse.Namespace) -> int:
    """Check trace files."""
    from ringrift_loop.engine.conformance.traces import run

    return run(args.files, sys.stdout, engine=args.engine)
