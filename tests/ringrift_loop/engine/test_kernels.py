from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ringrift_loop.engine import kernels
from ringrift_loop.engine import state as st
from ringrift_loop.engine.conformance.plain import PlainGame
from ringrift_loop.engine.game import Game
from ringrift_loop.engine.moves import NP, PL, RF, RL1, RL2, RS, SW, kind_of
from ringrift_loop.engine.placement import placement_in_slot, placement_slots
from ringrift_loop.engine.rules import VARIANTS, Rules, rules_for
from ringrift_loop.engine.text.notation import parse_state, state_text

Row = NDArray[np.int16]
SMALL = [name for name in VARIANTS if name.startswith(("square8", "hex8"))]


class Player:
    """Plays random moves on one row."""

    def __init__(self, variant: str, seed: int, *, pie_rule: bool = False) -> None:
        self.rules = rules_for(variant, pie_rule=pie_rule)
        self.row = kernels.new_states(self.rules, 1)[0]
        self.work = kernels.make_work(self.rules)
        self.moves = np.empty(self.rules.max_moves, np.int64)
        self.rng = np.random.default_rng(seed)

    def legal(self) -> list[int]:
        return self.moves[: kernels.legal_moves(self.rules, self.row, self.work, self.moves)].tolist()

    def step(self) -> bool:
        """Play a random move; False when the game is over."""
        legal = self.legal()
        if not legal:
            return False
        # By kind first, so that skips, captures, lines and regions come up often.
        kinds = sorted({move & 0xFF for move in legal})
        kind = kinds[self.rng.integers(len(kinds))]
        choices = [move for move in legal if move & 0xFF == kind]
        kernels.apply_move(self.rules, self.row, self.work, choices[self.rng.integers(len(choices))])
        return True


def _rings(rules: Rules, row: Row, cell: int) -> list[int]:
    """Ring ids of a stack from top to bottom."""
    rings = []
    ring = int(row[rules.top + cell])
    while ring >= 0:
        rings.append(ring)
        ring = int(row[rules.below + ring])
    return rings


def _recount(rules: Rules, row: Row) -> dict[str, Any]:
    """Counters and stack fields, counted anew from the linked rings, the kinds and the owners."""
    stacks, markers, ground, rings = ([0] * rules.players for _ in range(4))
    fields = []
    for cell in range(rules.board.num_cells):
        kind, owner = row[rules.kind + cell], row[rules.owner + cell]
        if kind == st.MARKER:
            markers[owner] += 1
        elif kind == st.COLLAPSED:
            ground[owner] += 1
        elif kind == st.STACK:
            ids = _rings(rules, row, cell)
            seats = [ring // rules.rings_per_seat for ring in ids]
            stacks[seats[0]] += 1
            for seat in seats:
                rings[seat] += 1
            cap = next((i for i, seat in enumerate(seats) if seat != seats[0]), len(seats))
            fields.append((cell, seats[0], len(seats), cap, ids[-1]))
    return {"stacks": stacks, "markers": markers, "ground": ground, "rings": rings, "fields": fields}


def _kept(rules: Rules, row: Row) -> dict[str, Any]:
    """The same as the row keeps it."""

    def seats(start: int) -> list[int]:
        return [int(n) for n in row[start : start + rules.players]]

    parts = (rules.owner, rules.height, rules.cap, rules.bottom)
    cells = np.flatnonzero(row[rules.kind : rules.owner] == st.STACK)
    return {
        "stacks": seats(st.STACKS),
        "markers": seats(st.MARKERS),
        "ground": seats(st.TERR),
        "rings": seats(st.ON_BOARD),
        "fields": [(int(cell), *(int(row[part + cell]) for part in parts)) for cell in cells],
    }


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_counters_agree_with_a_recount_after_every_ply(variant: str) -> None:
    player = Player(variant, seed=3)
    for _ in range(400):
        if not player.step():
            break
        assert _kept(player.rules, player.row) == _recount(player.rules, player.row)


@pytest.mark.parametrize("variant", SMALL)
def test_no_move_is_listed_twice(variant: str) -> None:
    player = Player(variant, seed=5)
    for _ in range(3):
        kernels.start(player.rules, player.row)
        while legal := player.legal():
            assert len(set(legal)) == len(legal)
            player.step()


@pytest.mark.parametrize("board", ["square8", "hex8"])
def test_every_symmetric_image_of_a_state_has_as_many_moves(board: str) -> None:
    player = Player(f"{board}_3p", seed=7)
    compared = 0
    while player.step():
        legal = player.legal()
        # The first of the line axes counts in a recovery, so its windows are not symmetric.
        if not {kind_of(move) for move in legal} & {RL1, RL2, RF, RS}:
            for images in player.rules.board.sym:
                twin = _image(player.rules, player.row, images)
                assert kernels.legal_moves(player.rules, twin, player.work, player.moves) == len(legal)
            compared += 1
    assert compared > 50


def _image(rules: Rules, row: Row, images: NDArray[np.int16]) -> Row:
    twin = row.copy()
    for start in (rules.kind, rules.owner, rules.height, rules.cap, rules.top, rules.bottom, rules.region):
        twin[start + images] = row[start : start + rules.board.num_cells]
    for place in (st.MUST_MOVE, st.ATTACKER):
        if row[place] >= 0:
            twin[place] = images[row[place]]
    return twin


def test_forced_plies_are_those_with_one_legal_move_and_the_trail_keeps_them() -> None:
    player = Player("square8_2p", seed=11)
    trail = np.zeros(64, np.int64)
    while player.step():
        slow = Player("square8_2p", seed=0)
        slow.row[:] = player.row
        expected = []
        while len(legal := slow.legal()) == 1:
            expected.append(legal[0])
            kernels.apply_move(slow.rules, slow.row, slow.work, legal[0])
        n, length = kernels.play_forced(player.rules, player.row, player.work, player.moves, trail, 0)
        assert (trail[:length].tolist(), player.moves[:n].tolist()) == (expected, slow.legal())
        assert (player.row == slow.row).all()


def test_forced_play_stops_with_one_move_left_when_the_trail_is_full() -> None:
    player = Player("square8_2p", seed=1)
    player.row[:] = parse_state(player.rules, "ph=MO;cp=1;w=-;pe=0;mm=-;at=-;H=17,18;E=0,0;T=0,0;S=;M=;C=")
    trail = np.zeros(1, np.int64)
    assert kernels.play_forced(player.rules, player.row, player.work, player.moves, trail, 0) == (1, 1)


@pytest.mark.parametrize("variant", VARIANTS)
def test_random_playouts_end_within_the_ply_budget_with_a_winner(variant: str) -> None:
    rules = rules_for(variant)
    work, moves = kernels.make_work(rules), np.empty(rules.max_moves, np.int64)
    rng = np.array([2], np.uint64)
    for row in kernels.new_states(rules, 5):
        plies = kernels.random_playout(rules, row, work, moves, rng)
        assert plies == row[st.PLY] < rules.ply_budget
        assert row[st.PHASE] == st.GAME_OVER
        assert row[st.TO_PLAY] == row[st.WINNER] >= 0
        assert kernels.legal_moves(rules, row, work, moves) == 0


def test_a_playout_that_meets_the_ply_budget_is_truncated() -> None:
    player = Player("square8_3p", seed=1)
    player.row[st.PLY] = player.rules.ply_budget - 2
    rng = np.array([1], np.uint64)
    assert kernels.random_playout(player.rules, player.row, player.work, player.moves, rng) == 2
    assert (player.row[st.RESULT], player.row[st.WINNER]) == (st.TRUNCATED, -1)
    shares = np.zeros(3, np.float32)
    kernels.outcome(player.rules, player.row, shares)
    assert shares.tolist() == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_placement_drawn_from_the_slots_is_a_legal_one_and_each_legal_one_has_a_slot(variant: str) -> None:
    seen = 0
    for seed in range(4):
        player = Player(variant, seed, pie_rule=seed % 2 == 1 and variant.endswith("2p"))
        while (legal := player.legal()) and seen <= 40 * (seed + 1):
            seat = int(player.row[st.TO_PLAY])
            if player.row[st.PHASE] == st.RING_PLACEMENT and player.row[st.HAND + seat] > 0:
                core, row = player.rules.core, player.row
                drawn = [placement_in_slot(core, row, seat, slot) for slot in range(placement_slots(core, row, seat))]
                assert sorted(move for move in drawn if move >= 0) == sorted(set(legal) - {NP})
                seen += 1
            player.step()
    assert seen > 100


@pytest.mark.parametrize(
    ("text", "pie_rule"),
    [
        (
            "ph=RP;cp=1;w=-;pe=0;mm=-;at=-;H=17,16;E=0,0;T=0,0;S=0,0:1|1,0:22;M=0,1:1;C=",
            False,
        ),  # all counts, and a skip
        ("ph=RP;cp=2;w=-;pe=0;mm=-;at=-;H=3,1;E=0,0;T=0,0;S=3,3:111111111111111|4,4:22222222222222222;M=;C=", False),
        ("", True),  # the second seat's first turn, with the swap
    ],
)
def test_a_random_move_is_each_legal_move_as_often(text: str, pie_rule: bool) -> None:
    player = Player("square8_2p", 0, pie_rule=pie_rule)
    if text:
        player.row[:] = parse_state(player.rules, text)
    while pie_rule and (player.row[st.TO_PLAY] == 0 or player.row[st.PHASE] != st.RING_PLACEMENT):
        player.step()
    player.row[st.PLY] = player.rules.ply_budget - 1
    legal, after = player.legal(), {}
    for place, move in enumerate(legal):
        child = player.row.copy()
        kernels.apply_move(player.rules, child, player.work, move)
        kernels.truncate(child)
        after[child.tobytes()] = place
    assert len(after) == len(legal) > 50
    assert (SW in legal) == pie_rule
    rng, counts = np.array([5], np.uint64), np.zeros(len(legal))
    for _ in range(100 * len(legal)):
        child = player.row.copy()
        assert kernels.random_playout(player.rules, child, player.work, player.moves, rng) == 1
        counts[after[child.tobytes()]] += 1
    # Chi-square: its mean is the degrees of freedom, its variance twice that; five standard deviations.
    freedom = len(legal) - 1
    assert abs(((counts - 100) ** 2 / 100).sum() - freedom) < 5 * (2 * freedom) ** 0.5


def test_playouts_repeat_with_their_seed_and_differ_without() -> None:
    def final(seed: int) -> bytes:
        player = Player("hex8_2p", seed=0)
        rng = np.array([seed], np.uint64)
        kernels.random_playout(player.rules, player.row, player.work, player.moves, rng)
        return player.row.tobytes()

    assert final(1) == final(1) != final(2)


def test_the_random_generator_gives_the_published_numbers() -> None:
    # splitmix64 from seed 1234567, as in the test vectors of its public C and Java versions.
    rng = np.array([1234567], np.uint64)
    drawn = [int(kernels.next_random(rng)) for _ in range(3)]
    assert drawn == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_random_choices_are_uniform() -> None:
    rng = np.array([9], np.uint64)
    draws, n = 60_000, 6
    counts = np.bincount([kernels.random_below(rng, n) for _ in range(draws)], minlength=n)
    chi_square = float(((counts - draws / n) ** 2 / (draws / n)).sum())
    # 5 degrees of freedom: 20.5 is exceeded once in a thousand seeds; this one is fixed.
    assert counts.sum() == draws
    assert chi_square < 20.5


def test_the_winner_has_the_whole_outcome_and_equal_losers_share_a_place() -> None:
    game = Game.from_text("square8_4p", "ph=GO;cp=3;w=3;pe=0;mm=-;at=-;H=9,9,9,9;E=1,1,30,2;T=0,0,0,0;S=7,7:3;M=;C=")
    shares = np.zeros(4, np.float32)
    kernels.outcome(game.rules, game.row, shares)
    assert shares.tolist() == [0, 0, 1, 0]
    assert game.places() == [3, 3, 1, 2]


def test_of_equal_losers_the_one_that_lost_its_last_ring_in_a_later_turn_is_before_the_other() -> None:
    game = Game.from_text("square8_4p", "ph=GO;cp=3;w=3;pe=0;mm=-;at=-;H=0,0,9,1;E=1,1,30,1;T=0,0,0,0;S=7,7:3;M=;C=")
    game.row[st.LOST_AT : st.LOST_AT + 2] = (40, 60)
    assert game.places() == [4, 3, 1, 2]


@pytest.mark.parametrize("engine", [Game, PlainGame])
def test_equal_losers_that_lost_their_last_rings_in_the_same_turn_share_a_place(
    engine: type[Game] | type[PlainGame],
) -> None:
    # Seat 1 takes the corner with seat 2's last ring, pays, takes the one with seat 3's, and wins by elimination.
    game = engine.from_text(
        "square8_4p",
        "ph=TE;cp=1;w=-;pe=0;mm=-;at=-;H=5,0,0,5;E=27,0,0,0;T=0,0,0,0;S=0,0:2|3,3:1|4,6:4|5,3:1|7,7:3;"
        "M=0,2:1|1,1:1|2,0:1|5,7:1|6,6:1|7,5:1;C=",
    )
    game.play("TR:0,0/3/1ff43198")
    game.play("TE:3,3")
    game.play(next(text for text in game.legal() if text.startswith("TR:6,7/3/")))
    assert (game.winner, game.result) == (1, "elimination")
    assert game.places() == [1, 3, 3, 2]


def test_the_turn_of_a_seats_last_ring_is_noted() -> None:
    game = Game.from_text(
        "square8_3p", "ph=FE;cp=1;w=-;pe=0;mm=-;at=-;H=0,3,3;E=0,0,0;T=0,0,0;S=0,0:1|4,4:2|6,6:3;M=;C="
    )
    assert game.row[st.TURN] == 1
    game.play("FE:0,0")
    assert game.row[st.LOST_AT : st.LOST_AT + 3].tolist() == [1, -1, -1]
    assert game.row[st.TURN] == 2


def test_real_actions_count_placements_and_stack_moves_whatever_the_phase() -> None:
    # Seat 1 has no ring in hand and one stack that is too high to move; seat 2 could still place.
    rules = rules_for("square8_2p")
    row = parse_state(rules, "ph=LI;cp=1;w=-;pe=0;mm=-;at=-;H=0,5;E=0,0;T=0,0;S=0,0:22222221;M=;C=")
    assert [kernels.has_real_action(rules, row, seat) for seat in (0, 1)] == [False, True]


def test_many_states_are_independent_rows_in_the_start_position() -> None:
    rules = rules_for("hex8_4p")
    rows = kernels.new_states(rules, 3)
    work, moves = kernels.make_work(rules), np.empty(rules.max_moves, np.int64)
    assert kernels.legal_moves(rules, rows[1], work, moves) == 61 * 3
    assert {kind_of(move) for move in moves[: 61 * 3].tolist()} == {PL}
    kernels.apply_move(rules, rows[1], work, int(moves[0]))
    assert (rows[0] == rows[2]).all()
    assert state_text(rules, rows[0]) != state_text(rules, rows[1])
