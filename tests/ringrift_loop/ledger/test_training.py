"""Training runs: one of a variant at a time, their games, their window, and their end."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Connection

from ledger_rows import rows
from ringrift_loop.errors import LedgerError
from ringrift_loop.ledger import games, hosts, models, segments, training
from ringrift_loop.ledger.database import Ledger
from ringrift_loop.ledger.games import GameRow
from ringrift_loop.ledger.schema import training_runs
from ringrift_loop.ledger.segments import SegmentRow

MakeGame = Callable[..., GameRow]
VARIANT = "square8_2p"


@pytest.fixture
def conn(ledger: Ledger) -> Iterator[Connection]:
    """A write transaction in which host `a` has a segment `s`."""
    with ledger.begin() as conn:
        hosts.ensure(conn, ["a"])
        segments.add(conn, SegmentRow("a", "s", "0" * 64, "e", 1, 0, 0, 0, 0, 10, 0.0))
        yield conn


def claim(conn: Connection, run_id: str, *, at: float = 10.0, variant: str = VARIANT) -> training.TrainingRunRow:
    return training.claim(conn, run_id, variant, at=at)


def succeed(conn: Connection, run_id: str, number: int, *, at: float, variant: str = VARIANT) -> None:
    digest = f"{number:064x}"
    models.add(conn, digest, variant, parent_digest=None, training_run=run_id, manifest={}, at=at)
    training.succeed(conn, run_id, model_digest=digest, report={"number": number}, at=at)


def test_a_claim_takes_the_variants_free_games_and_no_others(conn: Connection, make_game: MakeGame) -> None:
    games.add(conn, [*(make_game(number) for number in range(4)), make_game(9, variant="hex8_2p")])
    run = claim(conn, "r1")
    assert (run.state, run.games, run.started_at, run.finished_at) == ("claimed", 4, 10.0, None)
    assert {game.id for game in rows(conn, GameRow, training_run="r1")} == {make_game(number).id for number in range(4)}
    assert games.pending_by_variant(conn) == {"hex8_2p": 1}
    assert training.active(conn, VARIANT) == run
    assert training.active(conn, "hex8_2p") is None


def test_a_variant_has_one_run_at_a_time_and_an_id_is_used_once(conn: Connection, make_game: MakeGame) -> None:
    games.add(conn, [make_game(1), make_game(9, variant="hex8_2p")])
    claim(conn, "r1")
    with pytest.raises(LedgerError, match="training run r1 of square8_2p is claimed; one at a time"):
        claim(conn, "r2")
    with pytest.raises(LedgerError, match="training run r1 already exists"):
        claim(conn, "r1", variant="hex8_2p")
    assert claim(conn, "r2", variant="hex8_2p").games == 1


def test_without_new_games_a_run_learns_from_the_old_ones_but_not_from_none(
    ledger: Ledger, conn: Connection, make_game: MakeGame
) -> None:
    games.add(conn, [make_game(1)])
    claim(conn, "r1")
    succeed(conn, "r1", 1, at=20.0)
    assert claim(conn, "r2", at=30.0).games == 0
    with pytest.raises(LedgerError, match="the ledger holds no game of hex8_2p yet"):
        claim(conn, "r3", variant="hex8_2p")


def test_the_window_is_the_runs_own_games_then_older_ones_from_the_newest_back(
    conn: Connection, make_game: MakeGame
) -> None:
    games.add(conn, [make_game(number, ingested_at=float(number)) for number in range(4)])
    claim(conn, "r1", at=10.0)
    succeed(conn, "r1", 1, at=20.0)
    games.add(conn, [make_game(9, ingested_at=9.0), make_game(8, ingested_at=8.0, engine_version="0")])
    run = claim(conn, "r2", at=30.0)

    def window(rows: int) -> list[tuple[int, bool]]:
        found = training.window(conn, run, rows=rows, rows_max=10_000, seen_until=10.0, engine_version="1")
        return [(game.position, game.fresh) for game in found]

    # 40 rows a game; the game of another engine is left out.
    assert window(0) == [(9, True)]
    assert window(41) == [(9, True), (3, False)]
    assert window(10_000) == [(9, True), (3, False), (2, False), (1, False), (0, False)]
    # The clock was set back before this run started.
    conn.execute(training_runs.update().where(training_runs.c.id == "r2").values(started_at=5.0))
    assert window(41) == [(9, True), (3, False)]
    games.add(conn, [make_game(20, ingested_at=99.0)])
    assert window(41) == [(9, True), (3, False)], "a game that came in meanwhile belongs to no run yet"


def test_a_claim_beyond_the_largest_window_leaves_its_oldest_games_out(conn: Connection, make_game: MakeGame) -> None:
    games.add(conn, [make_game(number, ingested_at=float(number)) for number in range(5)])
    run = claim(conn, "r1", at=10.0)
    found = training.window(conn, run, rows=0, rows_max=41, seen_until=0.0, engine_version="1")
    assert [game.position for game in found] == [4, 3]  # 40 rows a game


def test_consumed_rows_count_games_that_a_run_has_taken(conn: Connection, make_game: MakeGame) -> None:
    games.add(conn, [make_game(1, rows=30), make_game(2, rows=12)])
    assert training.consumed_rows(conn, VARIANT) == 0
    claim(conn, "r1")
    games.add(conn, [make_game(3)])
    assert training.consumed_rows(conn, VARIANT) == 42


def test_a_failed_run_gives_its_games_back_and_says_why(conn: Connection, make_game: MakeGame) -> None:
    games.add(conn, [make_game(1), make_game(2)])
    claim(conn, "r1")
    training.mark_running(conn, "r1", window_games=2, window_rows=80, parent_digest=None)
    assert training.require(conn, "r1").state == "running"
    assert training.fail(conn, "r1", error="the disk is full", at=50.0) == 2
    run = training.require(conn, "r1")
    assert (run.state, run.error, run.finished_at, run.window_rows) == ("failed", "the disk is full", 50.0, 80)
    assert games.pending(conn, VARIANT) == 2
    assert training.active(conn, VARIANT) is None


def test_a_run_that_has_ended_stays_as_it_is(conn: Connection, make_game: MakeGame) -> None:
    games.add(conn, [make_game(1)])
    claim(conn, "r1")
    succeed(conn, "r1", 1, at=20.0)
    with pytest.raises(LedgerError, match="training run r1 is succeeded, not claimed or running"):
        training.fail(conn, "r1", error="too late", at=30.0)
    with pytest.raises(LedgerError, match="training run r1 is succeeded"):
        training.mark_running(conn, "r1", window_games=1, window_rows=1, parent_digest=None)
    run = training.require(conn, "r1")
    assert (run.state, run.model_digest, run.report, run.error) == ("succeeded", f"{1:064x}", {"number": 1}, None)
    assert games.pending(conn, VARIANT) == 0


def test_the_end_of_the_last_run_is_known(conn: Connection, make_game: MakeGame) -> None:
    games.add(conn, [make_game(1), make_game(9, variant="hex8_2p")])
    assert training.last_finished_at(conn, VARIANT) is None
    claim(conn, "b", at=1.0)
    succeed(conn, "b", 1, at=2.0)
    claim(conn, "a", at=3.0)
    training.fail(conn, "a", error="killed", at=4.0)
    claim(conn, "c", at=2.5, variant="hex8_2p")
    assert training.last_finished_at(conn, VARIANT) == 4.0


def test_a_run_that_is_not_there_is_named(conn: Connection) -> None:
    assert training.get(conn, "r9") is None
    with pytest.raises(LedgerError, match="no training run r9 in the ledger"):
        training.require(conn, "r9")
