"""Positions as pages show them, against the engine's own text of the state: every board, every number of players."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringrift_loop.engine import moves as m
from ringrift_loop.engine.game import Game
from ringrift_loop.engine.kernels import make_work
from ringrift_loop.engine.rules import VARIANTS, rules_for
from ringrift_loop.selfplay.records import play_through
from ringrift_loop.views.choices import question
from ringrift_loop.views.positions import shape_of, steps_of
from ringrift_loop.views.records import Shape, Step
from ringrift_loop.views.replay import states_of
from samples import random_game


def steps(game: Game, *, first: int = 0) -> list[Step]:
    rules = rules_for(game.variant)
    work = make_work(rules)
    moves, states, _ = play_through(rules, game.moves, work, "the game")
    return steps_of(rules, states, moves.tolist(), work, first=first)


def as_text(shape: Shape, step: Step, cells: dict[int, str]) -> dict[str, str]:
    """The fields of the state's text that the page shows, from what the page is told."""
    named = {f"{x},{y}": cells.get(number, "") for number, (x, y) in enumerate(shape.cells)}
    return {
        "ph": step.phase,
        "cp": str(step.seat),
        "H": ",".join(map(str, step.hands)),
        "E": ",".join(map(str, step.eliminated)),
        "T": ",".join(map(str, step.territory)),
        "S": "|".join(f"{cell}:{what}" for cell, what in named.items() if what and what[0] not in "mc"),
        "M": "|".join(f"{cell}:{what[1:]}" for cell, what in named.items() if what.startswith("m")),
        "C": "|".join(f"{cell}:{what[1:]}" for cell, what in named.items() if what.startswith("c")),
    }


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_position_is_the_engines(variant: str) -> None:
    played = random_game(7, variant) if "8" in variant else _opening(variant, 160)
    shape, game, cells = shape_of(variant), Game(variant), dict[int, str]()
    assert len(shape.cells) == game.rules.board.num_cells
    told = steps(played)
    assert len(told) == len(played.moves) + 1
    for ply, step in enumerate(told):
        cells |= dict(step.changes)
        said = dict(part.split("=", 1) for part in game.text().split(";"))
        shown = as_text(shape, step, cells)
        assert shown == {key: said[key] for key in shown}, f"{variant}, ply {ply}"
        if ply < len(played.moves):
            assert told[ply + 1].move == played.moves[ply]
            assert told[ply + 1].mover == game.to_play
            game.play(played.moves[ply])


def test_only_what_changed_is_told() -> None:
    told = steps(random_game(3))
    cells: dict[int, str] = {}
    for step in told:
        for cell, content in step.changes:
            assert cells.get(cell, "") != content
            cells[cell] = content


def test_the_rest_of_a_game_continues_where_its_beginning_ended() -> None:
    game = random_game(11, "hex8_3p")
    assert steps(game)[25:] == steps(game, first=25)


def _opening(variant: str, plies: int) -> Game:
    import random

    rng = random.Random(5)
    game = Game(variant)
    for _ in range(plies):
        game.play(rng.choice(game.legal()))
    return game


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(["square8_2p", "square8_4p", "hex8_2p", "hex8_3p"]), st.integers(0, 1000), st.floats(0, 1))
def test_the_choices_are_the_legal_moves_and_point_at_what_they_name(variant: str, seed: int, where: float) -> None:
    played = random_game(seed, variant)
    game = Game(variant)
    for text in played.moves[: int(where * len(played.moves))]:
        game.play(text)
    work = make_work(game.rules)
    asked = question(game.rules, game.row, work)
    assert sorted(choice.move for choice in asked.choices) == game.legal()
    assert {choice.kind for choice in asked.choices} == set(asked.kinds)
    assert all(asked.kinds.values())
    x, y = game.rules.board.x, game.rules.board.y
    for choice in asked.choices:
        assert choice.says[0].islower()
        pointed = [f"{x[cell]},{y[cell]}" for cell in choice.cells]
        if choice.kind in ("MV", "CP", "CC"):
            start, *_, end = choice.move.split(":")[1].split(">")
            assert pointed == [start, end]
        if choice.kind in ("LP", "LO"):
            window = choice.move.partition(":")[2].rpartition("#")[2].split("..")
            ends = [f"{x[cell]},{y[cell]}" for cell in (choice.shown[0], choice.shown[-1])]
            assert ends == window
            assert choice.kind == "LP" or len(choice.shown) == game.rules.line_length
    # From one cell and landing follows the move, so two clicks are enough.
    travels = [tuple(c.cells) for c in asked.choices if c.kind in ("MV", "CP", "CC")]
    assert len(travels) == len(set(travels))


def test_a_region_is_shown_whole_and_asked_for_with_its_rule() -> None:
    text = "ph=TE;cp=1;w=-;pe=0;mm=-;at=-;H=5,5;E=0,0;T=0,1;S=0,0:2|7,7:1;M=0,2:1|1,1:1|2,0:1;C=5,5:2"
    game = Game.from_text("square8_2p", text)
    work = make_work(game.rules)
    asked = question(game.rules, game.row, work)
    assert (asked.title, asked.section) == ("Take a region?", "9")
    regions = [choice for choice in asked.choices if choice.kind == "TR"]
    assert {len(choice.shown) for choice in regions} >= {3}
    small = next(choice for choice in regions if len(choice.shown) == 3)
    assert small.says == "take the region of 3 cells around 0,0"
    game.play(small.move)
    priced = question(game.rules, game.row, work)
    assert priced.title == "Pay for the region"
    assert [choice.says for choice in priced.choices] == ["pay the top ring of 7,7 for the region"]


def test_what_a_capture_and_a_landing_did_is_said() -> None:
    text = "ph=MO;cp=1;w=-;pe=0;mm=-;at=-;H=5,5;E=0,0;T=0,0;S=0,0:11|2,0:21;M=1,0:1|4,0:2;C="
    game = Game.from_text("square8_2p", text)
    rules, work = game.rules, make_work(game.rules)
    before = game.row.copy()
    game.play("CP:0,0>2,0>4,0")
    move = int(m.pack(m.CP, 0, 32, 16))
    told = steps_of(rules, np.stack([before, game.row]), [move], work)[1]
    assert told.says == "capture: 0,0 over 2,0 to 4,0"
    assert told.path == [0, 16, 32]
    assert told.effects == [
        "a ring of seat 1 goes under the stack",
        "1 cell becomes territory of seat 1",
        "1 ring eliminated for seat 1",
        "the marker under the landing is removed, and a ring for it",
    ]
    assert dict(told.changes) == {0: "m1", 8: "c1", 16: "2", 32: "11"}


def test_the_states_of_moves_are_the_games() -> None:
    game = random_game(2)
    states = states_of("square8_2p", " ".join(game.moves), pie_rule=False)
    assert (states[-1] == game.row).all()
