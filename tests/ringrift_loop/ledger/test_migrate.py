"""Migrations end at the schema that the code works with."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from ringrift_loop.errors import ConfigError, LedgerError
from ringrift_loop.ledger import leases
from ringrift_loop.ledger.database import Ledger
from ringrift_loop.ledger.migrate import MIGRATIONS, check_current, migrate
from ringrift_loop.ledger.schema import SCHEMA_REVISION, metadata


def config() -> Config:
    made = Config()
    made.set_main_option("script_location", str(MIGRATIONS))
    return made


def tables(ledger: Ledger) -> dict[str, list[str]]:
    """What SQLite keeps of each table and index: the words of its statement, whatever the order of its clauses."""
    query = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name != 'alembic_version'"
    with ledger.read() as conn:
        return {name: sorted(sql.replace('"', "").replace(",", " ").split()) for name, sql in conn.execute(text(query))}


def test_the_migrations_make_exactly_the_schema_of_the_code(ledger: Ledger, tmp_path: Path) -> None:
    with ledger.read() as conn:
        assert compare_metadata(MigrationContext.configure(conn, opts={"compare_type": True}), metadata) == []
    direct = Ledger.open(f"sqlite:///{tmp_path / 'direct.db'}")
    with direct.begin() as conn:
        metadata.create_all(conn)
    # Alembic compares no check constraints; SQLite's own statements hold them.
    assert tables(ledger) == tables(direct)


def test_the_revision_in_the_code_is_the_newest_migration() -> None:
    assert ScriptDirectory.from_config(config()).get_heads() == [SCHEMA_REVISION]


def test_migrating_twice_changes_nothing(ledger: Ledger) -> None:
    before = tables(ledger)
    assert migrate(str(ledger.engine.url)) == SCHEMA_REVISION
    assert tables(ledger) == before
    check_current(ledger)


def test_every_step_can_be_undone_and_done_again(ledger: Ledger) -> None:
    before = tables(ledger)
    with ledger.begin() as conn:
        made = config()
        made.attributes["connection"] = conn
        command.downgrade(made, "base")
    assert tables(ledger) == {}
    migrate(str(ledger.engine.url))
    assert tables(ledger) == before


def test_an_empty_ledger_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="is empty: run `ringrift-loop ledger migrate`"):
        check_current(Ledger.open(f"sqlite:///{tmp_path / 'empty.db'}"))


def test_an_older_ledger_is_refused_until_it_is_migrated(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    with pytest.raises(LedgerError, match=r"is at schema 0000, this version works with .*ledger migrate"):
        check_current(ledger)


def test_a_ledger_of_a_newer_version_is_neither_used_nor_migrated(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for use in (check_current, lambda ledger: migrate(str(ledger.engine.url))):
        with pytest.raises(LedgerError, match=r"written by a newer version.*update ringrift-loop"):
            use(ledger)


def test_a_ledger_goes_back_to_an_earlier_schema_and_forward_again(ledger: Ledger) -> None:
    before, url = tables(ledger), str(ledger.engine.url)
    assert migrate(url, "0002") == "0002"
    with pytest.raises(LedgerError, match="is at schema 0002"):
        check_current(ledger)
    with pytest.raises(ConfigError, match=r"a schema is one of 0001, .*, got '2'"):
        migrate(url, "2")
    migrate(url)
    assert tables(ledger) == before


def test_the_schema_stays_as_it_is_while_a_loop_works_with_it(ledger: Ledger) -> None:
    url = str(ledger.engine.url)
    with ledger.begin() as conn:
        leases.acquire(conn, leases.LOOP, "elsewhere:17:0", ttl_s=60.0, at=time.time())
    assert migrate(url) == SCHEMA_REVISION  # nothing to do
    with pytest.raises(LedgerError, match="the loop of elsewhere:17:0 works with it; stop that one before"):
        migrate(url, "0002")
    check_current(ledger)
    with ledger.begin() as conn:
        leases.release(conn, leases.LOOP, "elsewhere:17:0")
    assert migrate(url, "0002") == "0002"


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"not a database, whatever its name says" * 50)
    with pytest.raises(LedgerError, match="does not open"):
        check_current(Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}"))


def test_a_migration_that_fails_leaves_the_old_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    ledger = Ledger.open(url)
    with ledger.begin() as conn:
        conn.execute(text("CREATE TABLE games (old)"))  # in the way of the first migration
    with pytest.raises(Exception, match="games already exists"):
        migrate(url)
    assert list(tables(ledger)) == ["games"]
