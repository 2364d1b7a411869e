"""Transactions: atomic, one writer at a time, snapshots for readers."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, OperationalError

from ringrift_loop.errors import ConfigError
from ringrift_loop.layout import RunDirectory
from ringrift_loop.ledger import hosts, segments, state
from ringrift_loop.ledger.database import Ledger
from ringrift_loop.ledger.segments import SegmentRow


def test_a_transaction_that_raises_leaves_nothing(ledger: Ledger) -> None:
    with pytest.raises(RuntimeError), ledger.begin() as conn:
        state.put(conn, "key", 1, at=0.0)
        raise RuntimeError
    with ledger.read() as conn:
        assert state.get(conn, "key") is None


def test_writers_wait_for_each_other_and_lose_no_update(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        state.put(conn, "count", 0, at=0.0)

    def add_ten() -> None:
        for _ in range(10):
            with ledger.begin() as conn:
                value = state.get(conn, "count")
                assert isinstance(value, int)
                state.put(conn, "count", value + 1, at=0.0)

    threads = [threading.Thread(target=add_ten) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with ledger.read() as conn:
        assert state.get(conn, "count") == 40


def test_a_reader_sees_one_state_while_another_writes(ledger: Ledger) -> None:
    with ledger.read() as reader:
        assert state.get(reader, "key") is None
        with ledger.begin() as writer:
            state.put(writer, "key", "new", at=0.0)
        assert state.get(reader, "key") is None
    with ledger.read() as reader:
        assert state.get(reader, "key") == "new"


def test_writing_in_a_read_transaction_is_an_error(ledger: Ledger) -> None:
    with pytest.raises(OperationalError, match="readonly"), ledger.read() as conn:
        state.put(conn, "key", 1, at=0.0)


def test_foreign_keys_and_checks_hold(ledger: Ledger) -> None:
    stranger = SegmentRow("nobody", "name", "0" * 64, "e", 1, 3, 1, 1, 1, 10, 0.0)
    with pytest.raises(IntegrityError, match="FOREIGN KEY"), ledger.begin() as conn:
        segments.add(conn, stranger)
    wrong = SegmentRow("a", "name", "0" * 64, "e", 1, 4, 1, 1, 1, 10, 0.0)
    with pytest.raises(IntegrityError, match="records_add_up"), ledger.begin() as conn:
        hosts.ensure(conn, ["a"])
        segments.add(conn, wrong)


def test_sqlite_runs_in_wal_mode_and_syncs_every_commit(ledger: Ledger) -> None:
    with ledger.read() as conn:
        assert conn.execute(text("PRAGMA journal_mode")).scalar_one() == "wal"
        assert conn.execute(text("PRAGMA synchronous")).scalar_one() == 2  # FULL


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://host/db", "no url at all"])
def test_databases_that_cannot_be_a_ledger_are_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="ledger"):
        Ledger.open(url)


def test_a_driver_that_is_not_installed_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg2", None)  # as if it were not there
    with pytest.raises(ConfigError, match=r"driver psycopg2 is not installed: pip install .*\[postgres\]"):
        Ledger.open("postgresql://ringrift@127.0.0.1/ringrift")


def test_the_folder_of_a_new_ledger_is_made(tmp_path: Path) -> None:
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'new' / 'run' / 'ledger.db'}")
    with ledger.begin() as conn:
        conn.execute(text("CREATE TABLE t (x)"))
    assert (tmp_path / "new" / "run" / "ledger.db").exists()


@pytest.mark.parametrize("name", ["100% sure", "what?", "a#b", "a%20b", "läuft", "x?timeout=1"])
def test_the_ledger_lies_in_its_run_directory_whatever_that_is_called(tmp_path: Path, name: str) -> None:
    directory = RunDirectory(tmp_path / name)
    with Ledger.open(directory.ledger_url).begin() as conn:
        conn.execute(text("CREATE TABLE t (x)"))
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name / "ledger.db").exists()


@pytest.mark.parametrize("url", ["sqlite:///ledger.db", "sqlite:///./run/ledger.db", "sqlite:///file:/x.db?uri=true"])
def test_a_file_that_depends_on_where_a_process_was_started_is_no_ledger(url: str) -> None:
    with pytest.raises(ConfigError, match=r"every process finds.*sqlite:////path/ledger\.db, got 'sqlite:///"):
        Ledger.open(url)
