"""Finding games page by page, reading one from its segment, and loading what a person brings."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from sqlalchemy import text

from new_ledger import new_ledger
from ringrift_loop.errors import DataError, IllegalMoveError
from ringrift_loop.layout import RunDirectory
from ringrift_loop.ledger import models
from ringrift_loop.ledger.database import Ledger
from ringrift_loop.views import games
from ringrift_loop.views.games import GamePage, Wanted, find_games, hosts_of_games, read_game
from ringrift_loop.views.replay import load_record, replay_record
from samples import random_game
from stored_games import record_of, store

MODEL = "ab" * 32


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunDirectory, Ledger]]:
    """Thirty games: two variants, two hosts, a model and a baseline, three segments at times 100, 200 and 200."""
    directory = RunDirectory(tmp_path_factory.mktemp("games") / "run")
    new_ledger(directory.ledger_url)
    ledger = Ledger.open(directory.ledger_url)
    with ledger.begin() as conn:
        models.add(conn, MODEL, "square8_2p", parent_digest=None, training_run=None, manifest={}, at=1.0)
    made = {variant: [random_game(seed, variant) for seed in range(15)] for variant in ("square8_2p", "hex8_3p")}
    square = [record_of(game, 1 + n, player=MODEL) for n, game in enumerate(made["square8_2p"])]
    hexes = [record_of(game, 101 + n) for n, game in enumerate(made["hex8_3p"])]
    store(directory, ledger, square[:8], host="local_a", at=100.0)
    store(directory, ledger, [*square[8:], *hexes[:8]], host="local_b", at=200.0)
    store(directory, ledger, hexes[8:], host="local_a", at=200.0)
    yield directory, ledger
    ledger.close()


def pages(ledger: Ledger, wanted: Wanted, page: int = 4) -> list[GamePage]:
    found, before = [], None
    while True:
        with ledger.read() as conn:
            found.append(find_games(conn, wanted, before=before, page=page))
        before = found[-1].older
        if before is None:
            return found


def ids(found: list[GamePage]) -> list[str]:
    return [line.id for page in found for line in page.games]


@settings(max_examples=60, deadline=None)
@given(
    st.builds(
        Wanted,
        variant=st.sampled_from([None, "square8_2p", "hex8_3p"]),
        player=st.sampled_from([None, MODEL, "abab", "heuristic-search", "nobody"]),
        host=st.sampled_from([None, "local_a", "local_b"]),
        result=st.sampled_from([None, "elimination", "territory", "lps"]),
        winner=st.sampled_from([None, 0, 1, 2, 3]),
        plies_from=st.sampled_from([None, 60]),
        plies_to=st.sampled_from([None, 90]),
        since=st.sampled_from([None, 100.0, 150.0]),
        until=st.sampled_from([None, 150.0, 300.0]),
    ),
    st.integers(1, 7),
)
def test_the_pages_hold_each_game_that_is_wanted_once_newest_first(
    stored: tuple[RunDirectory, Ledger], wanted: Wanted, page: int
) -> None:
    _, ledger = stored
    conditions = {
        "variant": "variant = :variant",
        "host": "host = :host",
        "result": "result = :result",
        "plies_from": "plies >= :plies_from",
        "plies_to": "plies <= :plies_to",
        "since": "ingested_at >= :since",
        "until": "ingested_at < :until",
    }
    values = {name: value for name, value in vars(wanted).items() if value is not None}
    where = [sql for name, sql in conditions.items() if name in values]
    if wanted.player is not None:
        where.append("player = :player")
        values["player"] = MODEL if wanted.player == "abab" else wanted.player
    if wanted.winner is not None:
        where.append("winner IS NULL" if wanted.winner == 0 else "winner = :winner")
    query = f"SELECT id FROM games WHERE {' AND '.join(where) or '1'} ORDER BY ingested_at DESC, id DESC"
    with ledger.read() as conn:
        expected = list(conn.execute(text(query), values).scalars())
    found = pages(ledger, wanted, page)
    assert ids(found) == expected
    assert all(len(one.games) == page for one in found[:-1])


def test_a_rare_game_is_found_over_several_bounded_looks(
    stored: tuple[RunDirectory, Ledger], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, ledger = stored
    monkeypatch.setattr(games, "LOOKED_AT", 5)
    wanted = Wanted(plies_to=70)
    found = pages(ledger, wanted)
    monkeypatch.undo()
    assert len(found) >= 6
    assert ids(found) == ids(pages(ledger, wanted))
    looked = [page.looked_back_to for page in found if page.older is not None and len(page.games) < 4]
    assert looked
    assert set(looked) <= {100.0, 200.0}


def test_a_generation_is_one_of_its_variant(stored: tuple[RunDirectory, Ledger]) -> None:
    _, ledger = stored
    assert len(ids(pages(ledger, Wanted(variant="square8_2p", generation=1)))) == 15
    assert ids(pages(ledger, Wanted(variant="hex8_3p", generation=1))) == []
    with ledger.read() as conn:
        with pytest.raises(ValueError, match="name the variant as well"):
            find_games(conn, Wanted(generation=1))
        with pytest.raises(ValueError, match="got 'yesterday'"):
            find_games(conn, Wanted(), before="yesterday")
        line = find_games(conn, Wanted(player=MODEL), page=1).games[0]
    assert (line.generation, line.kept) == (1, True)


def test_a_game_comes_back_from_its_segment_as_it_was_played(stored: tuple[RunDirectory, Ledger]) -> None:
    directory, ledger = stored
    with ledger.read() as conn:
        assert hosts_of_games(conn) == ["local_a", "local_b"]
        assert read_game(conn, directory, "f" * 32) is None
        found = read_game(conn, directory, f"{105:032x}")
    assert found is not None
    line, raw = found
    replay = replay_record(raw)
    original = random_game(4, "hex8_3p")
    assert (line.variant, replay.shape.players) == ("hex8_3p", 3)
    assert [step.move for step in replay.steps[1:]] == original.moves
    assert (replay.winner, replay.result, replay.steps[-1].phase) == (original.winner, original.result, "GO")
    assert [(found.ply, len(found.values)) for found in replay.searched] == [(0, 3)]


def test_a_game_without_its_segment_says_why(stored: tuple[RunDirectory, Ledger]) -> None:
    directory, ledger = stored
    with ledger.read() as conn:
        found = read_game(conn, directory, f"{1:032x}")
        assert found is not None
        hidden = {path: path.read_bytes() for path in directory.segments.glob("local_a/*/*")}
        for path in hidden:
            path.unlink()
        with pytest.raises(DataError, match=r"are gone: .* is missing"):
            read_game(conn, directory, f"{1:032x}")
        for path, data in hidden.items():
            path.write_bytes(data)
    with ledger.begin() as conn:
        conn.execute(text("UPDATE segments SET pruned_at = 1 WHERE host = 'local_b'"))
    with ledger.read() as conn:
        lines = find_games(conn, Wanted(host="local_b")).games
        assert not any(line.kept for line in lines)
        with pytest.raises(DataError, match="given up by retention"):
            read_game(conn, directory, lines[0].id)
    with ledger.begin() as conn:
        conn.execute(text("UPDATE segments SET pruned_at = NULL"))


def test_a_record_of_ones_own_is_loaded_whole_or_in_part() -> None:
    game = random_game(9, "hex8_2p")
    record = record_of(game, 1)
    assert (
        load_record(record.to_json().decode()).steps
        == load_record(json.dumps({"variant": "hex8_2p", "moves": " ".join(game.moves)})).steps
    )
    part = load_record(json.dumps({"variant": "hex8_2p", "moves": " ".join(game.moves[:7]), "name": "mine\x1b"}))
    assert (len(part.steps), part.winner, part.result, part.name) == (8, None, None, "mine?")
    assert len(load_record('{"variant": "hexagonal_4p", "moves": ""}').steps) == 1


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ("", "nothing to load"),
        ("PL:3,4x2", "not JSON: "),
        ("[1]", "a record is a JSON object, got list"),
        ('{"variant": "chess", "moves": ""}', "variant must be one of square8_2p, .*got 'chess'"),
        ('{"variant": "square8_2p"}', "moves must be one text such as"),
        ('{"variant": "square8_2p", "moves": "", "winner": 1}', "got .'winner'."),
        ('{"variant": "square8_2p", "moves": "", "pie_rule": 1}', "pie_rule must be true or false, got 1"),
        ('{"variant": "square8_2p", "moves": "e4 e5"}', "the game, ply 0: a move begins with one of PL "),
        ('{"variant": "square8_2p", "moves": "PL:0,0x1 MV:0,0>5,1"}', "ply 1: MV:0,0>5,1 is not legal for seat 1"),
        ('{"variant": "square8_2p", "moves": "PL:9,0x1"}', "cell 9,0 is not on the board"),
        ('{"v": 2}', "a game record of version 1 was expected, got v=2"),
        ("[" * 100_000, "not JSON"),
        ('{"a": 1}\n{"a": 2}', "one record at a time: the text has 2 lines"),
        (" " * (2 << 20), "a record has at most 1048576 bytes, got 2097152"),
    ],
)
def test_a_bad_record_is_a_sentence(document: str, sentence: str) -> None:
    with pytest.raises((DataError, IllegalMoveError), match=sentence):
        load_record(document)


def test_a_record_that_lies_about_its_end_is_refused() -> None:
    game = random_game(9)
    record = record_of(game, 1)
    other = 1 + game.winner % 2 if game.winner else 1
    with pytest.raises(DataError, match="replayed, it is"):
        replay_record(replace(record, winner=other).to_json())
    cut = replace(record, moves=" ".join(game.moves[:9]), plies=9)
    with pytest.raises(DataError, match="stops at ply 9 before its end"):
        replay_record(cut.to_json())


def test_a_record_of_another_engine_shows_its_moves_without_its_searches() -> None:
    record = replace(record_of(random_game(9), 1), engine="0")
    assert replay_record(record.to_json()).searched == []
