"""Speed of the rules engine: uniformly random playouts on one core, the kernels beside the plain twin.

Every recorded ply counts, the forced ones too. With --json the last line is one JSON object; with one variant its
figures stand at the top level.

    python benchmarks/engine.py --variant square8_2p --seconds 5 --json
    python benchmarks/engine.py --start
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass

import numpy as np

from ringrift_loop.engine import kernels
from ringrift_loop.engine.conformance.plain import PlainGame
from ringrift_loop.engine.rules import VARIANTS, rules_for
from ringrift_loop.engine.warmup import compile_kernels

_START = (
    "import time; begin = time.perf_counter(); "
    "from ringrift_loop.engine.warmup import compile_kernels; compile_kernels(); "
    "print(time.perf_counter() - begin, time.process_time())"
)


@dataclass(frozen=True)
class Speed:
    """What was measured for one variant; the twin's figures are None where it was left out."""

    variant: str
    plies_per_s: float
    games_per_s: float
    plies_per_game: float
    cpu_share: float
    """CPU seconds a second of the kernels' part: below 1 other processes had the core for the rest."""
    plies_per_cpu_s: float
    """Plies a second of the core's time, whatever else ran."""
    twin_plies_per_s: float | None
    twin_games_per_s: float | None
    speedup: float | None


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--variant", action="append", choices=list(VARIANTS), help="variant to measure, may be repeated (default: all)"
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="seconds for the kernels of one variant (default 5)")
    parser.add_argument("--twin-seconds", type=float, help="seconds for the twin, 0 leaves it out (default: --seconds)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the random moves (default 1)")
    parser.add_argument("--start", action="store_true", help="measure cold and warm start in new processes as well")
    parser.add_argument("--json", action="store_true", help="print one JSON line last")
    args = parser.parse_args()

    result: dict[str, object] = {"benchmark": "engine"}
    if args.start:
        result["start_s"] = measure_start()
    compile_kernels()
    twin_seconds = args.seconds if args.twin_seconds is None else args.twin_seconds
    speeds = []
    print(
        f"{'variant':15} {'plies/s':>10} {'games/s':>9} {'plies/game':>10} {'CPU':>4} {'twin plies/s':>12} {'ratio':>7}"
    )
    for name in args.variant or VARIANTS:
        speed = measure(name, args.seconds, twin_seconds, args.seed)
        speeds.append(speed)
        twin = "-" if speed.twin_plies_per_s is None else f"{speed.twin_plies_per_s:,.0f}"
        faster = "-" if speed.speedup is None else f"{speed.speedup:,.0f}x"
        print(
            f"{name:15} {speed.plies_per_s:10,.0f} {speed.games_per_s:9,.1f} {speed.plies_per_game:10.1f} "
            f"{speed.cpu_share:4.0%} "
            f"{twin:>12} {faster:>7}",
            flush=True,
        )
    if args.json:
        if len(speeds) == 1:
            result |= asdict(speeds[0])
        result["variants"] = [asdict(speed) for speed in speeds]
        print(json.dumps(result))


def measure(name: str, seconds: float, twin_seconds: float, seed: int) -> Speed:
    """Measure one variant: whole games until the time is over."""
    cpu = time.process_time()
    plies, games, took = play_kernels(name, seconds, seed)
    cpu = time.process_time() - cpu
    twin_rate = twin_games_rate = None
    if twin_seconds > 0:
        twin_plies, twin_games, twin_took = play_twin(name, twin_seconds, seed)
        twin_rate, twin_games_rate = twin_plies / twin_took, twin_games / twin_took
    return Speed(
        variant=name,
        plies_per_s=plies / took,
        games_per_s=games / took,
        plies_per_game=plies / games,
        cpu_share=cpu / took,
        plies_per_cpu_s=plies / cpu,
        twin_plies_per_s=twin_rate,
        twin_games_per_s=twin_games_rate,
        speedup=None if twin_rate is None else plies / took / twin_rate,
    )


def play_kernels(name: str, seconds: float, seed: int) -> tuple[int, int, float]:
    """Plies, games and seconds of random playouts by the kernels."""
    rules = rules_for(name)
    work = kernels.make_work(rules)
    moves = np.empty(rules.max_moves, np.int64)
    rng_state = np.array([seed], np.uint64)
    begin, state = kernels.new_states(rules, 2)
    plies = games = 0
    started = time.perf_counter()
    while time.perf_counter() - started < seconds:
        state[:] = begin
        plies += kernels.random_playout(rules, state, work, moves, rng_state)
        games += 1
    return plies, games, time.perf_counter() - started


def play_twin(name: str, seconds: float, seed: int) -> tuple[int, int, float]:
    """The same by the plain twin; an unfinished last game counts by its plies only."""
    rng = random.Random(seed)
    plies = finished = 0
    started = time.perf_counter()
    while time.perf_counter() - started < seconds:
        game = PlainGame(name)
        while not game.is_over and time.perf_counter() - started < seconds:
            game.play(rng.choice(game.legal()))
            plies += 1
        finished += game.is_over
    return plies, finished, time.perf_counter() - started


def measure_start() -> dict[str, float]:
    """Seconds from a new process's first import to compiled kernels, with an empty cache (cold), and again (warm).

    `cold` and `warm` are wall time, `cold_cpu` and `warm_cpu` what the process itself computed, whatever else ran.
    """
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"NUMBA_CACHE_DIR": folder}
        times = {}
        for label in ("cold", "warm"):
            done = subprocess.run(
                [sys.executable, "-c", _START], env=environment, capture_output=True, text=True, check=True
            )
            times[label], times[f"{label}_cpu"] = map(float, done.stdout.split())
            print(f"{label} start: {times[label]:.1f} s, {times[f'{label}_cpu']:.1f} s of CPU time")
    return times


if __name__ == "__main__":
    main()
