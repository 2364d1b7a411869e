"""The worked examples of docs/3-rules.md 20, played by the kernels and by the plain twin."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from ringrift_loop.engine.conformance.plain import PlainGame
from ringrift_loop.engine.game import Game
from ringrift_loop.engine.rules import VARIANTS
from ringrift_loop.errors import IllegalMoveError

pytestmark = pytest.mark.parametrize("engine", [Game, PlainGame], ids=["kernel", "plain"])


def at(engine: Any, variant: str, phase: str, *, seat: int = 1, hands: str = "", gone: str = "", **lists: str) -> Any:
    """The game at a position; S, M and C may stand in any order, hands default to 5 each, T is counted from C."""
    players = VARIANTS[variant].players
    entries = {name: sorted(lists.get(name, "").split(), key=_by_cell) for name in "SMC"}
    owners = Counter(entry.partition(":")[2] for entry in entries["C"])
    territory = ",".join(str(owners[str(other)]) for other in range(1, players + 1))
    hands = hands or ",".join("5" * players)
    gone = gone or ",".join("0" * players)
    cells = ";".join(f"{name}={'|'.join(entries[name])}" for name in "SMC")
    text = f"ph={phase};cp={seat};w=-;pe=0;mm=-;at=-;H={hands};E={gone};T={territory};{cells}"
    return engine.from_text(variant, text)


def _by_cell(entry: str) -> tuple[int, ...]:
    return tuple(int(part) for part in entry.partition(":")[0].split(","))


def field(game: Any, name: str) -> str:
    return str(dict(part.split("=", 1) for part in game.text().split(";"))[name])


def all_cells(*, but: str) -> list[str]:
    """The cells of square8 without those named."""
    return [f"{x},{y}" for x in range(8) for y in range(8) if f"{x},{y}" not in but.split()]


def of_kind(game: Any, kind: str) -> list[str]:
    return [text for text in game.legal() if text.startswith(f"{kind}:")]


def test_landing_on_a_marker_hands_the_stack_over(engine: Any) -> None:
    game = at(engine, "square8_2p", "MO", S="2,2:21", M="2,5:2")
    assert {"MV:2,2>2,4", "MV:2,2>2,5", "MV:2,2>2,6"} <= set(game.legal())
    assert "MV:2,2>2,3" not in game.legal()
    game.play("MV:2,2>2,5")
    assert (field(game, "S"), field(game, "M"), field(game, "E"), field(game, "ph")) == ("2,5:2", "2,2:1", "1,0", "LI")


def test_markers_on_the_way_collapse_or_flip(engine: Any) -> None:
    game = at(engine, "square8_2p", "MO", S="0,0:1", M="1,0:1 2,0:2")
    game.play("MV:0,0>3,0")
    assert (field(game, "S"), field(game, "M"), field(game, "C")) == ("3,0:1", "0,0:1|2,0:1", "1,0:1")
    assert field(game, "T") == "1,0"


def test_a_single_ring_that_lands_on_a_marker_is_gone(engine: Any) -> None:
    game = at(engine, "square8_2p", "MO", S="0,0:1", M="1,0:1 2,0:2")
    game.play("MV:0,0>1,0")
    assert (field(game, "S"), field(game, "M"), field(game, "E")) == ("", "0,0:1|2,0:2", "1,0")


def test_a_chain_ends_when_the_grown_stack_cannot_reach_behind_a_target(engine: Any) -> None:
    game = at(engine, "hex8_2p", "MO", S="0,0:11 1,0:2 3,0:2")
    assert [text for text in of_kind(game, "CP") if text.startswith("CP:0,0>1,0")] == ["CP:0,0>1,0>2,0"]
    game.play("CP:0,0>1,0>2,0")
    assert (field(game, "S"), field(game, "ph")) == ("2,0:211|3,0:2", "LI")


def test_capturing_an_own_ring_grows_the_cap(engine: Any) -> None:
    game = at(engine, "square8_2p", "MO", S="4,4:1 4,5:1")
    game.play("CP:4,4>4,5>4,6")
    assert (field(game, "S"), field(game, "M")) == ("4,6:11", "4,4:1")


def test_a_chain_must_go_on_and_may_reverse(engine: Any) -> None:
    game = at(engine, "square8_2p", "MO", S="4,4:1 4,5:21")
    game.play("CP:4,4>4,5>4,6")
    assert (field(game, "S"), field(game, "ph"), field(game, "at")) == ("4,5:2|4,6:11", "CH", "4,6")
    assert "CC:4,6>4,5>4,4" in game.legal()
    assert all(text.startswith("CC:") for text in game.legal())


@pytest.mark.parametrize(("target", "takes"), [("2221", True), ("22", False)])
def test_the_cap_decides_who_may_capture_whom(engine: Any, target: str, takes: bool) -> None:
    game = at(engine, "square8_2p", "MO", S=f"0,0:221 0,2:{target}")
    assert bool(of_kind(game, "CP")) == takes


def test_no_ring_is_placed_where_the_stack_could_not_act(engine: Any) -> None:
    walled = at(engine, "square8_2p", "RP", C="1,0:2 0,1:2 1,1:2")
    assert not [text for text in of_kind(walled, "PL") if text.startswith("PL:0,0")]
    behind = at(engine, "square8_2p", "RP", S="1,0:22", C="0,1:2 1,1:2")
    assert [text for text in of_kind(behind, "PL") if text.startswith("PL:0,0")] == ["PL:0,0x2", "PL:0,0x3"]
    with pytest.raises(IllegalMoveError, match="PL:0,0x1"):
        behind.play("PL:0,0x1")


def test_a_long_line_is_taken_whole_for_a_ring_or_in_part_for_nothing(engine: Any) -> None:
    game = at(engine, "square8_2p", "LI", S="7,7:1 7,0:2", M="0,3:1 1,3:1 2,3:1 3,3:1 4,3:1")
    assert game.legal() == ["LO:0,3..4,3#0,3..3,3", "LO:0,3..4,3#1,3..4,3", "LP:0,3..4,3"]
    part = game.copy()
    part.play("LO:0,3..4,3#1,3..4,3")
    assert (field(part, "M"), field(part, "T"), field(part, "ph")) == ("0,3:1", "4,0", "TE")
    game.play("LO:0,3..4,3#0,3..4,3")
    assert (game.moves[-1], field(game, "pe"), game.legal()) == ("LP:0,3..4,3", "1", ["LE:7,7"])
    game.play("LE:7,7")
    assert (field(game, "E"), game.legal()) == ("1,0", ["NL"])


def test_a_crossing_line_is_gone_once_the_first_is_taken(engine: Any) -> None:
    game = at(engine, "square8_3p", "LI", S="7,0:1", M="2,4:1 3,4:1 4,4:1 4,2:1 4,3:1")
    assert game.legal() == ["LP:2,4..4,4", "LP:4,2..4,4"]
    game.play("LP:2,4..4,4")
    game.play("LE:7,0")
    assert (game.legal(), field(game, "M")) == (["NL"], "4,2:1|4,3:1")


def test_a_third_party_takes_a_region_and_the_whole_marker_cluster_goes(engine: Any) -> None:
    markers = "0,2:3 1,1:3 2,0:3 1,2:3 2,3:1 4,4:1"
    game = at(engine, "square8_3p", "TE", S="0,0:2 5,5:2 6,6:3 7,7:1", M=markers)
    corner = [text for text in game.legal() if text.startswith("TR:0,0/3/")]
    assert len(corner) == 1
    game.play(corner[0])
    taken = "0,0:1|0,1:1|0,2:1|1,0:1|1,1:1|1,2:1|2,0:1|2,3:1"
    assert (field(game, "C"), field(game, "M"), field(game, "E")) == (taken, "4,4:1", "1,0,0")
    assert game.legal() == ["TE:7,7"]


def test_an_area_with_every_colour_in_it_is_no_region(engine: Any) -> None:
    markers = "0,3:3 1,2:3 2,1:3 3,0:3"
    game = at(engine, "square8_3p", "TE", S="0,0:1 0,1:2 1,0:3 6,6:2 7,7:1 5,5:3", M=markers)
    assert game.legal() == ["NT"]


def test_the_larger_side_counts_as_a_region_too(engine: Any) -> None:
    game = at(engine, "square8_2p", "TE", S="0,0:1 7,7:2", M="0,2:1 1,1:1 2,0:1")
    regions = of_kind(game, "TR")
    assert [text.split("/")[1] for text in regions] == ["58"]
    game.play(regions[0])
    assert (game.is_over, game.winner, game.result, field(game, "T")) == (True, 1, "territory", "61,0")


def test_a_region_can_win_before_its_price_is_paid(engine: Any) -> None:
    game = at(engine, "square8_2p", "TE", hands="0,0", S="0,0:2 7,7:1", C="0,2:2 1,1:2 2,0:2")
    game.play(next(text for text in game.legal() if text.startswith("TR:0,0/3/")))
    assert (game.is_over, game.winner, game.result, field(game, "S")) == (True, 1, "sole_survivor", "7,7:1")


def test_a_seat_that_cannot_do_anything_must_eliminate_a_cap(engine: Any) -> None:
    game = at(engine, "square8_2p", "RP", hands="0,5", S="0,0:22222221 5,5:2")
    for move in ("NP", "NM", "NL"):
        assert game.legal() == [move]
        game.play(move)
    assert game.legal() == ["FE:0,0"]
    game.play("FE:0,0")
    assert (game.winner, game.result, field(game, "E")) == (2, "sole_survivor", "1,0")


def test_a_seat_may_decline_to_place_in_order_to_recover(engine: Any) -> None:
    game = at(engine, "square8_2p", "RP", hands="3,5", S="5,6:12", M="5,5:1")
    assert "SP" in game.legal()
    game.play("SP")
    assert {"SR", "RF:5,5>4,4@5,6", "RS:5,5>5,6@5,6"} <= set(game.legal())
    game.play("RS:5,5>5,6@5,6")
    assert (field(game, "S"), field(game, "M"), field(game, "E"), field(game, "H")) == ("", "", "2,0", "3,5")


def test_an_empty_board_goes_on_while_a_ring_can_be_placed(engine: Any) -> None:
    game = at(engine, "square8_2p", "MO", hands="0,2", S="0,0:1", M="0,1:2")
    for move in ("MV:0,0>0,1", "NL", "NT"):
        game.play(move)
    assert (game.is_over, game.to_play, field(game, "ph")) == (False, 2, "RP")


def test_a_bare_board_without_room_is_ranked_with_the_rings_in_hand(engine: Any) -> None:
    cells = all_cells(but="0,0 7,7")
    collapsed = " ".join(f"{cell}:{1 + i % 2}" for i, cell in enumerate(cells))
    game = at(engine, "square8_2p", "RP", hands="0,2", gone="14,15", S="0,0:1", C=collapsed)
    for move in ("NP", "NM", "NL", "FE:0,0"):
        game.play(move)
    assert (game.result, game.winner, field(game, "E"), field(game, "T")) == ("stalemate", 2, "15,15", "31,31")
    assert game.places() == [2, 1]


def test_the_last_mover_wins_a_bare_board_that_is_equal_otherwise(engine: Any) -> None:
    cells = all_cells(but="0,0 0,1")
    collapsed = " ".join(f"{cell}:{1 + i % 2}" for i, cell in enumerate(cells))
    game = at(engine, "square8_2p", "MO", seat=2, hands="0,0", gone="15,13", S="0,0:21", M="0,1:2", C=collapsed)
    game.play("RS:0,1>0,0@0,0")
    assert (game.result, game.winner, field(game, "E"), field(game, "M")) == ("stalemate", 2, "15,15", "")


def test_the_last_player_standing_wins_after_three_rounds(engine: Any) -> None:
    game = at(engine, "square8_2p", "RP", hands="0,0", S="0,0:21")
    trackers = []
    for move in ("MV:0,0>0,2", "MV:0,2>2,2", "MV:2,2>2,4", "MV:2,4>4,4"):
        for text in ("NP", move, "NL", "NT"):
            game.play(text)
        trackers.append(game.lps_text())
        for text in ("NP", "NM", "NL", "NT"):
            game.play(text)
    assert trackers == ["2/-0/-/0", "2/-0/1/1", "2/-0/1/2", "2/-0/1/3"]
    assert (game.is_over, game.winner, game.result) == (True, 1, "lps")


def test_recovery_takes_a_whole_line_for_a_ring_or_any_window_with_its_marker_for_nothing(engine: Any) -> None:
    game = at(engine, "square8_3p", "MO", hands="0,5,5", S="0,7:12 0,0:3", M="3,3:1 4,3:1 6,3:1 7,3:1 5,4:1")
    slides = [text for text in game.legal() if ":5,4>5,3" in text]
    windows = ["RL2:5,4>5,3#3,3..5,3", "RL2:5,4>5,3#4,3..6,3", "RL2:5,4>5,3#5,3..7,3"]
    assert slides == ["RL1:5,4>5,3@0,7", *windows]
    assert not of_kind(game, "RF")
    free = game.copy()
    free.play("RL2:5,4>5,3#4,3..6,3")
    assert (field(free, "C"), field(free, "M"), field(free, "S")) == (
        "4,3:1|5,3:1|6,3:1",
        "3,3:1|7,3:1",
        "0,0:3|0,7:12",
    )
    game.play("RL1:5,4>5,3@0,7")
    assert (field(game, "T"), field(game, "M"), field(game, "S"), field(game, "E")) == (
        "5,0,0",
        "",
        "0,0:3|0,7:2",
        "1,0,0",
    )


def test_recovery_windows_must_contain_the_slid_marker(engine: Any) -> None:
    game = at(engine, "square8_3p", "MO", hands="0,5,5", S="0,7:12", M="2,3:1 3,3:1 4,3:1 5,4:1")
    assert [text for text in of_kind(game, "RL2") if ":5,4>5,3" in text] == ["RL2:5,4>5,3#3,3..5,3"]


def test_recovery_is_paid_from_any_stack_with_a_buried_ring(engine: Any) -> None:
    game = at(engine, "square8_2p", "MO", hands="0,5", S="0,0:12 7,7:122", M="4,4:1")
    assert {"RF:4,4>3,3@0,0", "RF:4,4>3,3@7,7"} <= set(game.legal())
    game.play("RF:4,4>3,3@7,7")
    assert (field(game, "S"), field(game, "M"), field(game, "E")) == ("0,0:12|7,7:22", "3,3:1", "1,0")


def test_a_turn_of_recovery_pays_for_a_region_with_a_buried_ring(engine: Any) -> None:
    markers = "0,2:3 1,1:3 2,0:3 5,5:1"
    game = at(engine, "square8_3p", "MO", hands="0,5,5", S="0,0:2 6,6:12 4,4:13 7,0:3", M=markers)
    game.play("RF:5,5>5,4@4,4")
    game.play("NL")
    game.play(next(text for text in game.legal() if text.startswith("TR:0,0/3/")))
    assert game.legal() == ["TB:6,6"]
    game.play("TB:6,6")
    assert field(game, "S") == "4,4:3|6,6:2|7,0:3"


def test_the_second_seat_may_swap_once_before_its_first_move(engine: Any) -> None:
    game = engine("square8_2p", pie_rule=True)
    assert "SW" not in game.legal()
    for move in ("PL:3,3x1", "MV:3,3>3,4", "NL", "NT"):
        game.play(move)
    before = game.text()
    game.play("SW")
    assert (game.text(), "SW" in game.legal()) == (before, False)


def test_a_skipped_placement_needs_a_stack_that_can_really_act(engine: Any) -> None:
    # The stack of height 2 is blocked by a stack at distance 2 on its only ray: close, but nothing it could do.
    game = at(engine, "square8_2p", "RP", S="0,0:21 0,2:22", C="1,0:2 1,1:2")
    assert "SP" not in game.legal()


def test_a_position_in_mid_turn_shows_that_the_seat_has_acted(engine: Any) -> None:
    text = "ph=CA;cp=1;w=-;pe=0;mm=-;at=0,0;H=5,5;E=0,0;T=0,0;S=0,0:1|0,2:1|5,5:2;M=0,4:1;C="
    game = engine.from_text("square8_2p", text)
    for move in ("SC", "NL", "NT"):
        game.play(move)
    assert game.to_play == 2
