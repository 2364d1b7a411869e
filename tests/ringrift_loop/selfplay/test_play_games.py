from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ringrift_loop.engine.kernels import make_work
from ringrift_loop.engine.rules import rules_for
from ringrift_loop.search.leaves import Evaluation, HeuristicLeaves
from ringrift_loop.search.pool import LeafBatch
from ringrift_loop.search.settings import SearchSettings
from ringrift_loop.selfplay.entries import WEIGHT_SUM
from ringrift_loop.selfplay.play_games import Origin, PlaySettings, SelfplayGames
from ringrift_loop.selfplay.records import GameRecord, ReplayedGame, move_hash, replay

Play = Callable[..., list[GameRecord]]


def test_games_of_one_run_all_differ(records: list[GameRecord]) -> None:
    assert len({record.id for record in records}) == len(records)
    assert len({record.seed for record in records}) == len(records)
    assert len({move_hash(record) for record in records}) == len(records)


def test_a_number_decides_its_game_whatever_is_played_beside_it(records: list[GameRecord], play_records: Play) -> None:
    together = {record.id: record for record in records}
    alone = play_records("square8_2p", range(2, 3))[0]
    assert together[alone.id] == alone


def test_another_run_plays_other_games(records: list[GameRecord], play_records: Play) -> None:
    others = play_records("square8_2p", range(2), run="another")
    assert not {move_hash(record) for record in others} & {move_hash(record) for record in records}


@pytest.mark.parametrize("variant", ["hex8_3p", "square8_4p"])
def test_games_of_more_seats_replay_with_their_targets(variant: str, play_records: Play) -> None:
    record = play_records(variant, range(1))[0]
    rules = rules_for(variant)
    game = replay(record, rules, make_work(rules))
    assert {len(target.value) for target in game.targets} == {rules.players}


def test_every_choice_after_the_opening_has_a_target_and_about_half_a_policy(records: list[GameRecord]) -> None:
    rules = rules_for("square8_2p")
    work = make_work(rules)
    full = total = 0
    for record in records:
        game = replay(record, rules, work)
        choices = int((game.choices >= 2).sum())
        assert choices - 8 <= len(game.targets) <= choices  # up to 8 random plies open a game
        full += sum(target.full for target in game.targets)
        total += len(game.targets)
    # Each search is full with probability 1/2: six standard deviations.
    assert abs(full / total - 0.5) < 6 * 0.5 / total**0.5


def test_all_searches_are_full_when_the_share_is_one(play_records: Play) -> None:
    settings = PlaySettings(SearchSettings(simulations=4), 2, full_share=1.0, games_in_parallel=1, opening_plies=0)
    record = play_records("square8_2p", range(1), settings=settings)[0]
    rules = rules_for("square8_2p")
    game = replay(record, rules, make_work(rules))
    assert all(target.full for target in game.targets)
    assert len(game.targets) == int((game.choices >= 2).sum())


class SureLeaves:
    """Each move is liked more than the next one, and seat 1 has three quarters of every game."""

    evaluations = 0
    network_seconds = 0.0

    def evaluate(self, batch: LeafBatch) -> Evaluation:
        places = np.arange(len(batch.moves)) - batch.bounds[batch.rows]
        return (-places).astype(np.float32), np.tile(np.array([0.75, 0.25], np.float32), (batch.size, 1))


def sure_games(numbers: range, **settings: Any) -> list[ReplayedGame]:
    """Games without noise and temperature: only their openings are left to chance."""
    settings |= {"games_in_parallel": len(numbers), "temperature": 0.0, "temperature_final": 0.0}
    played = PlaySettings(SearchSettings(simulations=4), 2, **settings)
    games = SelfplayGames("square8_2p", "sure", SureLeaves(), played, Origin("h", "w", "r", 0))
    games.start(numbers)
    rules, records = rules_for("square8_2p"), []
    while games.active:
        records += games.round()
    return [replay(record, rules, make_work(rules)) for record in records]


def test_targets_are_what_the_search_found() -> None:
    (game,) = sure_games(range(1), full_share=1.0, opening_plies=0)
    for target in game.targets[:10]:  # no game is won so early
        assert target.index[target.weight.argmax()] == 0
        assert target.value.tolist() == [0.75, 0.25]


class OpenMindedLeaves(SureLeaves):
    """Each move is liked as much as any other, and what a position is worth has no reason."""

    @staticmethod
    def share_of(state: np.ndarray[Any, np.dtype[np.int16]]) -> float:
        """Of seat 1, between .1 and .9."""
        return 0.1 + 0.8 * zlib.crc32(state.tobytes()) / 2**32

    def evaluate(self, batch: LeafBatch) -> Evaluation:
        share = np.array([self.share_of(state) for state in batch.states], np.float32)
        return np.zeros(len(batch.moves), np.float32), np.stack([share, 1 - share], axis=1)


def test_targets_tell_how_far_they_lie_from_what_was_expected() -> None:
    settings = PlaySettings(SearchSettings(simulations=16), 2, games_in_parallel=1)
    games = SelfplayGames("square8_2p", "open", OpenMindedLeaves(), settings, Origin("h", "w", "r", 0))
    games.start([0])
    records = []
    while games.active:
        records += games.round()
    rules = rules_for("square8_2p")
    game = replay(records[0], rules, make_work(rules))
    full = [target for target in game.targets if target.full]
    assert all(target.policy_surprise is None for target in game.targets if not target.full)
    for target in full:
        policy = target.weight / WEIGHT_SUM
        even = np.log(float(game.choices[target.ply]))  # the divergence from an even choice is what entropy it lacks
        assert target.policy_surprise == pytest.approx(even + float((policy * np.log(policy)).sum()), abs=0.05)
    surprises = [target.policy_surprise or 0.0 for target in full]
    assert min(surprises) < 0.5 < 2.0 < max(surprises)
    for target in game.targets:
        said = OpenMindedLeaves.share_of(game.states[target.ply])
        found = target.value.astype(np.float64)
        divergence = float((found * np.log(found / [said, 1 - said])).sum())
        assert target.value_surprise == pytest.approx(divergence, abs=0.02)
    assert all(
        target.value_surprise == 0.0 and (target.policy_surprise or 0.0) == 0.0
        for target in sure_games(range(1))[0].targets[:20]
    )


def test_a_search_over_few_moves_has_few_simulations() -> None:
    settings = PlaySettings(
        SearchSettings(simulations=64), 64, full_share=0.5, simulations_per_choice=3, games_in_parallel=1
    )
    games = SelfplayGames("square8_2p", "sure", SureLeaves(), settings, Origin("h", "w", "r", 0))
    games.start([0])
    searches = set()
    while games.active:
        trees = games._pool.trees
        searches.add((int(trees.num_actions[0, 0]), int(trees.num_simulations[0])))
        games.round()
    assert all(simulations == min(64, 3 * choices) for choices, simulations in searches)
    # A single move is played without a search.
    assert min(searches) == (2, 6)
    assert max(simulations for _, simulations in searches) == 64


def test_games_open_with_random_moves_of_their_own() -> None:
    games = sure_games(range(24), opening_plies=8)
    openings = [tuple(game.moves[: game.targets[0].ply].tolist()) for game in games]
    lengths = {len(opening) for opening in openings}
    assert len(lengths) >= 4
    assert max(lengths) >= 5
    # Empty openings and those of one move may coincide.
    longer = [opening for opening in openings if len(opening) >= 2]
    assert len(set(longer)) == len(longer) >= 12


def test_records_name_their_player_search_and_times(records: list[GameRecord]) -> None:
    assert {record.player for record in records} == {"heuristic-search"}
    assert records[0].search["full"] == "gumbel4,noise=1"
    assert (records[0].started_at, records[0].finished_at) == (1e9, 1e9)
    assert (records[0].host, records[0].worker) == ("h1", "0-1")


def test_no_more_games_are_started_than_there_is_room_for() -> None:
    settings = PlaySettings(SearchSettings(simulations=2), 1, games_in_parallel=2)
    games = SelfplayGames(
        "square8_2p", "x", HeuristicLeaves(rules_for("square8_2p")), settings, Origin("h", "w", "r", 0)
    )
    games.start([0])
    assert (games.active, games.room) == (1, 1)
    with pytest.raises(ValueError, match="room for 1 games, not for 2"):
        games.start([1, 2])


def test_settings_are_told_apart_in_records() -> None:
    settings = PlaySettings(SearchSettings(simulations=4), 2)
    assert settings.described() != replace(settings, temperature_plies=3).described()
