from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from ringrift_loop.engine.game import Game
from ringrift_loop.engine.rules import Rules, rules_for
from ringrift_loop.errors import IllegalMoveError
from ringrift_loop.ledger.matches import MatchRow
from ringrift_loop.tournament import play_match
from ringrift_loop.tournament.blocks import paired_block
from ringrift_loop.tournament.play_match import MatchSettings, play_blocks
from ringrift_loop.tournament.players import Player, RandomPlayer

SETTINGS = MatchSettings(opening_plies=3, games_in_parallel=8)


class Careless:
    """Chooses a move that is never legal."""

    identity = "careless"

    def choose(self, rules: Rules, states: npt.NDArray[np.int16]) -> npt.NDArray[np.int64]:
        return np.full(len(states), 0xFF, np.int64)


def play(variant: str, blocks: int, *, clock: Callable[[], float] = lambda: 1.0) -> list[MatchRow]:
    plans = [paired_block(variant, "manual", "a", "b", int(variant[-2]), seed) for seed in range(blocks)]
    players: dict[str, Player] = {"a": RandomPlayer(1), "b": RandomPlayer(2)}
    return [row for rows in play_blocks(plans, players, SETTINGS, clock=clock) for row in rows]


@pytest.mark.parametrize("variant", ["square8_2p", "hex8_3p", "square8_4p"])
def test_every_game_in_the_record_replays_to_its_result(variant: str) -> None:
    for row in play(variant, 4):
        game = Game(variant)
        for text in row.moves.split():
            game.play(text)
        assert game.is_over
        assert (row.winner, row.result, row.places) == (game.winner, game.result, game.places())
        assert (row.plies, row.places[row.winner - 1]) == (len(game.moves), 1)  # type: ignore[operator]


def test_the_games_of_a_block_share_the_opening_and_no_two_blocks_do() -> None:
    rows = play("square8_2p", 10)
    openings = {row.block: row.opening for row in rows}
    assert all(row.moves.startswith(row.opening) and row.opening == openings[row.block] for row in rows)
    assert len(set(openings.values())) == 10
    assert len({row.moves for row in rows}) >= 18


def test_playing_a_plan_again_gives_the_same_games() -> None:
    assert play("square8_2p", 3) == play("square8_2p", 3)


def test_an_illegal_move_names_the_player_and_the_position_and_is_not_replaced() -> None:
    plans = [paired_block("square8_2p", "manual", "a", "b", 2, 0)]
    with pytest.raises(IllegalMoveError, match=r"^b chose the move 0xff at ply"):
        list(play_blocks(plans, {"a": RandomPlayer(1), "b": Careless()}, SETTINGS, clock=lambda: 1.0))


def test_a_game_longer_than_the_ply_budget_is_a_tie_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(play_match, "rules_for", lambda name: rules_for(name)._replace(ply_budget=20))
    rows = play("hex8_3p", 2)
    assert {(row.result, row.winner, tuple(row.places)) for row in rows} == {("truncated", None, (1, 1, 1))}
    assert all(20 <= row.plies < 40 for row in rows)


def test_finished_blocks_come_out_before_the_deadline_strikes() -> None:
    seconds = iter(range(1000))
    plans = [paired_block("square8_2p", "manual", "a", "b", 2, seed) for seed in range(500)]
    players: dict[str, Player] = {"a": RandomPlayer(1), "b": RandomPlayer(2)}
    finished = []
    with pytest.raises(TimeoutError, match="at the deadline"):
        for rows in play_blocks(plans, players, SETTINGS, clock=lambda: float(next(seconds)), deadline=200.0):
            finished.append(rows)
    assert finished


def test_time_in_which_others_have_the_processor_brings_no_deadline_nearer() -> None:
    plans = [paired_block("square8_2p", "manual", "a", "b", 2, seed) for seed in range(2)]
    players: dict[str, Player] = {"a": RandomPlayer(1), "b": RandomPlayer(2)}
    now = itertools.count(0.0, 1000.0)
    clock = lambda: next(now)  # noqa: E731 - every look at the clock is a thousand seconds later
    waiting = itertools.count(0.0, 1000.0)
    games = list(play_blocks(plans, players, SETTINGS, clock=clock, deadline=60_000.0, queued=lambda: next(waiting)))
    assert sum(map(len, games)) == 4
    assert next(now) > 60_000.0
    with pytest.raises(TimeoutError):
        list(play_blocks(plans, players, SETTINGS, clock=clock, deadline=60_000.0))


def test_games_give_way_after_every_round(monkeypatch: pytest.MonkeyPatch) -> None:
    rests: list[None] = []
    monkeypatch.setattr(play_match, "give_way", lambda: rests.append(None))
    plans = [paired_block("square8_2p", "manual", "a", "b", 2, 0)]
    players: dict[str, Player] = {"a": RandomPlayer(1), "b": RandomPlayer(2)}
    (games,) = play_blocks(plans, players, SETTINGS, clock=lambda: 1.0)
    # One choice of every game a round; moves without a choice are played on.
    assert max(game.plies for game in games) / 3 < len(rests) <= max(game.plies for game in games)


def test_blocks_of_two_variants_are_refused() -> None:
    plans = [paired_block(variant, "manual", "a", "b", 2, 0) for variant in ("square8_2p", "hex8_2p")]
    with pytest.raises(ValueError, match="one variant"):
        list(play_blocks(plans, {}, SETTINGS, clock=lambda: 1.0))
