"""Each way in which a ledger can be wrong is found by `verify`; every test plants one bug."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import text

from ledger_rows import rows
from ringrift_loop.cluster.sync.cycle import sync_once
from ringrift_loop.cluster.sync.ingest import Replayed
from ringrift_loop.layout import HostDirectory
from ringrift_loop.ledger import games, matches, models, promotions, ratings
from ringrift_loop.ledger.database import Ledger
from ringrift_loop.ledger.games import GameRow
from ringrift_loop.ledger.matches import MatchRow, Participant
from ringrift_loop.ledger.ratings import RatingRow
from ringrift_loop.loop import Loop
from ringrift_loop.selfplay.records import GameRecord
from ringrift_loop.selfplay.segments import segment_path
from ringrift_loop.status.verify import verify

MODEL = "a" * 64


@pytest.fixture
def filled(loop: Loop, put_games: Callable[..., list[str]], trusting: Callable[[GameRecord], Replayed]) -> Loop:
    """A ledger with games, a bad game, a training run, a model that was rejected, participants, a match, a rating."""
    put_games("a", [1, 2, 3, b"{}", 4], [5, 6, 7])
    sync_once(loop, replayer=trusting)
    with loop.ledger.begin() as conn:
        conn.execute(
            text(
                "INSERT INTO training_runs (id, variant, state, games, window_games, window_rows, started_at) "
                "VALUES ('run', 'square8_2p', 'running', 7, 7, 7, 1.0)"
            )
        )
        games.claim(conn, "square8_2p", "run")
        models.add(conn, MODEL, "square8_2p", parent_digest=None, training_run="run", manifest={}, at=1.0)
        conn.execute(text(f"UPDATE training_runs SET state = 'succeeded', model_digest = '{MODEL}'"))
        promotions.reject(conn, "square8_2p", MODEL, reason="weak", elo_gain=None, games=0, at=1.0)
        for name in ("random", "heuristic"):
            matches.ensure_participant(conn, Participant(name, "square8_2p", None, {}))
            matches.ensure_participant(conn, Participant(name, "hex8_2p", None, {}))
        row = MatchRow(
            "m", "b", "square8_2p", "shadow", ["random", "heuristic"], "", "x", 1, [1, 2], "territory", 1, "a", "1", 1.0
        )
        matches.add(conn, [row])
        rated = [RatingRow("square8_2p", "random", 0.0, 1.0, 1, 1.0)]
        ratings.replace(conn, "square8_2p", rated, keep_history_of=["random"])
    assert verify(loop, files=True) == []
    return loop


def plant(loop: Loop, *statements: str) -> None:
    """Break the ledger behind the constraints' back."""
    ledger = Ledger.open(str(loop.ledger.engine.url), foreign_keys=False)
    with ledger.begin() as conn:
        conn.execute(text("PRAGMA ignore_check_constraints = ON"))
        for statement in statements:
            conn.execute(text(statement))
    ledger.close()


@pytest.mark.parametrize(
    ("statement", "check"),
    [
        ("DELETE FROM games WHERE position = 1", "counts"),
        ("DELETE FROM quarantine", "counts"),
        ("UPDATE segments SET games_new = games_new + 1", "counts"),
        ("DELETE FROM segments WHERE seq = 1", "gap"),
        ("DELETE FROM segments WHERE seq = 2", "orphan"),
        ("UPDATE games SET training_run = 'ghost' WHERE position = 0", "claim"),
        ("UPDATE games SET training_run = NULL WHERE position = 0", "claim"),
        ("UPDATE training_runs SET state = 'failed'", "claim"),
        ("UPDATE training_runs SET model_digest = 'x'", "claim"),
        ("DELETE FROM training_runs", "claim"),
        (f"INSERT INTO champions VALUES ('square8_2p', '{MODEL}', 1, 1.0)", "champion"),
        (f"INSERT INTO champions VALUES ('hex8_2p', '{MODEL}', 1, 1.0)", "champion"),
        ("UPDATE promotions SET status = 'promoted'", "champion"),
        ("UPDATE match_players SET participant = 'ghost' WHERE seat = 1", "match"),
        ("UPDATE match_players SET variant = 'hex8_2p' WHERE seat = 1", "match"),
        ("DELETE FROM match_players WHERE seat = 2", "match"),
        ("DELETE FROM matches", "orphan"),
        ("UPDATE ratings SET participant = 'ghost'", "rating"),
    ],
)
def test_a_planted_bug_is_found(filled: Loop, statement: str, check: str) -> None:
    plant(filled, statement)
    assert check in {finding.check for finding in verify(filled)}


def test_a_game_counted_twice_is_found_even_without_the_constraints(filled: Loop) -> None:
    plant(
        filled,
        "CREATE TABLE copied AS SELECT * FROM games",
        "DROP TABLE games",
        "ALTER TABLE copied RENAME TO games",
        "INSERT INTO games SELECT * FROM games WHERE position = 0",
    )
    found = {(finding.check, finding.message) for finding in verify(filled)}
    assert ("duplicate", "is there 2 times") in found


@pytest.mark.parametrize("damage", ["missing", "short", "changed"])
def test_a_lost_or_changed_segment_file_is_found(filled: Loop, damage: str) -> None:
    with filled.ledger.read() as conn:
        name = rows(conn, GameRow)[0].segment
    path = segment_path(filled.directory, "a", name)
    data = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(data[:-1] + (b"" if damage == "short" else bytes([data[-1] ^ 1])))
    assert [finding.check for finding in verify(filled, files=True)] == ["file"]
    assert (verify(filled) == []) == (damage == "changed")  # only the digest tells


def test_a_bug_in_the_writer_shows_as_a_gap(
    loop: Loop,
    put_games: Callable[..., list[str]],
    host_dir: Callable[[str], HostDirectory],
    trusting: Callable[[GameRecord], Replayed],
) -> None:
    _, lost, _ = put_games("a", [1, 2, 3], [4, 5, 6], [7, 8, 9])
    (host_dir("a").sealed_segments / lost).unlink()
    sync_once(loop, replayer=trusting)
    (finding,) = verify(loop)
    assert (finding.check, finding.message) == ("gap", "1 segment never came in: 2")
