"""A few finished games, played once for all tests of this folder."""

from __future__ import annotations

import pytest

from ringrift_loop.engine.rules import rules_for
from ringrift_loop.search.leaves import HeuristicLeaves
from ringrift_loop.search.settings import SearchSettings
from ringrift_loop.selfplay.play_games import Origin, PlaySettings, SelfplayGames
from ringrift_loop.selfplay.records import GameRecord

SETTINGS = PlaySettings(SearchSettings(simulations=4, noise=1.0), fast_simulations=2, games_in_parallel=3)


def play(variant: str, numbers: range, *, run: str = "test", settings: PlaySettings = SETTINGS) -> list[GameRecord]:
    """Play the games with these numbers to their end."""
    leaves = HeuristicLeaves(rules_for(variant))
    games = SelfplayGames(variant, "heuristic-search", leaves, settings, Origin("h1", "0-1", run, 0), clock=lambda: 1e9)
    waiting, records = list(numbers), []
    while waiting or games.active:
        room = min(games.room, len(waiting))
        games.start([waiting.pop(0) for _ in range(room)])
        records += games.round()
    return records


@pytest.fixture(scope="session")
def records() -> list[GameRecord]:
    """Four games of square8_2p."""
    return play("square8_2p", range(4))


@pytest.fixture(scope="session")
def play_records() -> object:
    """The function that plays games, for tests that want other ones."""
    return play
