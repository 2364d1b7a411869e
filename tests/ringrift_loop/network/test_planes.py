from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ringrift_loop.engine import state as st
from ringrift_loop.engine.rules import Rules, rules_for
from ringrift_loop.engine.text.position_text import parse_state
from ringrift_loop.network import planes as pl
from ringrift_loop.network.encoding import encode_states, plane_shape, symmetry_images


def _encode(rules: Rules, states: NDArray[np.int16]) -> NDArray[np.float32]:
    out = np.empty((len(states), *plane_shape(rules)), np.float32)
    encode_states(rules, states, out)
    return out


def _board(rules: Rules, text: str) -> NDArray[np.float32]:
    """The planes of a state given by its stacks, markers and collapsed cells, seat 1 to move."""
    hands = ",".join(["9"] * rules.players)
    zeros = ",".join(["0"] * rules.players)
    collapsed = text.split("C=")[1]
    territory = ",".join(str(collapsed.count(f":{seat + 1}")) for seat in range(rules.players))
    state = parse_state(rules, f"ph=MO;cp=1;w=-;pe=0;mm=-;at=-;H={hands};E={zeros};T={territory};{text}")
    return _encode(rules, state[None])[0]


@pytest.mark.parametrize("variant", ["square8_2p", "square8_4p", "hex8_3p", "square19_2p", "hexagonal_3p"])
def test_a_turned_state_gives_turned_planes(variant: str, positions: type[Any]) -> None:
    rules, states, _ = positions.random(variant, 24)
    before = _encode(rules, states).reshape(len(states), pl.NUM_PLANES, -1)
    for images in symmetry_images(variant.split("_")[0]):
        cells = np.searchsorted(rules.board.grid, images).astype(np.int16)
        after = _encode(rules, np.array([positions.turned(rules, state, cells) for state in states]))
        after = after.reshape(before.shape)
        np.testing.assert_array_equal(after[:, : pl.GLOBALS, images], before[:, : pl.GLOBALS, rules.board.grid])
        np.testing.assert_array_equal(after[:, pl.GLOBALS], before[:, pl.GLOBALS])


@pytest.mark.parametrize("variant", ["square8_2p", "square8_3p", "hex8_4p"])
def test_planes_do_not_depend_on_the_names_of_the_seats(variant: str, positions: type[Any]) -> None:
    rules, states, _ = positions.random(variant, 40)
    expected = _encode(rules, states)
    for shift in range(1, rules.players):
        renamed = np.array([positions.reseated(rules, state, shift) for state in states])
        np.testing.assert_array_equal(_encode(rules, renamed), expected)


def test_rows_of_a_plane_are_x_and_columns_y() -> None:
    rules = rules_for("square8_2p")
    planes = _board(rules, "S=;M=2,5:1;C=")
    assert np.argwhere(planes[pl.MARKER]).tolist() == [[2, 5]]


def test_rows_of_a_hex_plane_are_x_and_columns_y_with_the_centre_in_the_middle() -> None:
    rules = rules_for("hex8_2p")
    planes = _board(rules, "S=;M=-3,1:1;C=")
    assert np.argwhere(planes[pl.MARKER]).tolist() == [[1, 5]]
    assert planes[pl.MASK].sum() == 61


def test_three_opponents_are_kept_apart() -> None:
    rules = rules_for("square8_4p")
    planes = _board(rules, "S=;M=0,0:2|0,1:3|0,2:4;C=1,0:2|1,1:3|1,2:4")
    for seat in (1, 2, 3):
        assert np.argwhere(planes[pl.MARKER + seat]).tolist() == [[0, seat - 1]]
        assert np.argwhere(planes[pl.COLLAPSED + seat]).tolist() == [[1, seat - 1]]


def test_stacks_that_differ_only_in_the_order_of_their_rings_look_different() -> None:
    rules = rules_for("square8_3p")
    orders = ["1121", "1211", "2111", "1231", "2131", "3121", "2311", "1321"]
    planes = [_board(rules, f"S=3,3:{order};M=;C=") for order in orders]
    for first in range(len(orders)):
        for second in range(first):
            assert not np.array_equal(planes[first], planes[second]), (orders[first], orders[second])


def test_the_rings_below_the_cap_are_counted_for_each_owner() -> None:
    rules = rules_for("square8_3p")
    planes = _board(rules, "S=3,3:233211;M=;C=")
    counts = 2.0 ** (2.0 * planes[pl.BURIED : pl.BURIED + 4, 3, 3]) - 1.0
    np.testing.assert_allclose(counts, [0, 2, 2, 0], atol=1e-5)
    assert planes[pl.SECOND, 3, 3] == 1.0
    assert planes[pl.UNDER_CAP + 1, 3, 3] == 1.0
    assert planes[pl.BOTTOM + 1, 3, 3] == 1.0


def test_a_line_one_marker_short_is_seen_on_both_its_ends() -> None:
    rules = rules_for("square8_2p")  # four in a row
    planes = _board(rules, "S=;M=2,1:2|2,2:2|2,3:2;C=")
    threat = planes[pl.LINE + 1]
    assert threat[2, 0] == 1.0
    assert threat[2, 4] == 1.0
    assert threat[2, 2] == pytest.approx(0.75)
    assert not planes[pl.LINE].any()


def test_a_stack_is_marked_as_threatened_exactly_if_a_capture_of_it_is_legal() -> None:
    rules = rules_for("square8_2p")
    planes = _board(rules, "S=0,0:1|0,1:2|5,4:2|6,4:22;M=;C=")
    # 5,4 has cap 1 and cannot take 6,4 with cap 2; 0,1 could take 0,0 only with room behind it, and there is none.
    assert np.argwhere(planes[pl.CAPTURES]).tolist() == [[0, 0], [6, 4]]
    assert np.argwhere(planes[pl.TAKEN_BY_MOVER]).tolist() == [[0, 1]]
    assert np.argwhere(planes[pl.TAKEN_BY_OTHERS]).tolist() == [[5, 4]]


def test_reach_planes_agree_with_the_legal_moves(positions: type[Any]) -> None:
    rules, states, moves = positions.random("hex8_2p", 200)
    checked = 0
    for state, legal, planes in zip(states, moves, _encode(rules, states), strict=True):
        kinds, origins = legal & 0xFF, (legal >> 8) & 0x3FF
        if state[st.PHASE] != st.MOVEMENT or state[st.MUST_MOVE] >= 0 or not set(kinds) <= {4, 5}:
            continue
        own = planes[pl.CONTROLLER].flatten()[rules.board.grid] == 1.0
        for plane, kind in ((pl.MOBILE, 4), (pl.CAPTURES, 5)):
            marked = np.flatnonzero(own & (planes[plane].flatten()[rules.board.grid] == 1.0))
            assert marked.tolist() == np.unique(origins[kinds == kind]).tolist()
        checked += 1
    assert checked >= 10


def test_what_is_owed_and_who_must_move_is_seen(positions: type[Any]) -> None:
    rules, states, _ = positions.random("square8_3p", 400, every=1)
    planes = _encode(rules, states)
    numbers = planes[:, pl.GLOBALS].reshape(len(states), -1)
    for place, number in ((st.OWES_LINE, pl.G_OWES_LINE), (st.OWES_REGION, pl.G_OWES_REGION)):
        assert states[:, place].any()
        np.testing.assert_array_equal(numbers[:, number], states[:, place])
    for place, plane in ((st.MUST_MOVE, pl.MUST_MOVE), (st.ATTACKER, pl.ATTACKER)):
        assert (states[:, place] >= 0).any()
        np.testing.assert_array_equal(planes[:, plane].sum((1, 2)), states[:, place] >= 0)
    cells = rules.board.num_cells
    regions = states[:, rules.region : rules.region + cells].sum(1)
    np.testing.assert_array_equal(planes[:, pl.REGION].sum((1, 2)), regions)


def test_each_phase_has_its_own_input(positions: type[Any]) -> None:
    rules, states, _ = positions.random("square8_2p", 300, every=1)
    numbers = _encode(rules, states)[:, pl.GLOBALS].reshape(len(states), -1)
    phases = numbers[:, pl.G_PHASE : pl.G_PHASE + 7]
    np.testing.assert_array_equal(phases.argmax(1), states[:, st.PHASE])
    np.testing.assert_array_equal(phases.sum(1), 1.0)


def test_hex8_is_turned_only_by_symmetries_that_keep_its_spreading_rule() -> None:
    assert [len(symmetry_images(board)) for board in ("square8", "square19", "hex8", "hexagonal")] == [8, 8, 4, 12]


def test_an_output_of_the_wrong_shape_is_refused() -> None:
    rules = rules_for("square8_2p")
    with pytest.raises(ValueError, match=r"must be C-contiguous float32 \(1, 47, 8, 8\)"):
        encode_states(rules, np.zeros((1, rules.width), np.int16), np.empty((1, 47, 8, 9), np.float32))


@pytest.mark.parametrize("variant", ["hex8_2p", "square8_3p", "hex8_4p"])
def test_rings_won_and_lost_to_others_are_told(variant: str, positions: type[Any]) -> None:
    rules, states, _ = positions.random(variant, 1500)
    seats = rules.players
    numbers = _encode(rules, states)[:, pl.GLOBALS].reshape(len(states), -1)
    told = []
    for state, found in zip(states, numbers, strict=True):
        hand, on_board, credited = (
            state[first : first + seats].astype(int) for first in (st.HAND, st.ON_BOARD, st.ELIM)
        )
        balance = np.roll(hand + on_board + credited - rules.rings_per_seat, -state[st.TO_PLAY])
        assert balance.sum() == 0
        told.append(balance[:2])
        np.testing.assert_array_equal(found[pl.G_BALANCE : pl.NUM_GLOBALS], np.clip(balance[:2], -2, 2) / 2)
    assert np.min(told) < 0 < np.max(told)
