"""A/A and A/B runs of the whole promotion path: how many candidates of a known gain become the champion?

Each run leads a candidate through regression gate, champion gate and promotion, as the loop does, on a ledger of its
own; only the games are drawn by lot, from Plackett and Luce's model with seat advantages. A gain of 0 is the champion
under another name. With --json the last line is one JSON object.

    python benchmarks/promotion.py
    python benchmarks/promotion.py --variant hexagonal_4p --gains 0 25 100 --runs 50
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path
from statistics import mean

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
from promotion_path import template, walk
from ringrift_loop.cli.progress import counted
from ringrift_loop.config import LoopConfig
from ringrift_loop.engine.rules import VARIANTS
from ringrift_loop.engine.rules import variant as variant_of
from ringrift_loop.promotion.champion import rule_of
from ringrift_loop.promotion.play_tests import wilson
from ringrift_loop.ratings.looks import error_rates


def main() -> None:
    """Parse the command line, simulate, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--variant", default="square8_2p", choices=VARIANTS, help="default square8_2p")
    parser.add_argument("--runs", type=int, default=200, help="candidates of each gain (default 200)")
    parser.add_argument("--gains", type=float, nargs="+", default=[0.0, 25.0], help="Elo (default 0 and 25)")
    parser.add_argument("--json", action="store_true", help="print one JSON line last")
    args = parser.parse_args()

    rule, players = rule_of(LoopConfig().promotion), variant_of(args.variant).players
    print(f"{args.variant}: {error_rates(rule, players).sentence()}")
    found = {}
    with template() as prepared:
        for gain in args.gains:
            began = time.process_time()
            seeds = counted(range(args.runs), f"Candidates of {gain:+.0f} Elo")
            walks = [walk(prepared, args.variant, gain, seed) for seed in seeds]
            statuses = Counter(each.status for each in walks)
            low, high = wilson(statuses["promoted"], args.runs)
            games = {
                "regression": mean(each.regression_games for each in walks),
                "champion": mean(each.champion_games for each in walks),
            }
            print(
                f"{gain:+.0f} Elo: {statuses['promoted']} of {args.runs} promoted, 95 % {low:.1%}..{high:.1%}; "
                f"{games['regression']:.0f} games of the regression gate, {games['champion']:.0f} with the champion; "
                f"{time.process_time() - began:.0f} core-s",
                flush=True,
            )
            found[f"{gain:+.0f}"] = {"promoted": statuses["promoted"], "runs": args.runs, "games": games}
    if args.json:
        print(json.dumps({"benchmark": "promotion", "variant": args.variant, "gains": found}))


if __name__ == "__main__":
    main()
