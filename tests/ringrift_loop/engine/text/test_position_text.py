from __future__ import annotations

import random

import pytest

from ringrift_loop.engine.game import Game
from ringrift_loop.engine.rules import VARIANTS, rules_for
from ringrift_loop.engine.text.position_text import parse_state, state_text

START = "ph=RP;cp=1;w=-;pe=0;mm=-;at=-;H=18,18;E=0,0;T=0,0;S=;M=;C="


def test_the_start_position_is_written_as_in_the_format() -> None:
    assert Game("square8_2p").text() == START


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_states_of_a_game_are_read_back_from_their_texts(variant: str) -> None:
    game = Game(variant)
    rng = random.Random(6)
    every = 1 if game.rules.board.num_cells < 100 else 5  # a game on a large board has hundreds of states
    ply = 0
    while not game.is_over:
        if ply % every == 0:
            text = game.text()
            row = parse_state(game.rules, text)
            assert state_text(game.rules, row) == text
        game.play(rng.choice(game.legal()))
        ply += 1
    again = Game.from_text(variant, game.text())
    assert (again.winner, again.result, again.legal()) == (game.winner, game.result, [])


def test_a_state_in_the_middle_of_a_turn_keeps_its_forced_stack() -> None:
    game = Game("hex8_2p")
    game.play("PL:0,0x2")
    again = Game.from_text("hex8_2p", game.text())
    assert again.text().split(";")[4] == "mm=0,0"
    assert again.legal() == game.legal()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("ph=RP", "ph=XX"), "ph must be one of RP, MO"),
        (("cp=1", "cp=3"), "cp must be a seat from 1 to 2, got '3'"),
        (("w=-", "w=2"), "w=2 in phase RP: only a game in phase GO has a winner"),
        (("pe=0", "pe=x"), "pe must be 0 or 1"),
        (("H=18,18", "H=18"), "H must be 2 counts"),
        (("H=18,18", "H=19,18"), "H gives seat 1 19 rings; it has 18 in all"),
        (("S=", "S=0,0:1"), "seat 1 has more than its 18 rings: 18 in hand, at least 1 on the board"),
        (("T=0,0", "T=1,0"), "does not agree with the collapsed cells"),
        (("M=", "M=0,0:3"), "seats 1 to 2"),
        (("M=", "M=0,1:1|0,0:1"), "0,0 is out of place"),
        (("M=;C=", "M=0,0:1;C=0,0:2"), "cell 0,0 appears twice"),
        (("M=", "M=9,0:1"), "cell 9,0 is not on the board"),
        (("ph=RP;", ""), "a state has the fields"),
        (("mm=-", "mm=3,3"), "mm must name a stack of seat 1, which moves; got 3,3"),
        (("ph=RP", "ph=CA"), "at names the attacking stack in phases CA and CH, and only there; got - in CA"),
        (("H=18,18", "H=018,18"), "without leading zeros, got '018,18'"),
        (("pe=0", "pe=1"), "pe=1 in phase RP: a ring for a line is owed in phase LI only"),
        (("ph=RP;cp=1;w=-", "ph=GO;cp=1;w=2"), "cp must be the winner once the game is over, got cp=1 and w=2"),
    ],
)
def test_a_wrong_state_is_refused_with_its_reason(change: tuple[str, str], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_state(rules_for("square8_2p"), START.replace(*change))


@pytest.mark.parametrize(
    ("turn", "reason"),
    [
        ("ph=RP;cp=1;w=-;pe=0;mm=2,2;at=-", "mm=2,2 in phase RP: a stack must move in phases MO, CA and CH only"),
        ("ph=MO;cp=1;w=-;pe=0;mm=6,6;at=-", "mm must name a stack of seat 1, which moves; got 6,6"),
        ("ph=MO;cp=1;w=-;pe=0;mm=-;at=2,2", "at names the attacking stack .* got 2,2 in MO"),
        ("ph=CA;cp=2;w=-;pe=0;mm=-;at=2,2", "at must name a stack of seat 2, which moves; got 2,2"),
    ],
)
def test_a_turn_that_does_not_fit_its_phase_is_refused(turn: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_state(rules_for("square8_2p"), f"{turn};H=9,9;E=0,0;T=0,0;S=2,2:1|6,6:2;M=;C=")
