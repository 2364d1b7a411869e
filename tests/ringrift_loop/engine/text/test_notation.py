from __future__ import annotations

import random

import numpy as np
import pytest

from ringrift_loop.engine import kernels
from ringrift_loop.engine.game import Game
from ringrift_loop.engine.rules import VARIANTS, rules_for
from ringrift_loop.engine.text.notation import cell_text, move_text, parse_cell, parse_move
from ringrift_loop.errors import IllegalMoveError


@pytest.mark.parametrize("variant", ["square8_2p", "square19_2p", "hex8_2p", "hexagonal_2p"])
def test_every_cell_is_read_back_from_its_text(variant: str) -> None:
    rules = rules_for(variant)
    cells = range(rules.board.num_cells)
    assert [parse_cell(rules, cell_text(rules, cell)) for cell in cells] == list(cells)


@pytest.mark.parametrize("text", ["3", "3,4,1", "03,4", "+3,4", " 3,4", "-0,1", "a,b", "3,٤"])
def test_a_malformed_cell_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a cell is written x,y"):
        parse_cell(rules_for("square8_2p"), text)


def test_a_cell_off_the_board_is_refused() -> None:
    with pytest.raises(ValueError, match="cell 4,4 is not on the board, which has 61 cells"):
        parse_cell(rules_for("hex8_2p"), "4,4")


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_legal_move_of_a_game_is_read_back_from_its_text(variant: str) -> None:
    game = Game(variant, pie_rule=True)
    rng = random.Random(4)
    work, moves = kernels.make_work(game.rules), np.empty(game.rules.max_moves, np.int64)
    for _ in range(150):
        n = kernels.legal_moves(game.rules, game.row, work, moves)
        if n == 0:
            break
        for move in rng.sample(moves[:n].tolist(), min(n, 8)):
            text = move_text(game.rules, game.row, move, work)
            assert parse_move(game.rules, game.row, text, work) == move
        by_kind = sorted(game.legal())
        game.play(by_kind[rng.randrange(n)])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("XX:3,4", "a move begins with one of PL SP"),
        ("", "a move begins with one of PL SP"),
        ("pl:3,4x1", "a move begins with one of"),
        ("PL:3,4", "PL is written PL:x,yxCOUNT"),
        ("PL:3,4x4", "PL is written PL:x,yxCOUNT"),
        ("PL:3,4x1 ", "PL is written"),
        ("PL:8,4x1", "cell 8,4 is not on the board"),
        ("SP:3,4", "SP stands alone"),
        ("MV:3,4", "MV is written MV:from>to"),
        ("CP:1,1>2,2", "CP is written CP:from>target>to"),
        ("LE", "LE is written LE:x,y"),
        ("TR:0,0/3/XYZ", "TR is written TR:smallest/cells/crc32"),
    ],
)
def test_a_malformed_move_is_refused_with_its_shape(text: str, reason: str) -> None:
    game = Game("square8_2p")
    with pytest.raises(ValueError, match=reason) as caught:
        game.play(text)
    assert not isinstance(caught.value, IllegalMoveError)
    assert game.moves == []


def test_an_illegal_move_is_refused_with_phase_seat_and_what_is_legal() -> None:
    game = Game("square8_2p")
    game.play("PL:3,4x2")
    with pytest.raises(IllegalMoveError, match=r"MV:3,4>3,5 is not legal for seat 1 in movement \(MO\): \d+ moves are"):
        game.play("MV:3,4>3,5")
    with pytest.raises(IllegalMoveError, match="none of kind PL: MV:3,4>"):
        game.play("PL:0,0x1")


def test_a_move_after_the_end_is_refused() -> None:
    game = Game.from_text("square8_2p", "ph=GO;cp=1;w=1;pe=0;mm=-;at=-;H=9,9;E=18,0;T=0,0;S=7,7:1;M=;C=")
    with pytest.raises(IllegalMoveError, match="PL:0,0x1 is not legal: the game is over"):
        game.play("PL:0,0x1")


def test_a_line_option_over_the_whole_line_is_read_as_the_line() -> None:
    start = "ph=LI;cp=1;w=-;pe=0;mm=-;at=-;H=9,9;E=0,0;T=0,0;S=7,7:1|7,0:2;M=0,3:1|1,3:1|2,3:1|3,3:1;C="
    game = Game.from_text("square8_2p", start.replace("S=7,7:1|7,0:2", "S=7,0:2|7,7:1"))
    game.play("LO:0,3..3,3#0,3..3,3")
    assert game.moves == ["LP:0,3..3,3"]
    assert game.legal() == ["LE:7,7"]


def test_a_region_is_named_by_its_smallest_cell_its_size_and_the_hash_of_its_cells() -> None:
    # crc32("0,0 0,1 1,0") by the standard library and by zip tools alike.
    game = Game.from_text(
        "square8_2p", "ph=TE;cp=1;w=-;pe=0;mm=-;at=-;H=5,5;E=0,0;T=0,0;S=0,0:2|7,7:1;M=0,2:1|1,1:1|2,0:1;C="
    )
    assert game.legal() == ["ST", "TR:0,0/3/1ff43198"]
    with pytest.raises(IllegalMoveError):
        game.play("TR:0,0/3/00000000")
