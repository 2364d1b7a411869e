"""Conversations: what is said, what is answered."""

from __future__ import annotations

import queue
from collections.abc import Sequence

import pytest

from ringrift_loop.engine.game import Game
from ringrift_loop.ugi.options import UgiOptions
from ringrift_loop.ugi.session import UgiSession


def talk(*lines: str | None, options: UgiOptions | None = None) -> list[str]:
    """All answers to these lines, the end of the input after them."""
    said: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    for line in (*lines, None):
        said.put(line)
    answers: list[str] = []
    UgiSession(said, answers.append, options).run()
    return answers


def last(answers: Sequence[str], word: str) -> str:
    return next(answer for answer in reversed(answers) if answer.startswith(word))


def test_the_greeting_lists_the_options_and_ends_with_ugiok() -> None:
    answers = talk("ugi")
    assert answers[0].startswith("id name ")
    assert "option name PieRule type check default false" in answers
    assert any(
        answer.startswith("option name Variant type combo default square8_2p var square8_2p") for answer in answers
    )
    assert answers[-1] == "ugiok"


def test_a_prepared_engine_is_ready() -> None:
    assert talk("isready", options=UgiOptions(player="random")) == ["readyok"]


def test_a_search_ends_with_a_legal_move_its_value_and_its_visits() -> None:
    answers = talk("uginewgame hex8_3p", "go simulations 12")
    move = last(answers, "bestmove").split()[1]
    assert move in Game("hex8_3p").legal()
    summary = last(answers, "info depth").split()
    assert summary[summary.index("nodes") + 1] == "12"
    values = [float(word) for word in summary[summary.index("values") + 1 : summary.index("pv")]]
    assert len(values) == 3
    assert sum(values) == pytest.approx(1.0, abs=1e-3)
    ranking = [answer for answer in answers if answer.startswith("info multipv")]
    visits = [int(line.split()[4]) for line in ranking]
    assert visits == sorted(visits, reverse=True)
    assert 0 < visits[0] <= 12


@pytest.mark.parametrize("limit", ["movetime 30", "p1time 400 p2time 9000 p1inc 0", "nodes 5"])
def test_every_kind_of_limit_finds_a_move(limit: str) -> None:
    assert last(talk(f"go {limit}"), "bestmove").split()[1] in Game("square8_2p").legal()


def test_stop_ends_a_search_without_a_limit_and_readiness_is_answered_meanwhile() -> None:
    answers = talk("go infinite", "isready", "stop", "query p1turn")
    assert answers.index("readyok") < answers.index(last(answers, "bestmove"))
    assert answers[-1] == "response true"


def test_quit_during_a_search_still_names_a_move_and_ends() -> None:
    answers = talk("go infinite", "quit", "query legal")
    assert answers[-1].startswith("bestmove")


@pytest.mark.parametrize("line", ["", "query turn", "position startpos"])
@pytest.mark.parametrize("word", ["stop", "quit"])
def test_a_search_hears_stop_and_quit_behind_other_lines(word: str, line: str) -> None:
    answers = talk("go infinite", line, word)
    waited = ["response 1"] if line == "query turn" else []  # answered after the search, also before `quit`
    assert answers[-1 - len(waited)].startswith("bestmove")
    assert answers[len(answers) - len(waited) :] == waited


def test_a_stop_behind_another_go_ends_that_one() -> None:
    answers = talk("go movetime 200", "uginewgame hex8_2p", "go infinite", "stop")
    moves = [answer.split()[1] for answer in answers if answer.startswith("bestmove")]
    assert [move in Game(name).legal() for move, name in zip(moves, ("square8_2p", "hex8_2p"), strict=True)] == [
        True
    ] * 2
    nodes = [int(answer.split()[4]) for answer in answers if answer.startswith("info depth")]
    assert nodes[-1] < nodes[0]


@pytest.mark.parametrize("player", ["random", "heuristic", "mcts-4", "heuristic-search"])
def test_every_baseline_plays_a_legal_move(player: str) -> None:
    answers = talk(f"setoption name Player value {player}", "go")
    assert last(answers, "bestmove").split()[1] in Game("square8_2p").legal()


def test_a_position_is_followed_by_its_moves_and_queried() -> None:
    game = Game("square8_2p")
    game.play("PL:3,3x2")
    answers = talk(
        "position startpos moves PL:3,3x2", "query text", "query legal", "query turn", "query islegal MV:3,3>3,5"
    )
    assert answers == [f"response {game.text()}", f"response {' '.join(game.legal())}", "response 1", "response true"]
    assert talk(f"position text {game.text()} moves MV:3,3>3,5", "query islegal MV:3,3>3,5")[-1] == "response false"


def test_a_finished_game_has_a_result_and_no_move() -> None:
    finished = "ph=GO;cp=2;w=2;pe=0;mm=-;at=-;H=5,5;E=0,18;T=0,0;S=7,7:1;M=;C="
    answers = talk(f"position text {finished}", "query gameover", "query result", "query p1turn", "query turn", "go")
    assert answers[:4] == ["response true", "response p2win", "response false", "response none"]
    assert answers[4].startswith("error the game is over")


@pytest.mark.parametrize("player", ["random", "heuristic", "heuristic-search"])
@pytest.mark.parametrize("phase", ["ph=CH;cp=1;w=-;pe=0;mm=-;at=0,0", "ph=FE;cp=2;w=-;pe=0;mm=-;at=-"])
def test_a_position_without_a_legal_move_is_an_error_and_the_talk_goes_on(phase: str, player: str) -> None:
    text = f"{phase};H=0,0;E=0,0;T=0,0;S=0,0:1;M=;C="
    answers = talk(
        f"setoption name Player value {player}", f"position text {text}", "go nodes 4", "query legal", "query turn"
    )
    assert answers[0] == f"error the position has no legal move, so no game reaches it: {text}"
    assert answers[1:] == ["response", f"response {phase[9]}"]


def test_a_wrong_move_leaves_the_position_as_it_was() -> None:
    answers = talk("position startpos moves PL:3,3x2", "position startpos moves PL:0,0x1 PL:0,0x1", "query text")
    assert answers[0].startswith("error move 2: ")
    game = Game("square8_2p")
    game.play("PL:3,3x2")
    assert answers[1] == f"response {game.text()}"


def test_the_pie_rule_offers_the_swap() -> None:
    moves = "PL:3,3x1 MV:3,3>3,4 NL NT"
    game = Game("square8_2p", pie_rule=True)
    for move in moves.split():
        game.play(move)
    answers = talk(
        "setoption name PieRule value true", f"position startpos moves {moves}", "query islegal SW", "go nodes 4"
    )
    assert answers[0] == "response true"
    assert last(answers, "bestmove").split()[1] in game.legal()


@pytest.mark.parametrize(
    "line",
    [
        "hello",
        "go soon",
        "go nodes",
        "go nodes -4",
        "go nodes ٣",
        "go movetime 99999999999999",
        "position",
        "position nowhere",
        "position text x",
        "position startpos moves XX:1",
        "query",
        "query weather",
        "setoption",
        "setoption name Depth value 3",
        "setoption name Variant value chess",
        "setoption name Search value deep",
        "setoption name PieRule value perhaps",
        "setoption name Threads value 1000",
        "uginewgame chess_2p",
        "\x00\x01",
        "é" * 300,
    ],
)
def test_a_wrong_line_is_answered_by_one_error_and_the_talk_goes_on(line: str) -> None:
    answers = talk(line, "query p1turn")
    assert len(answers) == 2
    assert answers[0].startswith("error ")
    assert answers[1] == "response true"


def test_an_unknown_player_is_an_error_when_it_is_needed() -> None:
    answers = talk("setoption name Player value nobody", "isready", "go")
    assert [answer.split()[0] for answer in answers] == ["error", "error"]


def test_empty_lines_are_ignored() -> None:
    assert talk("", "   ") == []
