"""Core-seconds of one match game of each variant, all of its seats searched with a network.

The figures of `tournament/duration.py` come from here: they say how long a gate may take on a machine that has not
played the variant yet. The network has random weights: what a move costs does not depend on what it has learnt, and its
games are rather long. It also evaluates single batches of 16 positions: by that rate of a model at its gate, the limit
of its games follows. CPU time of the process is counted, so a busy machine changes little. With --json the last line is
one JSON object.

    python benchmarks/matches.py --variant square8_2p --json
    python benchmarks/matches.py --variant all --games 4
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

# A match runs on one core.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def main() -> None:
    """Parse the command line, measure, print."""
    from ringrift_loop.engine.rules import VARIANTS
    from ringrift_loop.engine.warmup import compile_kernels
    from ringrift_loop.selfplay.warmup import compile_selfplay_kernels

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--variant", default="square8_2p", choices=[*VARIANTS, "all"], help="default square8_2p")
    parser.add_argument("--games", type=int, default=12, help="games at least, in whole blocks (default 12)")
    parser.add_argument("--simulations", type=int, default=32, help="simulations a move (default 32)")
    parser.add_argument("--blocks", type=int, default=2, help="residual blocks (default 2)")
    parser.add_argument("--channels", type=int, default=32, help="channels (default 32)")
    parser.add_argument("--json", action="store_true", help="print one JSON line last")
    args = parser.parse_args()

    compile_kernels()
    compile_selfplay_kernels()
    found, rates = {}, {}
    for variant in VARIANTS if args.variant == "all" else [args.variant]:
        seconds, games, plies, rate = seconds_of_a_game(variant, args)
        found[variant], rates[variant] = round(seconds, 3), round(rate)
        print(
            f"{variant}: {seconds:.3f} core-seconds a game, {plies:.0f} plies, mean of {games} games; {rate:.0f} "
            "evaluations a core-second",
            flush=True,
        )
    if args.json:
        figures = {"simulations": args.simulations, "core_seconds": found, "evaluations_per_core_second": rates}
        print(json.dumps({"benchmark": "matches", **figures}))


def seconds_of_a_game(variant: str, args: argparse.Namespace) -> tuple[float, int, float, float]:
    """Core-seconds a game, games played, mean plies, evaluations a core-second."""
    import torch

    from ringrift_loop.engine.rules import rules_for
    from ringrift_loop.engine.version import ENGINE_VERSION
    from ringrift_loop.network.export import architecture_for, save_model
    from ringrift_loop.network.model import RingRiftNet
    from ringrift_loop.promotion.model_tests import evaluations_per_core_second
    from ringrift_loop.promotion.subject import Subject
    from ringrift_loop.search.settings import SearchSettings
    from ringrift_loop.tournament.blocks import paired_block
    from ringrift_loop.tournament.play_match import MatchSettings, play_blocks
    from ringrift_loop.tournament.players import make_player

    torch.manual_seed(1)
    net = RingRiftNet(architecture_for(variant, blocks=args.blocks, channels=args.channels)).eval()
    seats = rules_for(variant).players
    with tempfile.TemporaryDirectory() as folder:
        manifest = save_model(
            net,
            Path(folder).joinpath,
            variant=variant,
            engine_version=ENGINE_VERSION,
            parent=None,
            training_run=None,
            created_at=time.time(),
        )
        search = SearchSettings(simulations=args.simulations)
        model = str(Path(folder) / manifest.digest)
        players = {name: make_player(model, variant, search=search, seed=seed) for seed, name in enumerate("ab")}
        plans = [paired_block(variant, "benchmark", "a", "b", seats, seed) for seed in range(-(-args.games // seats))]
        began = time.process_time()
        blocks = list(play_blocks(plans, players, MatchSettings(opening_plies=8), clock=time.time))
        used = time.process_time() - began
        rate = evaluations_per_core_second(Subject(variant, manifest.digest, Path(model), search, registered=False))
    rows = [row for block in blocks for row in block]
    return used / len(rows), len(rows), sum(row.plies for row in rows) / len(rows), rate


if __name__ == "__main__":
    main()
