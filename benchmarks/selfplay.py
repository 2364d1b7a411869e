"""Self-play on one core: games an hour, evaluations a second, share of the time in the network.

    python benchmarks/selfplay.py --variant square8_2p --seconds 30 --json
    python benchmarks/selfplay.py --model run/models/<digest> --threads 1

Without --model the heuristic-guided search of the first games plays. --blocks and --channels make an untrained
network of that size instead. Counting begins after --warm-up, when games of all ages run: before that only short ones
have ended.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from ringrift_loop.config import Selfplay
from ringrift_loop.engine.rules import rules_for
from ringrift_loop.layout import HostDirectory
from ringrift_loop.network.inference import open_evaluator
from ringrift_loop.search.leaves import HeuristicLeaves, LeafEvaluator, NetworkLeaves
from ringrift_loop.selfplay.play_games import Origin, SelfplayGames
from ringrift_loop.selfplay.played_variant import play_settings
from ringrift_loop.selfplay.warmup import compile_selfplay_kernels


def untrained_model(variant: str, blocks: int, channels: int, folder: Path) -> Path:
    """The folder of a network with random weights."""
    import torch

    from ringrift_loop.network.export import architecture_for, save_model
    from ringrift_loop.network.model import RingRiftNet

    torch.manual_seed(0)
    host = HostDirectory(folder)
    manifest = save_model(
        RingRiftNet(architecture_for(variant, blocks=blocks, channels=channels)),
        host.model,
        variant=variant,
        created_at=time.time(),
    )
    return host.model(manifest.digest)


def measure(
    variant: str, leaves: LeafEvaluator, player: str, settings: Selfplay, warm_up: float, seconds: float
) -> dict[str, object]:
    """Play for `warm_up` and then `seconds`; returns the figures of the latter."""
    bootstrap = player == "heuristic-search"
    games = SelfplayGames(
        variant, player, leaves, play_settings(settings, bootstrap=bootstrap), Origin("bench", "0", "bench", 0)
    )
    started = finished = 0
    plies: list[int] = []
    began = mark = time.perf_counter()
    evaluations = 0
    cpu = network = 0.0
    counting = False
    while time.perf_counter() - mark < (seconds if counting else warm_up):
        room = games.room
        if room:  # as a worker does
            games.start(range(started, started + room))
            started += room
        for record in games.round():
            plies.append(record.plies)
            finished += counting
        if not counting and time.perf_counter() - began >= warm_up:
            counting, mark, cpu = True, time.perf_counter(), time.process_time()
            evaluations, network = leaves.evaluations, leaves.network_seconds
    wall, used = time.perf_counter() - mark, time.process_time() - cpu
    return {
        "variant": variant,
        "player": player,
        "games_per_hour": round(finished / used * 3600),
        "games": finished,
        "evaluations_per_s": round((leaves.evaluations - evaluations) / used),
        "network_share": round((leaves.network_seconds - network) / wall, 3),
        "mean_plies": round(sum(plies) / max(1, len(plies)), 1),
        "cpu_share": round(used / wall, 2),
    }


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Measure self-play on one core. Rates are per second of CPU time.")
    parser.add_argument("--variant", default="square8_2p")
    parser.add_argument("--seconds", type=float, default=30.0, help="measured time (default 30)")
    parser.add_argument(
        "--warm-up", type=float, default=20.0, help="time before, until games of all ages run (default 20)"
    )
    parser.add_argument("--model", type=Path, help="folder of a model (default: the heuristic-guided search)")
    parser.add_argument("--blocks", type=int, help="an untrained network with so many blocks")
    parser.add_argument("--channels", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one line of JSON last")
    args = parser.parse_args()
    compile_selfplay_kernels()
    rules = rules_for(args.variant)
    leaves: LeafEvaluator = HeuristicLeaves(rules)
    player = "heuristic-search"
    with tempfile.TemporaryDirectory() as folder:
        model = args.model
        if args.blocks:
            model = untrained_model(args.variant, args.blocks, args.channels, Path(folder))
        if model:
            leaves, player = NetworkLeaves(rules, open_evaluator(model, threads=args.threads)), model.name
        figures = measure(args.variant, leaves, player, Selfplay(), args.warm_up, args.seconds)
    for name, value in figures.items():
        print(f"{name:20} {value}")
    if args.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
