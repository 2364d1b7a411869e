"""The same ledger on PostgreSQL: a private server for these tests, run by a user that is not root."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy.exc import IntegrityError, InternalError, StatementError

import postgresql_server
from ledger_rows import rows
from ringrift_loop.cluster.sync.suspicion import read_samples
from ringrift_loop.ledger import events, games, hosts, leases, quarantine, segments, state
from ringrift_loop.ledger.database import Ledger
from ringrift_loop.ledger.games import GameRow
from ringrift_loop.ledger.migrate import check_current, migrate
from ringrift_loop.ledger.quarantine import QuarantineRow
from ringrift_loop.ledger.schema import metadata
from ringrift_loop.ledger.segments import SegmentRow

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server that listens on a socket in its own folder, and on nothing else."""
    if (reason := postgresql_server.missing()) is not None:
        pytest.skip(reason)
    pytest.importorskip("psycopg2", reason="psycopg2 is not installed: pip install psycopg2-binary")
    with postgresql_server.server(fsync=False) as url:
        yield url


@pytest.fixture(scope="module")
def postgres(url: str) -> Iterator[Ledger]:
    migrate(url)
    migrate(url)
    ledger = Ledger.open(url)
    check_current(ledger)
    yield ledger
    ledger.close()


def test_the_migrations_make_the_schema_of_the_code_here_too(postgres: Ledger) -> None:
    with postgres.read() as conn:
        assert compare_metadata(MigrationContext.configure(conn), metadata) == []


def test_writers_wait_for_each_other_and_lose_no_update(postgres: Ledger) -> None:
    def add_ten() -> None:
        for _ in range(10):
            with postgres.begin() as conn:
                value = state.get(conn, "count") or 0
                assert isinstance(value, int)
                state.put(conn, "count", value + 1, at=0.0)

    threads = [threading.Thread(target=add_ten) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with postgres.read() as conn:
        assert state.get(conn, "count") == 40


def test_a_reader_sees_one_state_and_cannot_write(postgres: Ledger) -> None:
    with postgres.read() as reader:
        before = events.last_id(reader)
        with postgres.begin() as writer:
            events.record(writer, "test", "something", at=1.0)
        assert events.last_id(reader) == before
    with pytest.raises(InternalError, match="read-only"), postgres.read() as conn:
        events.record(conn, "test", "something", at=1.0)


def test_games_go_in_with_their_segment_or_not_at_all(postgres: Ledger, make_game: Callable[..., GameRow]) -> None:
    with postgres.begin() as conn:
        hosts.ensure(conn, ["a"])
    with pytest.raises(IntegrityError), postgres.begin() as conn:
        games.add(conn, [make_game(1)])
    with postgres.begin() as conn:
        segments.add(conn, SegmentRow("a", "s", "0" * 64, "e", 1, 2, 1, 0, 1, 10, 0.0))
        games.add(conn, games.new_among(conn, [make_game(1), make_game(1)])[0])
        quarantine.add(conn, QuarantineRow("a", "s", 1, None, "bad \x00 \ud800", "x\x00\ud800", 1.0))
    with postgres.read() as conn:
        assert (games.count(conn), games.pending(conn, "square8_2p"), quarantine.count(conn)) == (1, 1, 1)
        assert rows(conn, GameRow, id=make_game(1).id) == [make_game(1)]


def test_hosts_are_compared_by_the_same_sums(postgres: Ledger, make_game: Callable[..., GameRow]) -> None:
    at = 500_000.0
    with postgres.begin() as conn:
        hosts.ensure(conn, ["c"])
        segments.add(conn, SegmentRow("c", "many", "0" * 64, "f", 1, 300, 300, 0, 0, 10, at))
        games.add(
            conn,
            [
                replace(
                    make_game(1000 + number),
                    host="c",
                    segment="many",
                    position=number,
                    plies=100 + number,
                    winner=1 + number % 2,
                    started_at=at - 9000.0 + number,
                    played_at=at - 8000.0 + number,
                    ingested_at=at - 7000.0 + number,
                    value_error=0.25,
                    value_spread=0.5,
                )
                for number in range(300)
            ],
        )
        (sums,) = (by_host["c"] for by_host in read_samples(conn, now=at).values())
        assert (sums.games, sums.wins, sums.value_games) == (300, (150, 150), 300)
        assert sums.plies_squared == sum((100 + number) ** 2 for number in range(300))
        assert (sums.errors, sums.spreads, sums.spreads_squared) == (75.0, 150.0, 75.0)
        hosts.suspect(conn, "c", "it differs", at=at)
        assert read_samples(conn, now=at) == {}
        assert games.pending(conn, "square8_2p") == 1
        hosts.trust(conn, "c", at=0.0)
        assert games.pending(conn, "square8_2p") == 301


def test_what_a_host_says_ends_no_transaction(postgres: Ledger) -> None:
    said = "no \x00\x1b[2J\ud800\nroute"
    with postgres.begin() as conn:
        hosts.ensure(conn, ["b"])
        hosts.failed(conn, "b", said, at=0.0, poll_s=1, max_backoff_s=1)
        events.record(conn, "host", said, at=1.0)
        with pytest.raises(StatementError), conn.begin_nested():
            state.put(conn, "k" * 65, 1, at=0.0)
        assert hosts.get(conn, "b").last_error == events.latest(conn, limit=1)[0].message == "no ??[2J?; route"


def test_leases_exclude_each_other(postgres: Ledger) -> None:
    with leases.hold(postgres, "sync"), postgres.begin() as conn:
        assert not leases.acquire(conn, "sync", "other", ttl_s=10, at=0.0)
