"""Search speed on one core: simulations a second by evaluator, and the share of time outside the evaluator.

python benchmarks/search.py --variant square8_2p --seconds 5 --json
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np
from numpy.typing import NDArray

from ringrift_loop.engine.kernels import apply_move, make_work, new_states
from ringrift_loop.engine.rules import rules_for
from ringrift_loop.engine.state import GAME_OVER, PHASE
from ringrift_loop.search.forward import play_to_choice
from ringrift_loop.search.leaves import Evaluation, HeuristicLeaves, LeafEvaluator, PlayoutLeaves
from ringrift_loop.search.pool import LeafBatch, SearchPool
from ringrift_loop.search.settings import SearchSettings
from ringrift_loop.selfplay.warmup import compile_selfplay_kernels


class NoLeaves:
    """Equal priors and values at no cost: what is left is the tree and the rules."""

    evaluations = 0
    network_seconds = 0.0

    def __init__(self, seats: int) -> None:
        self._seats = seats

    def evaluate(self, batch: LeafBatch) -> Evaluation:
        """Evaluate everything alike."""
        values = np.full((batch.size, self._seats), 1 / self._seats, np.float32)
        return np.zeros(len(batch.moves), np.float32), values


def random_states(variant: str, count: int) -> NDArray[np.int16]:
    """States with a choice, spread over random games."""
    rules = rules_for(variant)
    work, moves = make_work(rules), np.empty(rules.max_moves, np.int64)
    random = np.random.default_rng(0)
    found: list[NDArray[np.int16]] = []
    state = new_states(rules, 1)[0]
    while len(found) < count:
        number = play_to_choice(rules, state, work, moves)
        if state[PHASE] == GAME_OVER:
            state = new_states(rules, 1)[0]
            continue
        if random.random() < 0.2:
            found.append(state.copy())
        apply_move(rules, state, work, int(moves[random.integers(number)]))
    return np.array(found)


def measure(
    variant: str, leaves: LeafEvaluator, settings: SearchSettings, games: int, seconds: float
) -> dict[str, float]:
    """Search the same states again and again for so many seconds."""
    rules = rules_for(variant)
    states = random_states(variant, games)
    pool = SearchPool(rules, games, settings)
    slots = np.arange(games, dtype=np.int32)
    simulations = np.full(games, settings.simulations, np.int32)
    halving = np.full(games, settings.kind == "gumbel")
    began, outside, searches = time.process_time(), 0.0, 0
    while time.process_time() - began < seconds:
        mark = time.process_time()
        pool.start(slots, states, simulations, halving, np.arange(searches, searches + games, dtype=np.uint64))
        while (batch := pool.advance()).size:
            outside += time.process_time() - mark
            evaluation = leaves.evaluate(batch)
            mark = time.process_time()
            pool.receive(batch, *evaluation)
        pool.harvest(pool.finished(), np.zeros(games))
        outside += time.process_time() - mark
        searches += games
    used = time.process_time() - began
    return {"simulations_per_s": round(searches * settings.simulations / used), "tree_share": round(outside / used, 3)}


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Measure the search on one core, per second of CPU time.")
    parser.add_argument("--variant", default="square8_2p")
    parser.add_argument("--seconds", type=float, default=5.0, help="time per evaluator (default 5)")
    parser.add_argument("--search", default="gumbel32", help="identity of the search (default gumbel32)")
    parser.add_argument("--games", type=int, default=64, help="searches side by side (default 64)")
    parser.add_argument("--json", action="store_true", help="print one line of JSON last")
    args = parser.parse_args()
    compile_selfplay_kernels()
    rules = rules_for(args.variant)
    settings = SearchSettings.from_identity(args.search)
    evaluators: dict[str, LeafEvaluator] = {
        "nothing": NoLeaves(rules.players),
        "heuristic": HeuristicLeaves(rules),
        "playouts": PlayoutLeaves(rules),
    }
    figures: dict[str, object] = {"variant": args.variant, "search": args.search}
    for name, leaves in evaluators.items():
        figures[name] = measure(args.variant, leaves, settings, args.games, args.seconds)
        print(f"{name:10} {figures[name]}")
    if args.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
