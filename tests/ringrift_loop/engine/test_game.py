from __future__ import annotations

import hashlib

from ringrift_loop.engine.game import Game

TWO_STACKS = "ph=MO;cp=1;w=-;pe=0;mm=-;at=-;H=9,9;E=0,0;T=0,0;S=2,2:21|6,6:2;M=2,5:2;C="


def test_a_game_reports_seat_result_and_digest() -> None:
    game = Game("square8_2p")
    assert (game.to_play, game.is_over, game.winner, game.result) == (1, False, None, None)
    assert game.digest() == hashlib.blake2b(game.text().encode(), digest_size=8).hexdigest()


def test_a_copy_is_played_on_without_touching_the_game() -> None:
    game = Game("hex8_3p")
    game.play("PL:0,0x1")
    twin = game.copy()
    before = game.text()
    twin.play("MV:0,0>1,0")
    assert (game.text(), game.moves) == (before, ["PL:0,0x1"])
    assert twin.moves == ["PL:0,0x1", "MV:0,0>1,0"]


def test_landing_on_a_marker_hands_the_stack_over() -> None:
    game = Game.from_text("square8_2p", TWO_STACKS)
    game.play("MV:2,2>2,5")
    assert game.text() == "ph=LI;cp=1;w=-;pe=0;mm=-;at=-;H=9,9;E=1,0;T=0,0;S=2,5:2|6,6:2;M=2,2:1;C="


def test_sides_can_be_swapped_once_at_the_second_seats_first_placement() -> None:
    game = Game("square8_2p", pie_rule=True)
    for move in ("PL:0,0x1", "MV:0,0>1,1", "NL", "NT"):
        assert "SW" not in game.legal()
        game.play(move)
    assert "SW" in game.legal()
    later = game.copy()
    later.play("PL:5,5x1")
    for move in ("MV:5,5>4,5", "NL", "NT", "PL:0,7x1", "MV:0,7>0,6", "NL", "NT"):
        later.play(move)
    assert (later.to_play, "SW" in later.legal()) == (2, False)
    game.play("SW")
    assert (game.to_play, "SW" in game.legal()) == (2, False)


def test_without_the_pie_rule_sides_are_never_swapped() -> None:
    game = Game("square8_2p")
    for move in ("PL:0,0x1", "MV:0,0>1,1", "NL", "NT"):
        game.play(move)
    assert "SW" not in game.legal()
