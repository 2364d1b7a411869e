"""Bytes of a self-play game's record, with every move of its policy targets and with those of some weight only.

    python benchmarks/records.py --variant square8_2p --games 8 --json
    python benchmarks/records.py --variant hexagonal_2p --games 1 --player heuristic

Plays with the shipped champion of the variant or of its nearest neighbour, or with the heuristic-guided search. For
each least weight it prints moves a target, bytes a game as JSON and in a segment (zstd), and how much of a policy its
lighter moves are, those that are drawn by lot: the mean over the targets, and what a tenth of them exceeds.
"""

from __future__ import annotations

import argparse
import base64
import json
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
import zstandard

from ringrift_loop.champions.shipped import begin, shipped_cards
from ringrift_loop.config import Selfplay
from ringrift_loop.engine.rules import VARIANTS, rules_for
from ringrift_loop.experiments.in_process import in_process
from ringrift_loop.network.inference import open_evaluator
from ringrift_loop.network.nearest import nearest_variants
from ringrift_loop.promotion.subject import CHAMPION, subject_of
from ringrift_loop.search.leaves import HeuristicLeaves, LeafEvaluator, NetworkLeaves
from ringrift_loop.selfplay import play_games
from ringrift_loop.selfplay.entries import WEIGHT_SUM, policy_entries
from ringrift_loop.selfplay.play_games import Origin, SelfplayGames
from ringrift_loop.selfplay.played_variant import play_settings
from ringrift_loop.selfplay.records import BOOTSTRAP, GameRecord
from ringrift_loop.selfplay.targets import SearchTarget, TargetNotes, pack_targets, unpack_targets
from ringrift_loop.selfplay.warmup import compile_selfplay_kernels

LEAST = (0.0, 1 / 1024, 1 / 512, 1 / 256, 1 / 128)
Game = tuple[GameRecord, list[SearchTarget]]


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--variant", default="square8_2p", choices=VARIANTS)
    parser.add_argument("--games", type=int, default=8, help="games, all at once (default 8)")
    parser.add_argument("--player", default="champion", choices=("champion", "heuristic"))
    parser.add_argument("--json", action="store_true", help="print one line of JSON last")
    args = parser.parse_args()
    compile_selfplay_kernels()
    with tempfile.TemporaryDirectory() as folder:
        leaves, player = player_of(args.variant, args.player, Path(folder))
        began = time.process_time()
        games = played(args.variant, args.games, leaves, player)
        seconds = (time.process_time() - began) / args.games
    plies = sum(record.plies for record, _ in games) / len(games)
    searched = sum(len(targets) for _, targets in games) / len(games)
    print(f"{args.variant}, {len(games)} games of {player[:16]}, {seconds:.1f} s each")
    print(f"{plies:.0f} plies, {searched:.0f} of them searched")
    rows = [figures(games, least) for least in LEAST]
    for row in rows:
        print(", ".join(f"{name} {value:g}" for name, value in row.items()))
    if args.json:
        print(json.dumps({"benchmark": "records", "variant": args.variant, "player": args.player, "rows": rows}))


def player_of(variant: str, kind: str, folder: Path) -> tuple[LeafEvaluator, str]:
    """Who plays, and under what name."""
    rules = rules_for(variant)
    if kind == "heuristic":
        return HeuristicLeaves(rules), BOOTSTRAP
    cards = shipped_cards()
    lender = next(name for name in (variant, *nearest_variants(variant, {})) if name in cards)
    with in_process(folder, (lender,), {}, seed="records") as driven:
        begin(driven.loop)
        champion = subject_of(driven.loop, CHAMPION, lender)
        return NetworkLeaves(rules, open_evaluator(champion.folder, plays=variant)), champion.digest


def played(variant: str, number: int, leaves: LeafEvaluator, player: str) -> list[Game]:
    """The games and their targets with every move that has a weight."""
    settings = replace(play_settings(Selfplay(), bootstrap=player == BOOTSTRAP), games_in_parallel=number)
    whole: dict[str, list[SearchTarget]] = {}

    def kept(record: GameRecord, packed: bytes) -> GameRecord:
        whole[record.id] = unpack_targets(packed, rules_for(variant).players, record.plies)
        return record

    with (
        patch.object(play_games, "TargetNotes", partial(TargetNotes, least=0.0)),
        patch.object(play_games, "with_targets", kept),
    ):
        games = SelfplayGames(variant, player, leaves, settings, Origin("bench", "0", "bench", 0))
        games.start(range(number))
        records = []
        while games.active:
            records += games.round()
    return [(record, whole[record.id]) for record in records]


def figures(games: list[Game], least: float) -> dict[str, float]:
    """The figures for one least weight."""
    lines, moves, light = [], [], []
    for record, targets in games:
        cut = []
        for target in targets:
            if target.full:
                shares = target.weight / WEIGHT_SUM
                light.append(float(shares[shares < least].sum()))
                kept, weight = policy_entries(target.weight.astype(np.float32), least)
                target = replace(target, index=target.index[kept], weight=weight)
                moves.append(len(kept))
            cut.append(target)
        lines.append(replace(record, targets=base64.b64encode(pack_targets(cut)).decode()).to_json())
    packed = zstandard.ZstdCompressor(level=6).compress(b"\n".join(lines))
    return {
        "least weight": round(least, 5),
        "moves a target": round(float(np.mean(moves)), 1),
        "bytes a game": round(sum(map(len, lines)) / len(lines)),
        "in a segment": round(len(packed) / len(lines)),
        "weight of lighter moves": round(float(np.mean(light)), 4),
        "in a tenth over": round(float(np.quantile(light, 0.9)), 4),
    }


if __name__ == "__main__":
    main()
