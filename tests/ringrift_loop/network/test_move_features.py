from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ringrift_loop.engine import moves as mv
from ringrift_loop.engine.board import board_for
from ringrift_loop.engine.rules import Rules, rules_for
from ringrift_loop.engine.text.position_text import parse_state
from ringrift_loop.network.encoding import move_features, symmetry_images
from ringrift_loop.network.move_features import FIRST, MOVE_COLUMNS, NUM_MOVE_TYPES, SIZE, TYPE, encode_moves

RECOVERIES = (mv.RL1, mv.RL2, mv.RF, mv.RS)


def _features(
    rules: Rules, state: NDArray[np.int16], moves: NDArray[np.int64], image: NDArray[np.int32] | None = None
) -> NDArray[np.int32]:
    out = np.empty((len(moves), MOVE_COLUMNS), np.int32)
    encode_moves(rules.core, state, rules.board.grid if image is None else image, moves, len(moves), out)
    return out


@pytest.mark.parametrize("variant", ["square8_2p", "square8_4p", "hex8_2p", "hex8_4p"])
def test_no_two_legal_moves_of_a_state_look_the_same(variant: str, positions: type[Any]) -> None:
    rules, states, moves = positions.random(variant, 500, every=1)
    kinds = set()
    for state, own in zip(states, moves, strict=True):
        features = _features(rules, state, own)
        assert len(np.unique(features, axis=0)) == len(own)
        kinds |= set((own & 0xFF).tolist())
    # Region, payment and skip choices shared one entry of the original's index on hex boards.
    assert {mv.LE, mv.TR, mv.TE, mv.ST, mv.SP, mv.SC} <= kinds


@pytest.mark.parametrize("variant", ["square8_2p", "hex8_3p"])
def test_no_two_choices_about_crossing_lines_look_the_same(variant: str, positions: type[Any]) -> None:
    rules = rules_for(variant)
    row = [f"{x},0:1" for x in range(-3, 3)] if rules.board.is_hex else [f"{x},0:1" for x in range(6)]
    markers = "|".join(sorted({*row, "0,1:1", "0,2:1", "0,3:1"}, key=lambda m: tuple(map(int, m[:-2].split(",")))))
    nothing = ",".join(["0"] * rules.players)
    stack = "1,2:1"
    state = parse_state(
        rules, f"ph=LI;cp=1;w=-;pe=0;mm=-;at=-;H={nothing};E={nothing};T={nothing};S={stack};M={markers};C="
    )
    own = positions.legal(rules, state)
    assert {mv.LP, mv.LO} <= set((own & 0xFF).tolist())
    for images in symmetry_images(variant.split("_")[0]):
        assert len(np.unique(_features(rules, state, own, images), axis=0)) == len(own)


def test_every_kind_of_move_has_types_of_its_own(positions: type[Any]) -> None:
    rules = rules_for("hex8_4p")
    state = positions.random("hex8_4p", 1).states[0]
    owner: dict[int, int] = {}
    for kind in range(mv.NUM_KINDS):
        options = {mv.PL: (1, 2, 3), mv.TR: (0, 1, 2, 3, 4)}.get(kind, (0,))
        for option in options:
            features = _features(rules, state, np.array([mv.pack(kind, 3, option, 5, 6)], np.int64))
            move_type = int(features[0, TYPE])
            assert 0 <= move_type < NUM_MOVE_TYPES
            assert move_type not in owner, (kind, owner.get(move_type))
            owner[move_type] = kind
    assert len(owner) == NUM_MOVE_TYPES


@pytest.mark.parametrize("variant", ["square8_2p", "square8_3p", "hex8_2p", "hexagonal_3p"])
def test_moves_of_a_turned_state_are_the_turned_moves(variant: str, positions: type[Any]) -> None:
    rules, states, moves = positions.random(variant, 60, every=12)
    checked = 0
    for images in symmetry_images(variant.split("_")[0]):
        cells = np.searchsorted(rules.board.grid, images).astype(np.int16)
        for state, own in zip(states, moves, strict=True):
            if np.isin(own & 0xFF, RECOVERIES).any():
                continue  # which axis of a recovery slide counts depends on the axes' order: no symmetry keeps it
            other = positions.turned(rules, state, cells)
            expected = _features(rules, other, positions.legal(rules, other))
            got = _features(rules, state, own, images)
            np.testing.assert_array_equal(np.unique(got, axis=0), np.unique(expected, axis=0))
            checked += bool(np.isin(own & 0xFF, (mv.TR, mv.LP, mv.LO)).any())
    assert checked >= 8


def test_moves_do_not_depend_on_the_names_of_the_seats(positions: type[Any]) -> None:
    rules, states, moves = positions.random("square8_3p", 200, every=1)
    regions = 0
    for state, own in zip(states, moves, strict=True):
        other = positions.reseated(rules, state, 1)
        expected = np.unique(_features(rules, state, own), axis=0)
        np.testing.assert_array_equal(
            np.unique(_features(rules, other, positions.legal(rules, other)), axis=0), expected
        )
        regions += bool((own & 0xFF == mv.TR).any())
    assert regions > 0


def test_cells_of_a_move_are_places_of_the_grid(positions: type[Any]) -> None:
    rules = rules_for("hex8_2p")
    state = positions.random("hex8_2p", 1).states[0]
    board = board_for("hex8")
    move = mv.pack(mv.CP, 0, 60, 30, 0)
    features = _features(rules, state, np.array([move], np.int64))[0]
    none = board.side * board.side
    expected = [board.grid[0], board.grid[60], board.grid[30], none]
    assert features[FIRST:SIZE].tolist() == expected


def test_an_output_of_the_wrong_shape_is_refused(positions: type[Any]) -> None:
    rules, states, moves = positions.random("square8_2p", 1)
    with pytest.raises(ValueError, match="out must be int32"):
        move_features(rules, states[0], moves[0], np.empty((len(moves[0]), 3), np.int32))
