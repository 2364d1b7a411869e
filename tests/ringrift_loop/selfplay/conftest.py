"""A few finished games, played once for all tests of this folder."""

from __future__ import annotations

import numpy as np
import pytest

from ringrift_loop.engine.rules import rules_for
from ringrift_loop.search.leaves import Evaluation, HeuristicLeaves
from ringrift_loop.search.pool import LeafBatch
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


class FlatLeaves:
    """Likes all moves and all seats the same."""

    def __init__(self, players: int) -> None:
        self._players = players
        self.evaluations = 0
        self.network_seconds = 0.0

    def evaluate(self, batch: LeafBatch) -> Evaluation:
        shares = np.full((batch.size, self._players), 1 / self._players, np.float32)
        return np.zeros(len(batch.moves), np.float32), shares


def play_one_flat(variant: str) -> GameRecord:
    """A game whose every search is full and finds all moves about equal."""
    settings = PlaySettings(
        SearchSettings(simulations=2, noise=1.0), 1, full_share=1.0, games_in_parallel=1, opening_plies=0
    )
    leaves = FlatLeaves(rules_for(variant).players)
    games = SelfplayGames(variant, "flat", leaves, settings, Origin("h1", "0-1", "flat", 0))
    games.start([0])
    records: list[GameRecord] = []
    while games.active or not records:
        records += games.round()
    return records[0]


@pytest.fixture(scope="session")
def records() -> list[GameRecord]:
    """Four games of square8_2p."""
    return play("square8_2p", range(4))


@pytest.fixture
def play_flat() -> object:
    """The function that plays a game with the longest targets that a variant can have."""
    return play_one_flat


@pytest.fixture(scope="session")
def play_records() -> object:
    """The function that plays games, for tests that want other ones."""
    return play
