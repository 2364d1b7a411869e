"""Games of a person: the engine's rules, one's own games only, and apart from everything that trains."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest

from ringrift_loop.engine.game import Game
from ringrift_loop.engine.kernels import legal_moves, make_work
from ringrift_loop.engine.rules import VARIANTS, rules_for
from ringrift_loop.engine.state import TO_PLAY
from ringrift_loop.engine.text.notation import move_text
from ringrift_loop.errors import ConfigError, DataError, IllegalMoveError
from ringrift_loop.layout import RunDirectory
from ringrift_loop.views import play
from ringrift_loop.views.evaluation import Thinker
from ringrift_loop.views.play import PlayRoom
from ringrift_loop.views.records import PERSON, NewGame, OutOfStep, Table, Unknown
from ringrift_loop.views.replay import load_record, states_of


def room(directory: RunDirectory, login: str = "ada", now: float = 100.0) -> PlayRoom:
    return PlayRoom(directory, login, now)


def begin(directory: RunDirectory, variant: str = "square8_2p", seat: int = 1, **changes: object) -> str:
    opponents = ["random"] * (VARIANTS[variant].players - 1)
    wanted = {"variant": variant, "seat": seat, "opponents": opponents, "simulations": 2} | changes
    return room(directory).begin(NewGame(**wanted))  # type: ignore[arg-type]


def play_to_the_end(rooms: PlayRoom, game_id: str, seed: int, *, plies: int = 10_000) -> Table:
    """A person who plays at random, until the game is over or has so many plies."""
    rng, table = random.Random(seed), rooms.look(game_id)
    while table.result is None and table.ply < plies:
        if table.question is None:
            table = rooms.reply(game_id, table.ply, known=table.ply)
        else:
            move = rng.choice(table.question.choices).move
            table = rooms.play(game_id, table.ply, move, known=table.ply)
    return table


@pytest.mark.parametrize(("variant", "seat"), [("square8_2p", 2), ("square8_4p", 3), ("hex8_2p", 1), ("hex8_3p", 3)])
def test_a_whole_game_is_what_the_engine_makes_of_its_moves(directory: RunDirectory, variant: str, seat: int) -> None:
    game_id = begin(directory, variant, seat)
    table = play_to_the_end(room(directory), game_id, 4)
    game = Game(variant)
    for move in table.moves.split(" "):
        game.play(move)
    assert game.is_over
    assert (table.winner, table.result, table.places) == (game.winner, game.result, game.places())
    assert (table.steps[-1].phase, table.person, table.question) == ("GO", seat, None)
    assert table.players == ["random"] * (seat - 1) + [PERSON] + ["random"] * (len(table.players) - seat)
    listed = room(directory).games()
    assert [(one.id, one.won, one.plies) for one in listed] == [(game_id, game.winner == seat, len(game.moves))]
    assert [file.id for file in room(directory).finished()] == [game_id]


@pytest.mark.parametrize("variant", ["square19_3p", "hexagonal_4p"])
def test_the_large_boards_are_played_as_well(directory: RunDirectory, variant: str) -> None:
    table = play_to_the_end(room(directory), begin(directory, variant, 2), 1, plies=60)
    game = Game(variant)
    for move in table.moves.split(" "):
        game.play(move)
    assert table.ply == len(game.moves) >= 60


def test_a_person_is_asked_only_what_is_a_choice(directory: RunDirectory) -> None:
    game_id = begin(directory)
    table, rooms = room(directory).look(game_id), room(directory)
    seen = set()
    for _ in range(40):
        if table.question is None:
            table = rooms.reply(game_id, table.ply)
            continue
        seen |= {choice.kind for choice in table.question.choices}
        assert not {choice.kind for choice in table.question.choices} & {"NP", "NM", "NL", "NT"}
        table = rooms.play(game_id, table.ply, table.question.choices[0].move)
    assert "PL" in seen
    assert {"NL", "NT"} <= {move[:2] for move in table.moves.split(" ")}


def test_an_illegal_move_is_refused_with_the_reason_and_changes_nothing(directory: RunDirectory) -> None:
    game_id, rooms = begin(directory), room(directory)
    before = rooms.look(game_id)
    with pytest.raises(IllegalMoveError, match=r"MV:0,0>0,1 is not legal for seat 1 in ring_placement .* moves are"):
        rooms.play(game_id, 0, "MV:0,0>0,1")
    with pytest.raises(ValueError, match="a move begins with one of PL"):
        rooms.play(game_id, 0, "e4")
    with pytest.raises(OutOfStep, match="at ply 0, not at 3"):
        rooms.play(game_id, 3, "PL:0,0x1")
    assert rooms.look(game_id) == before
    # The stack that got the rings must move on; then the opponent is to move, and the person is not.
    table = rooms.play(game_id, 0, "PL:0,0x1")
    table = rooms.play(game_id, table.ply, "MV:0,0>0,1")
    assert table.question is None
    with pytest.raises(OutOfStep, match="it is the turn of seat 2, not yours"):
        rooms.play(game_id, table.ply, "PL:5,5x1")


def test_others_games_are_not_there(directory: RunDirectory) -> None:
    game_id = begin(directory)
    other = room(directory, "eve")
    for act in (
        lambda: other.look(game_id),
        lambda: other.play(game_id, 0, "PL:0,0x1"),
        lambda: other.reply(game_id, 0),
        lambda: other.hint(game_id, 0),
        lambda: other.take_back(game_id, 0),
        lambda: other.resign(game_id),
        lambda: other.remove(game_id),
        lambda: other.record(game_id),
        lambda: other.look("../" + game_id),
        lambda: other.look("0" * 24),
    ):
        with pytest.raises(Unknown, match="no game of yours is named"):
            act()
    assert other.games() == []
    assert [one.login for one in other.everyones()] == ["ada"]
    # Even a file that was put into the other's folder is not theirs.
    theirs = directory.play_of("eve") / f"{game_id}.json"
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes((directory.play_of("ada") / f"{game_id}.json").read_bytes())
    with pytest.raises(Unknown):
        other.look(game_id)


def test_a_login_is_never_a_path(directory: RunDirectory) -> None:
    room(directory, "../../etc/passwd").begin(NewGame("hex8_2p", 1, ["random"], 1))
    assert [path.parent.parent for path in directory.play.rglob("*.json")] == [directory.play]


def test_a_move_is_taken_back_to_the_last_choice(directory: RunDirectory) -> None:
    game_id, rooms = begin(directory), room(directory)
    with pytest.raises(OutOfStep, match="no move of yours"):
        rooms.take_back(game_id, 0)
    first = rooms.play(game_id, 0, "PL:3,3x2")
    table = rooms.play(game_id, first.ply, next(c.move for c in first.question.choices))  # type: ignore[union-attr]
    while table.question is None:
        table = rooms.reply(game_id, table.ply)
    back = rooms.take_back(game_id, table.ply)
    assert (back.moves, back.taken_back, back.can_take_back) == ("PL:3,3x2", 1, True)
    assert back.question is not None
    assert rooms.take_back(game_id, 1).moves == ""


def test_giving_up_ends_the_game_for_good(directory: RunDirectory) -> None:
    rooms = room(directory)
    two, three = begin(directory, seat=2), begin(directory, "hex8_3p", 2)
    table = rooms.resign(two)
    assert (table.result, table.winner, table.places) == ("resigned", 1, [1, 2])
    table = rooms.resign(three)
    assert (table.result, table.winner, table.places) == ("resigned", None, [1, 3, 1])
    with pytest.raises(OutOfStep, match="the game is over"):
        rooms.resign(three)
    with pytest.raises(OutOfStep, match="given up"):
        rooms.take_back(three, 0)
    assert [one.won for one in rooms.games()] == [False, False]


def test_a_hint_is_counted_and_names_a_legal_move(directory: RunDirectory) -> None:
    game_id, rooms = begin(directory), room(directory)
    judged = rooms.hint(game_id, 0)
    table = rooms.look(game_id)
    assert table.question is not None
    assert judged.moves[0].choice in table.question.choices
    assert (table.hints, judged.simulations, round(sum(judged.values), 3)) == (1, 32, 1.0)


def test_seats_are_exchanged_by_the_pie_rule(directory: RunDirectory) -> None:
    game_id, rooms = begin(directory, pie_rule=True, seat=2), room(directory)
    table = rooms.look(game_id)
    while table.question is None:
        table = rooms.reply(game_id, table.ply)
    assert "SW" in table.question.kinds
    table = rooms.play(game_id, table.ply, "SW")
    # The other person goes on in seat 2.
    assert (table.players, table.person, table.question) == ([PERSON, "random"], 1, None)
    table = rooms.reply(game_id, table.ply)
    assert table.person == 1
    table = rooms.resign(game_id)
    assert (table.winner, table.places) == (2, [1, 2])


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"variant": "hex8_2p", "seat": 3}, r"the seat must be in 1..2, got 3"),
        ({"opponents": ["random", "random"]}, "has 2 seats: name 1 opponents, got 2"),
        ({"simulations": 0}, r"simulations must be in 1..1024, got 0"),
        ({"variant": "hex8_3p", "pie_rule": True}, "the pie rule is for two players"),
        ({"opponents": ["stockfish"]}, "an opponent is one of random, heuristic"),
        ({"opponents": [PERSON]}, "an opponent is one of"),
        ({"opponents": ["ab" * 32]}, "are not on this machine"),
    ],
)
def test_a_game_that_cannot_be_is_refused(directory: RunDirectory, changes: dict[str, object], sentence: str) -> None:
    with pytest.raises((ConfigError, DataError, Exception), match=sentence):
        begin(directory, **changes)  # type: ignore[arg-type]
    assert room(directory).games() == []


def test_an_unknown_variant_is_refused(directory: RunDirectory) -> None:
    with pytest.raises(ConfigError, match="no variant named 'chess'"):
        room(directory).begin(NewGame("chess", 1, ["random"], 1))


def test_a_person_keeps_a_bounded_number_of_games(directory: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(play, "MAX_GAMES", 2)
    first = begin(directory)
    begin(directory)
    with pytest.raises(ConfigError, match="you have 2 games, and no more are kept: open one that is over"):
        begin(directory)
    room(directory).remove(first)
    begin(directory)
    assert len(room(directory).games()) == 2


@pytest.mark.parametrize(
    "damage",
    [
        lambda game: game | {"moves": ["PL:0,0x1", "PL:0,0x1"]},
        lambda game: game | {"v": 2},
        lambda game: game | {"players": ["random", "random"]},
        lambda game: [],
    ],
)
def test_a_damaged_file_is_a_sentence_and_not_in_the_way(directory: RunDirectory, damage: object) -> None:
    game_id = begin(directory)
    other = begin(directory)
    path: Path = directory.play_of("ada") / f"{game_id}.json"
    path.write_text(json.dumps(damage(json.loads(path.read_text()))))  # type: ignore[operator]
    with pytest.raises((DataError, IllegalMoveError)):
        room(directory).look(game_id)
    assert other in [one.id for one in room(directory).games()]


def test_a_played_game_loads_on_the_page_games(directory: RunDirectory) -> None:
    game_id = begin(directory, "hex8_2p")
    table = play_to_the_end(room(directory), game_id, 8)
    replay = load_record(room(directory).record(game_id))
    assert (replay.moves, replay.winner, replay.result) == (table.moves, table.winner, table.result)


def test_nothing_that_trains_or_judges_sees_a_persons_game(directory: RunDirectory) -> None:
    play_to_the_end(room(directory), begin(directory), 3)
    assert {path.name for path in directory.root.iterdir()} == {"play"}


def test_opponents_compare_as_many_moves_as_when_the_game_began(directory: RunDirectory) -> None:
    wanted = NewGame("square8_2p", 1, ["heuristic-search"], 16)
    game_id = PlayRoom(directory, "ada", 100.0, rated=(16, 1)).begin(wanted)
    table = play_to_the_end(room(directory), game_id, 4, plies=48)
    rules, work, moves = rules_for("square8_2p"), make_work(rules_for("square8_2p")), table.moves.split(" ")
    states = states_of("square8_2p", table.moves, pie_rule=False)
    alike: dict[int, list[bool]] = {1: [], 16: []}
    for state, move in zip(states, moves, strict=False):
        if state[TO_PLAY] == 1 and legal_moves(rules, state, work, np.empty(rules.max_moves, np.int64)) > 1:
            for considered, found in alike.items():
                thinker = Thinker("heuristic-search", "square8_2p", considered=considered)
                found.append(move_text(rules, state, thinker.best_move(directory, state, 16), work) == move)
    assert all(alike[1])
    assert not all(alike[16])
    PlayRoom(directory, "ada", 100.0, rated=(8, 1)).begin(wanted)
    files = [json.loads(path.read_bytes()) for path in directory.root.rglob("*.json")]
    assert sorted(file["considered"] for file in files) == [1, 16]


def test_a_game_begun_before_that_was_kept_goes_on_with_sixteen(directory: RunDirectory) -> None:
    game_id = begin(directory)
    (path,) = directory.root.rglob(f"{game_id}.json")
    document = json.loads(path.read_bytes())
    assert document.pop("considered") == 16
    path.write_text(json.dumps(document))
    assert play_to_the_end(room(directory), game_id, 4).result is not None
    assert room(directory).finished()[0].considered == 16
