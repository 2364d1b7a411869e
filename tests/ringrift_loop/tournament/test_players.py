from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ringrift_loop.engine.game import Game
from ringrift_loop.engine.kernels import apply_move, legal_moves, make_work, new_states
from ringrift_loop.engine.rules import rules_for
from ringrift_loop.engine.state import GAME_OVER, PHASE, TO_PLAY, WINNER
from ringrift_loop.engine.text.notation import move_text
from ringrift_loop.errors import ConfigError, ModelError
from ringrift_loop.layout import RunDirectory
from ringrift_loop.search.batch import BatchSearch
from ringrift_loop.search.forward import play_to_choice
from ringrift_loop.search.leaves import PlayoutLeaves
from ringrift_loop.search.settings import SearchSettings
from ringrift_loop.tournament.participants import baseline_id
from ringrift_loop.tournament.players import Player, make_player, playout_search


def positions(variant: str, count: int) -> NDArray[np.int16]:
    """States with a choice from the course of one random game."""
    rules = rules_for(variant)
    work, moves = make_work(rules), np.empty(rules.max_moves, np.int64)
    random = np.random.default_rng(2)
    state, found = new_states(rules, 1)[0], []
    while len(found) < count:
        number = play_to_choice(rules, state, work, moves)
        found.append(state.copy())
        apply_move(rules, state, work, int(moves[random.integers(number)]))
    return np.array(found)


def wins_of_the_first(variant: str, players: list[Player], games: int) -> int:
    """Games that players[0] wins, its seat rotating; the others take the remaining seats in order."""
    rules = rules_for(variant)
    work, moves = make_work(rules), np.empty(rules.max_moves, np.int64)
    states = new_states(rules, games)
    seats = [[(game + seat) % rules.players for seat in range(rules.players)] for game in range(games)]
    while True:
        running = [
            g for g in range(games) if play_to_choice(rules, states[g], work, moves) and states[g, PHASE] != GAME_OVER
        ]
        if not running:
            return sum(seats[g][states[g, WINNER]] == 0 for g in range(games))
        for number, player in enumerate(players):
            mine = [g for g in running if seats[g][states[g, TO_PLAY]] == number]
            if mine:
                for g, move in zip(mine, player.choose(rules, states[mine]).tolist(), strict=True):
                    apply_move(rules, states[g], work, move)


@pytest.mark.parametrize("spec", ["random", "heuristic", "heuristic-search", "mcts-3"])
@pytest.mark.parametrize("variant", ["square8_2p", "hex8_4p"])
def test_baselines_choose_legal_moves_and_leave_the_states_alone(spec: str, variant: str) -> None:
    rules = rules_for(variant)
    states = positions(variant, 70)
    before = states.copy()
    chosen = make_player(spec, variant, search=SearchSettings("gumbel", 4), seed=1).choose(rules, states)
    assert (states == before).all()
    work, moves = make_work(rules), np.empty(rules.max_moves, np.int64)
    for state, move in zip(states, chosen.tolist(), strict=True):
        assert move in moves[: legal_moves(rules, state, work, moves)]


@pytest.mark.parametrize("spec", ["random", "heuristic", "mcts-3"])
def test_equal_seeds_choose_alike(spec: str) -> None:
    rules = rules_for("square8_2p")
    states = positions("square8_2p", 10)
    first, second, other = (make_player(spec, "square8_2p", seed=seed) for seed in (4, 4, 5))
    for _ in range(2):
        expected = first.choose(rules, states).tolist()
        assert second.choose(rules, states).tolist() == expected
    assert spec == "heuristic" or other.choose(rules, states).tolist() != expected


def test_the_random_player_tries_every_move() -> None:
    rules = rules_for("square8_2p")
    states = np.repeat(positions("square8_2p", 8)[7:], 4000, axis=0)
    chosen = make_player("random", "square8_2p").choose(rules, states)
    work, moves = make_work(rules), np.empty(rules.max_moves, np.int64)
    assert len(set(chosen.tolist())) == legal_moves(rules, states[0], work, moves) < 250


@pytest.mark.parametrize(("variant", "at_least"), [("square8_2p", 32), ("hex8_2p", 32), ("square8_3p", 21)])
def test_the_heuristic_beats_random_players(variant: str, at_least: int) -> None:
    # At the strength measured (docs/log.md) fewer than this many of 40 happens less than once in a thousand.
    others: list[Player] = [make_player("random", variant, seed=seat) for seat in range(1, rules_for(variant).players)]
    assert wins_of_the_first(variant, [make_player("heuristic", variant), *others], 40) >= at_least


def test_identities_are_participants_names() -> None:
    assert make_player("mcts-64", "square8_2p").identity == "mcts-64@2"
    assert make_player("mcts-64@2", "square8_2p").identity == "mcts-64@2"
    named = make_player("heuristic-search", "square8_2p", search=SearchSettings("puct", 16)).identity
    assert named == f"{baseline_id('heuristic-search', 'square8_2p')}|puct16"


@pytest.mark.parametrize("name", ["heuristic", "heuristic-search"])
def test_a_heuristic_with_weights_that_are_not_shipped_is_refused(name: str) -> None:
    ours = baseline_id(name, "square8_2p")
    assert make_player(ours, "square8_2p").identity.startswith(ours)
    with pytest.raises(ConfigError, match=f"is {ours}, got {name}@00000000"):
        make_player(f"{name}@00000000", "square8_2p")


def test_random_games_that_this_program_does_not_search_by_are_refused() -> None:
    with pytest.raises(ConfigError, match="mcts-64 for square8_2p is mcts-64@2, got mcts-64@1"):
        make_player("mcts-64@1", "square8_2p")


def test_random_games_are_tried_for_many_moves_all_over_the_list() -> None:
    rules = rules_for("square8_2p")
    state, settings = positions("square8_2p", 1), playout_search("mcts-64")
    assert settings is not None
    search = BatchSearch(rules, settings, PlayoutLeaves(rules))
    pool = search.search(np.repeat(state, 30, axis=0), np.arange(30, dtype=np.uint64))
    tried = [np.flatnonzero(pool.root(slot).visits) for slot in range(30)]
    count = len(pool.root(0).moves)
    assert min(map(len, tried)) >= 16
    assert 0.4 < np.concatenate(tried).mean() / count < 0.6


@pytest.mark.parametrize("spec", ["", "alphazero", "mcts-0", "mcts-", "mcts-9999999", "/nowhere"])
def test_unknown_players_are_refused(spec: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a player is one of random, heuristic"):
        make_player(spec, "square8_2p", directory=RunDirectory(tmp_path))


def test_a_digest_needs_a_directory_and_a_model_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no run directory"):
        make_player("0" * 64, "square8_2p")
    with pytest.raises(ModelError):
        make_player("0" * 64, "square8_2p", directory=RunDirectory(tmp_path))


def test_a_searching_player_refuses_another_variant() -> None:
    player = make_player("mcts-2", "square8_2p")
    with pytest.raises(ValueError, match="another variant"):
        player.choose(rules_for("hex8_2p"), positions("hex8_2p", 1))


def test_a_won_position_is_won_by_every_thinking_baseline() -> None:
    won = "ph=TE;cp=1;w=-;pe=0;mm=-;at=-;H=5,5;E=0,0;T=0,0;S=0,0:1|7,7:2;M=0,2:1|1,1:1|2,0:1;C="
    game = Game.from_text("square8_2p", won)
    for spec in ("heuristic", "heuristic-search", "mcts-16"):
        move = int(make_player(spec, "square8_2p").choose(game.rules, game.row[None, :])[0])
        assert move_text(game.rules, game.row, move).startswith("TR:")
