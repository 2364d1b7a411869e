from __future__ import annotations

from collections.abc import Callable

import pytest

from ringrift_loop.errors import ConfigError, ModelError
from ringrift_loop.loop import Loop
from ringrift_loop.tournament.arena import EngineArena
from ringrift_loop.tournament.blocks import paired_block
from ringrift_loop.tournament.participants import baseline_id


def test_baselines_play_by_name_and_are_opened_once(open_loop: Callable[..., Loop]) -> None:
    arena = EngineArena(open_loop())
    heuristic = baseline_id("heuristic", "square8_2p")
    plans = [paired_block("square8_2p", "manual", heuristic, "random", 2, seed) for seed in range(6)]
    rows = [row for rows in arena.play(plans) for row in rows]
    assert len(rows) == 12
    wins = sum(row.seats[row.winner - 1] == heuristic for row in rows if row.winner)
    assert wins > 6
    assert arena.player("random", "square8_2p") is arena.player("random", "square8_2p")


def test_a_model_that_does_not_load_is_an_error_before_any_game(open_loop: Callable[..., Loop]) -> None:
    plans = [paired_block("square8_2p", "manual", f"{'a' * 64}|gumbel32", "random", 2, 0)]
    with pytest.raises(ModelError, match="no model manifest"):
        list(EngineArena(open_loop()).play(plans))


def test_a_name_that_leaves_the_weights_open_is_no_participant(open_loop: Callable[..., Loop]) -> None:
    with pytest.raises(ConfigError, match="no participant of"):
        EngineArena(open_loop()).player("heuristic", "square8_2p")


def test_an_unknown_name_is_wrong_usage(open_loop: Callable[..., Loop]) -> None:
    with pytest.raises(ConfigError, match="heuristics"):
        EngineArena(open_loop()).player("heuristics", "square8_2p")
