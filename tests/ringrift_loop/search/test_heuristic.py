"""What the heuristic sees and how it judges, on positions small enough to count by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from ringrift_loop.engine.game import Game
from ringrift_loop.engine.kernels import legal_moves, make_work
from ringrift_loop.engine.rules import VARIANTS, rules_for
from ringrift_loop.engine.text.notation import move_text
from ringrift_loop.errors import ConfigError
from ringrift_loop.search import features
from ringrift_loop.search.features import FEATURES, NUM_FEATURES, write_features
from ringrift_loop.search.heuristic import (
    LOST,
    WEIGHTS_FILE,
    heuristic_weights,
    parse_weights,
    score_batch,
    shipped_weights,
    weights_key,
    write_log_shares,
)
from ringrift_loop.search.one_ply import choose_best
from ringrift_loop.search.tally import make_tally, tally_board

HEAD = "ph=MO;cp=1;w=-;pe=0;mm=-;at=-"
ROW = "|".join([f"6,{y}:1" for y in range(3)] + [f"7,{y}:1" for y in range(8)])
"""Eleven collapsed cells of seat 1."""


def counts(game: Game) -> NDArray[np.int64]:
    """What lies on the board."""
    tally = make_tally(game.rules)
    tally_board(game.rules.core, game.row, tally)
    before: NDArray[np.int64] = tally["before"]
    return before


def seen(game: Game) -> list[dict[str, float]]:
    """The features of each seat by name."""
    out = np.empty((game.rules.players, NUM_FEATURES))
    write_features(game.rules.core, game.row, counts(game), out)
    return [dict(zip(FEATURES, row.tolist(), strict=True)) for row in out]


def shares(game: Game, weights: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """Each seat's share of the win."""
    players = game.rules.players
    out = np.empty(players)
    used = heuristic_weights(game.rules) if weights is None else weights
    write_log_shares(game.rules.core, game.row, counts(game), used, np.empty((players, NUM_FEATURES)), out)
    return np.exp(out)


def test_counters_are_scaled_by_the_targets_of_the_variant() -> None:
    game = Game.from_text("square8_2p", f"{HEAD};H=9,18;E=9,0;T=11,0;S=0,0:1;M=5,5:2;C={ROW}")
    first, second = seen(game)
    assert (first["territory"], first["eliminated"], first["hand"]) == (pytest.approx(11 / 33), 0.5, 0.5)
    assert first["territory_squared"] == pytest.approx(1 / 9)
    assert (second["markers"], second["no_stack"], second["to_play"]) == (1 / 16, 1.0, 0.0)
    assert first["to_play"] == 1.0


def test_captures_count_for_the_attacker_and_threats_for_the_target() -> None:
    # Seat 1 at (0,0), cap 2, can jump over (0,1) to (0,2); seat 2's cap of 1 is too low to jump back, and its other way
    # is off the board.
    game = Game.from_text("square8_2p", f"{HEAD};H=0,0;E=0,0;T=0,0;S=0,0:11|0,1:2;M=;C=")
    first, second = seen(game)
    assert (first["captures"], first["threatened"]) == (4 / 64, 0.0)
    assert (second["captures"], second["threatened"]) == (0.0, 4 / 64)


def test_rings_under_a_cap_are_held_and_foreign_ones_buried() -> None:
    game = Game.from_text("square8_2p", f"{HEAD};H=0,0;E=0,0;T=0,0;S=4,4:2211;M=;C=")
    first, second = seen(game)
    assert (first["caps"], first["held"], first["buried"]) == (2 / 18, 2 / 18, 0.0)
    assert second["buried"] == 2 / 18


def test_windows_of_markers_count_by_what_they_lack() -> None:
    # L = 4. Row 3: markers of seat 1 at x = 0, 1, 2; windows along x that start at 0 (three), 1 (two), 2 (one).
    game = Game.from_text("square8_2p", f"{HEAD};H=0,0;E=0,0;T=0,0;S=7,7:1;M=0,3:1|1,3:1|2,3:1;C=")
    first, _ = seen(game)
    assert first["lines_near"] == 8 / 64
    assert first["lines_far"] == 8 / 64
    blocked = Game.from_text("square8_2p", f"{HEAD};H=0,0;E=0,0;T=1,0;S=7,7:1;M=0,3:1|1,3:1|2,3:1;C=3,3:1")
    assert seen(blocked)[0]["lines_near"] == 0.0


def test_mobility_counts_rays_that_a_stack_can_use() -> None:
    # In the corner three rays of 7 cells: a stack of 8 can use none, one of 7 all three.
    low = Game.from_text("square8_2p", f"{HEAD};H=0,0;E=0,0;T=0,0;S=0,0:{'1' * 7};M=;C=")
    tall = Game.from_text("square8_2p", f"{HEAD};H=0,0;E=0,0;T=0,0;S=0,0:{'1' * 8};M=;C=")
    assert (seen(low)[0]["mobility"], seen(tall)[0]["mobility"]) == (6 / 64, 0.0)


def test_equal_positions_are_shared_equally_but_for_the_move() -> None:
    weights = shipped_weights("square_2p").copy()
    weights[FEATURES.index("to_play")] = 0.0
    game = Game.from_text("square8_2p", f"{HEAD};H=5,5;E=1,1;T=1,1;S=0,0:11|7,7:22;M=3,0:1|4,7:2;C=2,2:1|5,5:2")
    assert shares(game, weights) == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize("players", [2, 3, 4])
def test_a_finished_game_is_the_winners_alone(players: int) -> None:
    ends = ",".join(["18"] + ["0"] * (players - 1))
    hands, territory = ",".join(["5"] * players), ",".join(["0"] * players)
    text = f"ph=GO;cp=1;w=1;pe=0;mm=-;at=-;H={hands};E={ends};T={territory};S=7,7:1;M=;C="
    assert shares(Game.from_text(f"square8_{players}p", text)) == pytest.approx(
        [1.0] + [np.exp(LOST)] * (players - 1), abs=1e-9
    )


def test_one_ply_finds_the_move_that_wins_at_once() -> None:
    won = "ph=TE;cp=1;w=-;pe=0;mm=-;at=-;H=5,5;E=0,0;T=0,0;S=0,0:1|7,7:2;M=0,2:1|1,1:1|2,0:1;C="
    game = Game.from_text("square8_2p", won)
    move = int(choose_best(game.rules, game.row[None, :], np.zeros(1, np.uint64))[0])
    assert move_text(game.rules, game.row, move).startswith("TR:")


def test_scores_are_the_movers_share_after_each_move() -> None:
    game = Game.from_text(
        "hex8_3p", "ph=MO;cp=2;w=-;pe=0;mm=-;at=-;H=1,1,1;E=0,0,0;T=0,0,0;S=-2,0:3|0,0:2|1,0:1;M=0,2:2;C="
    )
    rules, work, tally = game.rules, make_work(game.rules), make_tally(game.rules)
    moves = np.empty(rules.max_moves, np.int64)
    count = legal_moves(rules, game.row, work, moves)
    scores = np.empty(count, np.float32)
    values = np.empty((1, 3), np.float32)
    bounds = np.array([0, count], np.int64)
    score_batch(rules, game.row[None, :], moves[:count], bounds, work, tally, heuristic_weights(rules), scores, values)
    assert values[0] == pytest.approx(shares(game), abs=1e-6)
    for place in range(count):
        after = game.copy()
        after.play(move_text(rules, game.row, int(moves[place])))
        assert np.exp(scores[place]) == pytest.approx(shares(after)[1], abs=1e-6)


@pytest.mark.parametrize("variant", ["square8_2p", "hex8_2p"])
def test_a_swap_is_worth_what_the_other_seat_has(variant: str) -> None:
    game = Game(variant, pie_rule=True)
    while game.to_play == 1:
        game.play(game.legal()[0])
    rules, work, tally = game.rules, make_work(game.rules), make_tally(game.rules)
    moves = np.empty(rules.max_moves, np.int64)
    count = legal_moves(rules, game.row, work, moves)
    texts = [move_text(rules, game.row, int(move)) for move in moves[:count]]
    scores = np.empty(count, np.float32)
    values = np.empty((1, 2), np.float32)
    bounds = np.array([0, count], np.int64)
    score_batch(rules, game.row[None, :], moves[:count], bounds, work, tally, heuristic_weights(rules), scores, values)
    after = game.copy()
    after.play("SW")
    assert np.exp(scores[texts.index("SW")]) == pytest.approx(shares(after)[0], abs=1e-6)
    kept = max(score for score, text in zip(scores, texts, strict=True) if text != "SW")
    chosen = move_text(rules, game.row, int(choose_best(rules, game.row[None, :], np.zeros(1, np.uint64))[0]))
    assert (chosen == "SW") == (shares(after)[0] > np.exp(kept))


def test_ties_are_broken_by_the_seed_alone() -> None:
    game = Game("square8_2p")  # an empty board: symmetric placements score alike
    rows = np.repeat(game.row[None, :], 16, axis=0)
    seeds = np.arange(16, dtype=np.uint64)
    chosen = choose_best(game.rules, rows, seeds)
    assert len(set(chosen.tolist())) > 1
    assert choose_best(game.rules, rows, seeds).tolist() == chosen.tolist()


def document() -> dict[str, Any]:
    return {"v": 1, "weights": {"hex_2p": dict.fromkeys(FEATURES, 1.0)}}


def test_weights_with_a_missing_or_unknown_feature_are_refused() -> None:
    wrong = document()
    wrong["weights"]["hex_2p"]["luck"] = wrong["weights"]["hex_2p"].pop("hand")
    with pytest.raises(ConfigError, match="missing or unknown: hand, luck"):
        parse_weights(wrong, "hex_2p")
    with pytest.raises(ConfigError, match="no weights for hex_3p"):
        parse_weights(document(), "hex_3p")
    with pytest.raises(ConfigError, match="must have v: 1, got 2"):
        parse_weights(document() | {"v": 2}, "hex_2p")


def test_every_variant_has_finite_weights_and_no_others_are_shipped() -> None:
    keys = {weights_key(rules_for(name)) for name in VARIANTS}
    assert all(np.isfinite(shipped_weights(key)).all() for key in keys)
    source = Path(features.__file__).with_name(WEIGHTS_FILE)
    assert set(yaml.safe_load(source.read_text(encoding="utf-8"))["weights"]) == keys
