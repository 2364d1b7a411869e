"""Speed of training: samples a second of the whole step, and of making its batches alone.

The window is made of random games with made-up targets; what a step costs does not depend on what is learnt. With
--json the last line is one JSON object.

    python benchmarks/training.py --variant square8_2p --threads 1 --json

By torchrun it measures processes that share each batch; threads and busy cores are then those of each process:

    torchrun --standalone --local-addr 127.0.0.1 --nproc-per-node 2 benchmarks/training.py --threads 1 --json
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

# As `ringrift-loop train` does: before torch starts its threads.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

if TYPE_CHECKING:
    from ringrift_loop.selfplay.records import ReplayedGame
    from ringrift_loop.training.fit import FitTask
    from ringrift_loop.training.team import Team


def main() -> None:
    """Parse the command line, measure, print."""
    import torch

    from ringrift_loop.engine.rules import VARIANTS
    from ringrift_loop.network.export import architecture_for
    from ringrift_loop.network.model import RingRiftNet
    from ringrift_loop.training.fit import fit
    from ringrift_loop.training.team import alone, join

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--variant", default="square8_2p", choices=list(VARIANTS), help="default square8_2p")
    parser.add_argument("--blocks", type=int, default=2, help="residual blocks (default 2)")
    parser.add_argument("--channels", type=int, default=32, help="channels (default 32)")
    parser.add_argument("--batch-size", type=int, default=256, help="rows a step (default 256)")
    parser.add_argument("--steps", type=int, default=60, help="steps to measure (default 60)")
    parser.add_argument("--games", type=int, default=100, help="games of the window (default 100)")
    parser.add_argument("--threads", type=int, default=1, help="torch's threads (default 1)")
    parser.add_argument("--json", action="store_true", help="print one JSON line last")
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    team = alone(torch.device("cpu")) if processes == 1 else join(int(os.environ["LOCAL_RANK"]), processes)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        task = make_task(Path(folder), args, team)
        window_s = time.perf_counter() - began
        batch_ms = batch_time_ms(task)
        net = RingRiftNet(architecture_for(args.variant, blocks=args.blocks, channels=args.channels))
        cpu = time.process_time()
        result = fit(net, task)
        cpu = time.process_time() - cpu
    if not team.is_first:
        return
    speed = result.samples / result.seconds
    share = cpu / result.seconds
    print(f"{speed:.0f} samples/s, {1000 * result.seconds / result.steps:.1f} ms a step, {share:.2f} cores busy")
    print(f"{batch_ms:.1f} ms to make a batch; {args.games} games played and replayed in {window_s:.1f} s")
    if args.json:
        document = {
            "benchmark": "training",
            "variant": args.variant,
            "architecture": net.architecture.name,
            "batch_size": args.batch_size,
            "threads": args.threads,
            "processes": processes,
            "samples_per_s": speed,
            "cores_busy": share,
            "batch_ms": batch_ms,
        }
        print(json.dumps(document))


def make_task(folder: Path, args: argparse.Namespace, team: Team) -> FitTask:
    """A training task on a window of random games."""
    from ringrift_loop.config.schema import Training
    from ringrift_loop.engine.rules import rules_for
    from ringrift_loop.training.batches import BatchMaker, DrawnRows
    from ringrift_loop.training.fit import FitTask
    from ringrift_loop.training.schedule import Schedule
    from ringrift_loop.training.window import WindowWriter

    rules = rules_for(args.variant)
    games = list(random_games(args.variant, args.games))
    rows = sum(int((game.choices > 1).sum()) for game in games)
    writer = WindowWriter(folder / "window", rules, rows=rows, games=len(games))
    for number, game in enumerate(games):
        writer.add(game, validation=number % 10 == 0)
    window = writer.finish("benchmark")
    return FitTask(
        maker=BatchMaker(rules, args.variant, window, value_outcome_share=0.6),
        training_rows=DrawnRows(window.row_numbers(validation=False)),
        # The measurement of the losses is not what is timed here.
        validation_rows=DrawnRows(window.row_numbers(validation=True)[:32]),
        settings=Training(batch_size=args.batch_size, checkpoint_seconds=3600),
        schedule=Schedule(
            steps=args.steps, warmup=10, rate=1e-3, rate_final=1e-3, ema_decay=0.99, validate_every=args.steps
        ),
        seed=1,
        identity="benchmark",
        folder=folder,
        team=team,
    )


def batch_time_ms(task: FitTask) -> float:
    """Time to make one batch in one thread."""
    from ringrift_loop.training.batches import draw

    size, rounds = task.settings.batch_size, 10
    began = 0.0
    for step in range(rounds + 1):
        if step == 1:  # the first one compiles
            began = time.perf_counter()
        task.maker.make(*draw(task.training_rows, seed=1, step=step, size=size, symmetries=task.maker.num_symmetries))
    return 1000 * (time.perf_counter() - began) / rounds


def random_games(variant: str, count: int) -> Iterator[ReplayedGame]:
    """Uniformly random games; every second ply with a choice has a made-up policy target of up to 16 moves."""
    from ringrift_loop.engine.game import RESULT_NAMES
    from ringrift_loop.engine.kernels import apply_move, legal_moves, make_work, new_states
    from ringrift_loop.engine.rules import rules_for
    from ringrift_loop.engine.state import RESULT, WINNER
    from ringrift_loop.selfplay.entries import policy_entries
    from ringrift_loop.selfplay.records import ReplayedGame
    from ringrift_loop.selfplay.targets import SearchTarget

    rules = rules_for(variant)
    work: Any = make_work(rules)
    scratch = np.empty(rules.max_moves, np.int64)
    rng = np.random.default_rng(1)
    for _ in range(count):
        states = [new_states(rules, 1)[0]]
        moves: list[int] = []
        choices: list[int] = []
        targets: list[SearchTarget] = []
        while (number := int(legal_moves(rules, states[-1], work, scratch))) > 0:
            if number > 1:
                index = weight = np.empty(0, np.uint16)
                if len(moves) % 2 == 0:
                    policy = np.zeros(number, np.float32)
                    visited = rng.permutation(number)[:16]
                    policy[visited] = rng.dirichlet(np.ones(len(visited)))
                    index, weight = policy_entries(policy)
                shares = rng.dirichlet(np.ones(rules.players)).astype(np.float16)
                targets.append(SearchTarget(len(moves), len(index) > 0, index, weight, shares))
            moves.append(int(scratch[rng.integers(number)]))
            choices.append(number)
            states.append(states[-1].copy())
            apply_move(rules, states[-1], work, moves[-1])
        end = states[-1]
        winner = None if end[WINNER] < 0 else int(end[WINNER]) + 1
        yield ReplayedGame(
            np.array(moves), np.array(states), np.array(choices, np.int32), winner, RESULT_NAMES[end[RESULT]], targets
        )


if __name__ == "__main__":
    main()
