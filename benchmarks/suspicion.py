"""After how many games is a host found out that plays something else than the model it names?

Games of the model, of players that pretend to be it, and of the model with seats mixed up are played, replayed and
drawn by lot: three honest hosts of --honest games each, and one of N games of another kind. N grows until nine of
ten such hosts are found. Honest fourth hosts show how often somebody is accused without cause.

    python benchmarks/suspicion.py --model include/ringrift_loop/champions/square8_2p --games 600 --pretenders 300
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ringrift_loop.cluster.sync.residuals import MIN_GAMES, Sums, deviations
from ringrift_loop.config import Selfplay
from ringrift_loop.engine.rules import rules_for
from ringrift_loop.engine.work import make_work
from ringrift_loop.network.inference import open_evaluator
from ringrift_loop.search.leaves import HeuristicLeaves, LeafEvaluator, NetworkLeaves
from ringrift_loop.selfplay.play_games import Origin, SelfplayGames
from ringrift_loop.selfplay.played_variant import play_settings
from ringrift_loop.selfplay.records import ValueFigures, replay, value_figures
from ringrift_loop.selfplay.warmup import compile_selfplay_kernels
from selfplay import untrained_model

_SIZES = (MIN_GAMES, 250, 300, 400, 600, 800, 1200, 2000)
_DRAWS = 100


class Game(NamedTuple):
    """What the comparison knows of a game."""

    winner: int | None
    plies: int
    values: ValueFigures
    turned: ValueFigures
    """If the values were those of the other one of two players."""


def play(variant: str, leaves: LeafEvaluator, count: int, seed: str) -> list[Game]:
    """The first `count` games that were begun: those that end first would be the short ones."""
    origin = Origin("bench", "0", seed, 0)
    games = SelfplayGames(variant, "model", leaves, play_settings(Selfplay(), bootstrap=False), origin)
    rules, begun, found = rules_for(variant), 0, []
    work = make_work(rules)
    while len(found) < count:
        more = min(games.room, count - begun)
        games.start(range(begun, begun + more))
        begun += more
        for record in games.round():
            told = replay(record, rules, work)
            turned = replace(told, winner=3 - told.winner if told.winner and rules.players == 2 else told.winner)
            own, other = (value_figures(each, rules.players) for each in (told, turned))
            if own is not None and other is not None:
                found.append(Game(record.winner, record.plies, own, other))
    return found


def sums(games: Sequence[Game], players: int) -> Sums:
    """What the ledger's query would say of them."""
    columns = zip(*((game.plies, game.values.error, game.values.spread) for game in games), strict=True)
    plies, errors, spreads = (np.array(column, np.float64) for column in columns)
    return Sums(
        games=len(games),
        wins=tuple(sum(game.winner == seat for game in games) for seat in range(1, players + 1)),
        plies=plies.sum(),
        plies_squared=(plies**2).sum(),
        errors=errors.sum(),
        errors_squared=(errors**2).sum(),
        spreads=spreads.sum(),
        spreads_squared=(spreads**2).sum(),
        value_games=len(games),
    )


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--variant", default="square8_2p", help="default square8_2p")
    parser.add_argument("--model", type=Path, required=True, help="folder of the model that every host names")
    parser.add_argument("--games", type=int, default=600, help="of the model (default 600)")
    parser.add_argument("--pretenders", type=int, default=300, help="games of each pretender (default 300)")
    parser.add_argument("--honest", type=int, default=600, help="games of each of three honest hosts (default 600)")
    args = parser.parse_args()
    compile_selfplay_kernels()
    rules, rng = rules_for(args.variant), np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        weak = untrained_model(args.variant, 2, 32, Path(folder))
        honest = play(args.variant, NetworkLeaves(rules, open_evaluator(args.model)), args.games, "honest")
        pretenders = {
            "the same model, honest": honest,
            "an untrained network": play(
                args.variant, NetworkLeaves(rules, open_evaluator(weak)), args.pretenders, "untrained"
            ),
            "the heuristic": play(args.variant, HeuristicLeaves(rules), args.pretenders, "heuristic"),
        }
    if rules.players == 2:
        pretenders["the model, its values turned round"] = [game._replace(values=game.turned) for game in honest]
        pretenders["the model, seats of winners and values turned round"] = [
            game._replace(winner=3 - game.winner if game.winner else None) for game in honest
        ]

    def drawn(games: Sequence[Game], count: int) -> Sums:
        return sums([games[place] for place in rng.integers(len(games), size=count)], rules.players)

    for name, games in pretenders.items():
        own = sums(games, rules.players)
        seats = ", ".join(f"{won / own.games:.0%}" for won in own.wins)
        print(
            f"{name}: seats won {seats}; {own.plies / own.games:.0f} plies; values: error "
            f"{own.errors / own.games:.3f}, spread {own.spreads / own.games:.4f}"
        )
        for size in _SIZES:
            found = wrong = 0
            for _ in range(_DRAWS):
                fleet = {host: drawn(honest, args.honest) for host in "abc"} | {"d": drawn(games, size)}
                accused = {one.host for one in deviations(fleet) if one.decided}
                found += "d" in accused
                wrong += bool(accused - {"d"})
            print(f"  {size} games: accused {found} of {_DRAWS} times; another host {wrong} times", flush=True)
            if found >= 0.9 * _DRAWS:
                break


if __name__ == "__main__":
    main()
