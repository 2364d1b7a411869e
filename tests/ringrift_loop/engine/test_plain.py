"""The plain twin on its own: boards, texts, refusals. Its rules are tested by the worked examples and the traces."""

from __future__ import annotations

import random

import pytest

from ringrift_loop.engine.conformance.plain import PlainGame
from ringrift_loop.engine.conformance.plain.board import plain_board
from ringrift_loop.engine.rules import VARIANTS
from ringrift_loop.errors import IllegalMoveError
from scenarios import random_state

START = "ph=RP;cp=1;w=-;pe=0;mm=-;at=-;H=18,18;E=0,0;T=0,0;S=;M=;C="


@pytest.mark.parametrize(
    ("name", "cells", "steps", "spread"),
    [("square8", 64, 420, 420), ("square19", 361, 2664, 2664), ("hex8", 61, 312, 400), ("hexagonal", 469, 2664, 0)],
)
def test_boards_have_their_cells_and_neighbours(name: str, cells: int, steps: int, spread: int) -> None:
    board = plain_board(name)
    assert len(board.cells) == cells
    assert sum(len(board.neighbours(cell)) for cell in board.cells) == steps
    assert sum(len(others) for others in board.spread.values()) == spread


def test_hex8_borders_spread_over_two_diagonals_that_are_no_neighbours() -> None:
    board = plain_board("hex8")
    assert set(board.spread[0, 0]) - set(board.neighbours((0, 0))) == {(1, 1), (-1, -1)}


def test_the_start_position_reads_as_documented() -> None:
    game = PlainGame("square8_2p")
    assert (game.text(), game.digest(), game.lps_text()) == (START, "aa9158959a551375", "-/--/-/0")


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_state_text_reads_back_as_itself(variant: str) -> None:
    for seed in range(3):
        text = random_state(variant, random.Random(seed))
        assert PlainGame.from_text(variant, text).text() == text


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("ph=RP;cp=1", "cp=1;ph=RP", "fields are ph cp"),
        ("ph=RP", "ph=XX", "ph is one of"),
        ("cp=1", "cp=3", "cp names a seat 1 to 2"),
        ("w=-", "w=1", "a winner stands in phase GO only"),
        ("ph=RP;cp=1;w=-", "ph=GO;cp=1;w=2", "once a game is won cp is the winner"),
        ("E=0,0", "E=0,65", "E has a number above 64"),
        ("pe=0", "pe=1", "pe is 0, or 1 in phase LI"),
        ("mm=-", "mm=0,0", "mm names a cell in phases MO, CA and CH only"),
        ("at=-", "at=0,0", "at names a cell in phases CA and CH only"),
        ("H=18,18", "H=18", "H has 2 numbers"),
        ("H=18,18", "H=19,18", "seat 1 has 19 rings"),
        ("T=0,0", "T=1,0", "T says 1 for seat 1"),
        ("S=", "S=0,0:", "a stack in S has no rings"),
        ("S=", "S=0,8:1", "0,8 in S is not on the board square8"),
        ("S=;M=", "S=0,0:1;M=0,0:2", "cell 0,0 is listed twice"),
        ("S=", "S=0,0:3", "S names a seat 1 to 2"),
        ("S=", "S=0,0:1", "seat 1 has 19 rings"),
        ("M=", "M=1,0:1|0,0:1", "not in canonical form"),
        ("M=", "M=0,0:1|0,0:1", "cell 0,0 stands twice in M"),
        ("M=", "M=00,0:1", "malformed cell '00,0'"),
    ],
)
def test_a_malformed_state_is_refused_with_its_reason(old: str, new: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"malformed|board") as caught:
        PlainGame.from_text("square8_2p", START.replace(old, new))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "PL", "PL:0,0", "PL:0,0x0", "PL:0,0x1 ", "XX:0,0", "NP:0,0", "MV:0,0>01,1", "PL:8,0x1", "TR:0,0/1/XYZ"]
)
def test_a_malformed_move_is_a_value_error_but_not_an_illegal_move(text: str) -> None:
    with pytest.raises(ValueError, match=r"malformed|not on the board|unknown kind") as caught:
        PlainGame("square8_2p").play(text)
    assert not isinstance(caught.value, IllegalMoveError)


def test_an_illegal_move_says_phase_seat_and_what_is_legal() -> None:
    game = PlainGame("square8_2p")
    with pytest.raises(IllegalMoveError, match=r"PL:0,0x1 is not legal in movement for seat 1 at ply 1: 19 moves are"):
        game.play("PL:3,3x2")
        game.play("PL:0,0x1")


def test_no_move_is_legal_once_the_game_is_over() -> None:
    game = PlainGame.from_text("square8_2p", START.replace("ph=RP", "ph=GO").replace("w=-", "w=1"))
    assert (game.is_over, game.legal()) == (True, [])
    with pytest.raises(IllegalMoveError, match="the game is over, seat 1 won"):
        game.play("PL:0,0x1")


def test_a_copy_can_be_played_on_without_touching_the_original() -> None:
    game = PlainGame("hex8_3p")
    twin = game.copy()
    twin.play("PL:0,0x2")
    assert (game.text(), game.moves) == (PlainGame("hex8_3p").text(), [])
