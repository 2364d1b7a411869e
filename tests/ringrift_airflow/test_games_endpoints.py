"""Games, positions and play through a real API server: who may ask what, and that its answers are the library's."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from api_server import Server, serving
from ringrift_loop.engine.game import Game
from ringrift_loop.layout import RunDirectory
from ringrift_loop.ledger import hosts, ratings
from ringrift_loop.ledger.ratings import RatingRow
from samples import random_game
from stored_games import record_of, store

API = "/ringrift/api"
GAME = f"{1:032x}"
NO_GAME = "0" * 24
NEW = {"variant": "hex8_2p", "seat": 1, "opponents": ["random"], "simulations": 4}
MOVES = f"{API}/play/{NO_GAME}/moves"
READS = [
    ("GET", f"{API}/games", None),
    ("GET", f"{API}/games/{GAME}", None),
    ("GET", f"{API}/games/{GAME}/record", None),
    ("POST", f"{API}/games/load", {"text": '{"variant": "hex8_2p", "moves": ""}'}),
    ("POST", f"{API}/positions", {"variant": "hex8_2p", "moves": "", "plies": [0]}),
    ("GET", f"{API}/play", None),
    ("GET", f"{API}/play/opponents?variant=hex8_2p", None),
]
CHANGES = [
    ("POST", f"{API}/play", NEW),
    ("POST", MOVES, {"ply": 0, "move": "PL:0,0x1"}),
    ("POST", f"{API}/play/{NO_GAME}/reply", {"ply": 0}),
    ("POST", f"{API}/play/{NO_GAME}/hint", {"ply": 0}),
    ("POST", f"{API}/play/{NO_GAME}/take-back", {"ply": 0}),
    ("POST", f"{API}/play/{NO_GAME}/resign", None),
    ("DELETE", f"{API}/play/{NO_GAME}", None),
]
OF_OTHERS = [("GET", f"{API}/play/everyone", None), ("GET", f"{API}/play/everyone/{NO_GAME}", None)]
OWN = [("GET", f"{API}/play/{NO_GAME}", None), ("GET", f"{API}/play/{NO_GAME}/record", None)]
ASKED = READS + CHANGES + OF_OTHERS + OWN


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With two stored games; asked until the rules engine is ready in it."""
    inventory = "standard_hosts:\n  local_a: {transport: local, role: selfplay}\n"
    with serving(tmp_path_factory.mktemp("games"), inventory) as server:
        records = [record_of(random_game(n, variant), n) for n, variant in ((1, "hex8_2p"), (2, "square8_3p"))]
        store(RunDirectory(server.home / "run"), server.ledger, records, host="local_a", at=time.time())
        with server.ledger.begin() as conn:
            hosts.ensure(conn, ["local_a"])
            rows = [RatingRow("hex8_2p", "random", 0.0, 0.0, 50, 1.0)]
            ratings.replace(conn, "hex8_2p", rows, keep_history_of=[])
        give_up = time.monotonic() + 150
        while server.get(f"{API}/games/{GAME}").status_code == 503 and time.monotonic() < give_up:
            time.sleep(0.2)
        yield server


def ask(server: Server, method: str, path: str, body: Any = None, *, user: str = "boss") -> httpx.Response:
    return server.client.request(method, path, headers=_login(server, user), json=body)


@functools.cache
def _login(server: Server, user: str) -> dict[str, str]:
    return server.headers(user)


def done(answer: httpx.Response) -> Any:
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


@pytest.mark.parametrize(("method", "path", "body"), ASKED)
def test_nothing_is_told_or_changed_without_a_login(server: Server, method: str, path: str, body: Any) -> None:
    assert server.client.request(method, path, json=body).status_code == 401
    forged = {"Authorization": "Bearer forged"}
    assert server.client.request(method, path, json=body, headers=forged).status_code == 403


def test_every_route_of_these_pages_is_asked_here(server: Server) -> None:
    paths = server.get("/ringrift/openapi.json").json()["paths"]
    mine = ("/api/games", "/api/positions", "/api/play")  # a lineage is asked by the tests of the page Models
    own = [
        path for path in paths if path.startswith(mine) and not path.endswith("/lineage")
    ]  # that is of the page Models
    told = {(method.upper(), path) for path in own for method in paths[path]}
    names = {GAME: "{game_id}", NO_GAME: "{game_id}"}
    asked = set()
    for method, path, _ in ASKED:
        bare = path.removeprefix("/ringrift").partition("?")[0]
        for name, parameter in names.items():
            bare = bare.replace(name, parameter)
        asked.add((method, bare))
    assert told == asked


@pytest.mark.parametrize(("method", "path", "body"), READS)
def test_viewers_look_at_everything(server: Server, method: str, path: str, body: Any) -> None:
    assert ask(server, method, path, body, user="watcher").status_code == 200


@pytest.mark.parametrize(("method", "path", "body"), CHANGES + OF_OTHERS)
def test_viewers_neither_play_nor_see_others_games(server: Server, method: str, path: str, body: Any) -> None:
    assert ask(server, method, path, body, user="watcher").status_code == 403


@pytest.mark.parametrize(("method", "path", "body"), [*CHANGES[1:], OF_OTHERS[1], *OWN])
def test_a_game_that_is_not_there_is_not_found(server: Server, method: str, path: str, body: Any) -> None:
    assert ask(server, method, path, body).status_code == 404


def test_games_are_found_and_replayed(server: Server) -> None:
    found = done(ask(server, "GET", f"{API}/games?variant=hex8_2p&winner=1"))
    others = done(ask(server, "GET", f"{API}/games?variant=hex8_2p&winner=2"))
    assert [line["id"] for line in found["page"]["games"] + others["page"]["games"]] == [GAME]
    assert found["hosts"] == ["local_a"]
    game = random_game(1, "hex8_2p")
    replay = done(ask(server, "GET", f"{API}/games/{GAME}"))
    assert [step["move"] for step in replay["steps"][1:]] == game.moves
    record = ask(server, "GET", f"{API}/games/{GAME}/record")
    assert record.headers["content-disposition"] == f'attachment; filename="ringrift-{GAME}.json"'
    again = done(ask(server, "POST", f"{API}/games/load", {"text": record.text}))
    assert again["steps"] == replay["steps"]


@pytest.mark.parametrize(
    ("path", "status", "sentence"),
    [
        ("games?variant=chess", 422, "variant must be one of square8_2p, "),
        ("games?generation=3", 422, "name the variant as well"),
        ("games?before=yesterday", 422, "got 'yesterday'"),
        ("games?winner=7", 422, "less than or equal to 4"),
        ("games?result=magic", 422, "elimination"),
        (f"games/{'f' * 32}", 404, "there is no game ffff"),
        ("games/..%2f..%2fetc", 404, "Not Found"),
        ("games/ABC", 422, "pattern"),
        ("play/opponents?variant=chess", 422, "variant must be one of"),
    ],
)
def test_what_is_wrong_with_a_question_is_said(server: Server, path: str, status: int, sentence: str) -> None:
    answer = ask(server, "GET", f"{API}/{path}")
    assert (answer.status_code, sentence in answer.text) == (status, True), answer.text


def test_a_bad_record_is_answered_with_what_is_wrong(server: Server) -> None:
    for text, sentence in (
        ("<script>alert(1)</script>", "not JSON"),
        ('{"variant": "hex8_2p", "moves": "PL:0,0x4"}', "ply 0: PL is written PL:x,yxCOUNT"),
        ('{"variant": "hex8_2p", "moves": "PL:0,0x1 NM"}', "ply 1: NM is not legal for seat 1"),
    ):
        answer = ask(server, "POST", f"{API}/games/load", {"text": text}, user="watcher")
        assert (answer.status_code, sentence in answer.json()["detail"]) == (422, True), answer.text
    assert ask(server, "POST", f"{API}/games/load", {"text": "x" * (1 << 21)}).status_code == 422


def test_positions_are_judged_at_sight_and_by_search(server: Server) -> None:
    game = random_game(1, "hex8_2p")
    position = {"variant": "hex8_2p", "moves": " ".join(game.moves), "plies": [0, 3, len(game.moves)]}
    sight = done(ask(server, "POST", f"{API}/positions", position, user="watcher"))
    assert [len(one["values"]) for one in sight] == [2, 2, 2]
    assert sight[2]["values"][game.winner - 1] == 1.0  # type: ignore[operator]
    assert sight[0]["player"].startswith("heuristic-search@")
    deep = done(ask(server, "POST", f"{API}/positions", position | {"plies": [0], "simulations": 16}))
    assert deep[0]["simulations"] == 16
    legal = Game("hex8_2p").legal()
    assert {one["choice"]["move"] for one in deep[0]["moves"]} <= set(legal)
    for change, sentence in (
        ({"plies": [999]}, "plies must be in 0.."),
        ({"plies": [0, 1], "simulations": 4}, "with a search about one; got 2"),
        ({"variant": "chess"}, "variant must be one of"),
        ({"moves": "e4"}, "a move begins with one of"),
        ({"simulations": 100_000}, "less than or equal to 1024"),
    ):
        answer = ask(server, "POST", f"{API}/positions", position | change)
        assert (answer.status_code, sentence in answer.text) == (422, True), answer.text


def test_a_game_is_played_to_its_end_and_rated(server: Server) -> None:
    game_id = done(ask(server, "POST", f"{API}/play", NEW))["id"]
    path = f"{API}/play/{game_id}"
    headers = server.headers("boss")

    def post(what: str, **body: Any) -> httpx.Response:
        return server.client.post(f"{path}/{what}", headers=headers, json=body)

    table = done(server.client.get(path, headers=headers))
    illegal = post("moves", ply=0, move="MV:0,0>0,1")
    assert (illegal.status_code, "is not legal for seat 1" in illegal.json()["detail"]) == (422, True)
    late = post("moves", ply=5, move="PL:0,0x1")
    assert (late.status_code, "at ply 0, not at 5" in late.json()["detail"]) == (409, True)
    while table["result"] is None:
        if table["question"] is None:
            table = done(post("reply", ply=table["ply"]))
        else:
            move = table["question"]["choices"][-1]["move"]
            table = done(post(f"moves?known={table['ply']}", ply=table["ply"], move=move))
    game = Game("hex8_2p")
    for move in table["moves"].split(" "):
        game.play(move)
    assert (table["winner"], table["result"], table["places"]) == (game.winner, game.result, game.places())
    own = done(ask(server, "GET", f"{API}/play"))
    assert [(one["id"], one["result"]) for one in own["games"]] == [(game_id, game.result)]
    assert [(one["variant"], one["games"]) for one in own["ratings"]] == [("hex8_2p", 1)]
    assert own["login"] == "boss"
    record = ask(server, "GET", f"{path}/record")
    assert done(ask(server, "POST", f"{API}/games/load", {"text": record.text}))["moves"] == table["moves"]
    # It is nobody else's, and yet there for whoever may see all.
    assert ask(server, "GET", path, user="watcher").status_code == 404
    assert done(ask(server, "GET", f"{API}/play", user="watcher"))["games"] == []
    assert [one["login"] for one in done(ask(server, "GET", f"{API}/play/everyone"))] == ["boss"]
    assert done(ask(server, "GET", f"{API}/play/everyone/{game_id}"))["moves"] == table["moves"]
    assert ask(server, "DELETE", path).status_code == 204
    assert ask(server, "GET", path).status_code == 404


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"opponents": ["stockfish"]}, "an opponent is one of random"),
        ({"opponents": ["ab" * 32]}, "are not on this machine"),
        ({"variant": "chess"}, "no variant named"),
        ({"seat": 4}, "seat must be in 1..2"),
        ({"simulations": 5000}, "less than or equal to 1024"),
        ({"opponents": []}, "at least 1 item"),
    ],
)
def test_a_game_that_cannot_be_is_refused(server: Server, change: dict[str, Any], sentence: str) -> None:
    answer = ask(server, "POST", f"{API}/play", NEW | change)
    assert (answer.status_code, sentence in answer.text) == (422, True), answer.text


def test_the_ledger_is_as_before(server: Server) -> None:
    from ringrift_loop.ledger import games, matches

    with server.ledger.read() as conn:
        assert games.count(conn) == 2
        assert matches.results(conn, "hex8_2p") == []
