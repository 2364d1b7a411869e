"""Which of two players is stronger: blocks of games from one opening each, every seat in turn.

    python benchmarks/duel.py --variant square8_2p --games 400 'DIGEST|gumbel16,considered=4' 'DIGEST|gumbel16'

A player is a baseline (random, heuristic, heuristic-search, mcts-64), a model's digest or its folder; a search after a
bar. A digest is looked up in the run directory (`--home`). With `--transfer` a folder may hold another variant's model.
Shares of the win and their 95 % interval come from the blocks, whose games depend on each other, and two more of an
equal player, so that winning all of a few proves little (`ratings/blocks.py`); the Elo is that of the share for two
players, null where it is infinite.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
import zlib
from pathlib import Path

from ringrift_loop.engine.rules import rules_for
from ringrift_loop.engine.warmup import compile_kernels
from ringrift_loop.layout import RunDirectory
from ringrift_loop.ledger.matches import MatchRow
from ringrift_loop.network.inference import open_evaluator
from ringrift_loop.ratings.blocks import win_share
from ringrift_loop.search.leaves import NetworkLeaves
from ringrift_loop.search.settings import SearchSettings
from ringrift_loop.selfplay.warmup import compile_selfplay_kernels
from ringrift_loop.tournament.blocks import paired_block
from ringrift_loop.tournament.play_match import MatchSettings, play_blocks
from ringrift_loop.tournament.players import Player, SearchPlayer, make_player

_AT_ONCE = 100  # blocks


def player_of(text: str, variant: str, directory: RunDirectory, seed: int, *, transfer: bool) -> Player:
    """The player that an argument names; with `transfer` a model folder may be of another variant."""
    spec, bar, identity = text.partition("|")
    search = SearchSettings.from_identity(identity) if bar else None
    drawn = zlib.crc32(f"{text}/{seed}".encode())
    if not transfer or not Path(spec).is_dir():
        return make_player(spec, variant, directory=directory, search=search, seed=drawn)
    rules, settings, evaluator = (
        rules_for(variant),
        search or SearchSettings(),
        open_evaluator(Path(spec), plays=variant),
    )
    name = f"{evaluator.manifest.digest}|{settings.identity()}"
    return SearchPlayer(name, rules, settings, NetworkLeaves(rules, evaluator), drawn)


def elo(part: float) -> float | None:
    """Of a share of the win against one opponent; None where it is infinite, at 0 and 1."""
    return None if part in (0.0, 1.0) else round(400.0 * math.log10(part / (1.0 - part)), 1)


def main() -> None:
    """Play, and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first")
    parser.add_argument("second")
    parser.add_argument("--variant", default="square8_2p")
    parser.add_argument("--games", type=int, default=200, help="rounded up to whole blocks (default %(default)s)")
    parser.add_argument("--opening-plies", type=int, default=8, help="random moves that open a block")
    parser.add_argument("--seed", type=int, default=0, help="of openings and players")
    parser.add_argument("--transfer", action="store_true", help="a model folder may be of another variant")
    parser.add_argument("--home", type=Path, default=Path(os.environ.get("RINGRIFT_HOME", "run")))
    options = parser.parse_args()
    compile_kernels()
    compile_selfplay_kernels()
    seats = rules_for(options.variant).players
    if options.games < 1:
        parser.error(f"--games must be 1 or more, got {options.games}")
    directory = RunDirectory(options.home)
    one, other = (
        player_of(text, options.variant, directory, options.seed, transfer=options.transfer)
        for text in (options.first, options.second)
    )
    if one.identity == other.identity:
        parser.error(f"both players are {one.identity}: name two that differ")
    number = math.ceil(options.games / seats)
    plans = [
        paired_block(options.variant, "manual", one.identity, other.identity, seats, options.seed * 1_000_000 + block)
        for block in range(number)
    ]
    began, cpu = time.time(), time.process_time()
    players = {player.identity: player for player in (one, other)}
    settings = MatchSettings(options.opening_plies)
    games: list[MatchRow] = []
    taken: set[str] = set()
    for some in (plans[at : at + _AT_ONCE] for at in range(0, number, _AT_ONCE)):
        for rows in play_blocks(some, players, settings, clock=time.time, taken=taken):
            games += rows
            taken.update(row.opening for row in rows)
    won = win_share(games, one.identity, other.identity, seats)
    result: dict[str, object] = {
        "variant": options.variant,
        "first": one.identity,
        "second": other.identity,
        "games": won.games,
        "share": round(won.share, 4),
        "interval": [round(won.low, 4), round(won.high, 4)],
        "fair": round(1.0 / seats, 4),
        "seconds": round(time.time() - began, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
    }
    if seats == 2:
        result["elo"] = [elo(part) for part in (won.low, won.share, won.high)]
    print(json.dumps(result))


if __name__ == "__main__":
    main()
