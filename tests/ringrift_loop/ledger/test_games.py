"""Games are counted once; claims move them to a run and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, insert

from ringrift_loop.config.schema import Training
from ringrift_loop.ledger import games, hosts, quarantine, schema, segments
from ringrift_loop.ledger.database import Ledger
from ringrift_loop.ledger.games import GameRow
from ringrift_loop.ledger.quarantine import QuarantineRow
from ringrift_loop.ledger.segments import SegmentRow

MakeGame = Callable[..., GameRow]


@pytest.fixture
def conn(ledger: Ledger) -> Iterator[Connection]:
    """A write transaction in which host `a` has a segment `s`."""
    with ledger.begin() as conn:
        hosts.ensure(conn, ["a"])
        segments.add(conn, SegmentRow("a", "s", "0" * 64, "e", 1, 0, 0, 0, 0, 10, 0.0))
        yield conn


def test_a_game_met_again_by_id_or_by_moves_is_not_new(conn: Connection, make_game: MakeGame) -> None:
    games.add(conn, games.new_among(conn, [make_game(1), make_game(2)])[0])
    same_moves = make_game(7, move_hash=make_game(1).move_hash)
    assert games.new_among(conn, [make_game(2), same_moves, make_game(3)]) == ([make_game(3)], [])


def test_an_id_with_other_moves_is_named_whether_the_first_is_in_the_ledger_or_beside_it(
    conn: Connection, make_game: MakeGame
) -> None:
    games.add(conn, [make_game(1)])
    first, again, beside = make_game(1, move_hash="f" * 64), make_game(2), make_game(2, move_hash="e" * 64)
    assert games.new_among(conn, [first, again, beside]) == ([again], [first, beside])


def test_a_game_that_stands_twice_in_one_segment_is_new_once(conn: Connection, make_game: MakeGame) -> None:
    twice = [make_game(1), make_game(1), make_game(2, move_hash=make_game(1).move_hash)]
    assert games.new_among(conn, twice) == ([make_game(1)], [])


def test_thousands_of_games_are_compared_in_parts(conn: Connection, make_game: MakeGame) -> None:
    games.add(conn, [make_game(n) for n in range(0, 2400, 2)])
    new, _ = games.new_among(conn, [make_game(n) for n in range(2400)])
    assert [row.position for row in new] == list(range(1, 2400, 2))


def test_a_claim_takes_all_free_games_of_the_variant_and_a_release_gives_them_back(
    conn: Connection, make_game: MakeGame
) -> None:
    games.add(conn, [*(make_game(n) for n in range(5)), make_game(9, variant="hex8_2p")])
    conn.execute(
        insert(schema.training_runs).values(id="run", variant="square8_2p", state="claimed", games=5, started_at=0.0)
    )
    assert games.claim(conn, "square8_2p", "run") == 5
    assert games.pending_by_variant(conn) == {"hex8_2p": 1}
    games.add(conn, [make_game(20)])
    assert games.claim(conn, "square8_2p", "run") == 1
    assert games.release(conn, "run") == 6
    assert games.pending(conn, "square8_2p") == 6


def test_counts_by_variant_agree_with_the_rows(conn: Connection, make_game: MakeGame) -> None:
    games.add(conn, [make_game(n, ingested_at=float(n)) for n in range(4)])
    games.add(conn, [make_game(9, variant="hex8_2p", ingested_at=9.0)])
    assert games.count(conn) == 5
    assert games.count_by_variant(conn, since=2.0) == {"square8_2p": 2, "hex8_2p": 1}


@given(
    rows=st.lists(st.integers(1, 900), max_size=12),
    by_games=st.integers(1, 12),
    by_rows=st.integers(1, 4000),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_variant_has_enough_by_games_or_by_rows_whichever_comes_first(
    conn: Connection, make_game: MakeGame, rows: list[int], by_games: int, by_rows: int
) -> None:
    limits = Training(trigger_threshold_games=by_games, trigger_threshold_rows=by_rows)
    with conn.begin_nested() as attempt:
        games.add(conn, [make_game(100 + number, rows=count) for number, count in enumerate(rows)])
        enough = games.pending(conn, "square8_2p") >= games.wanted(conn, "square8_2p", limits)
        attempt.rollback()
    assert enough == (len(rows) >= by_games or sum(rows) >= by_rows)


def test_a_refused_record_is_kept_once_and_its_payload_is_bounded(conn: Connection) -> None:
    row = QuarantineRow("a", "s", 3, None, "bad\x00move", "x\x00" + "y" * 100_000, 5.0)
    quarantine.add(conn, row)
    quarantine.add(conn, row)
    quarantine.add(conn, QuarantineRow("a", "s", None, None, "whole", None, 5.0))
    quarantine.add(conn, QuarantineRow("a", "s", None, None, "whole", None, 5.0))
    assert quarantine.count(conn) == 2
    kept = quarantine.latest(conn)[1]
    assert kept.payload is not None
    assert len(kept.payload) == 65536
    assert "\x00" not in kept.reason + kept.payload
