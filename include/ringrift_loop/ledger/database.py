"""Opening the ledger: one `Ledger` per process, short transactions, one writer at a time.

SQLite runs in WAL mode with foreign keys on; a write transaction starts with BEGIN IMMEDIATE, so what it reads cannot
change under it. On PostgreSQL the same promise is kept by a transaction-level advisory lock. The subject modules
beside this one are plain functions that take the `Connection` from `begin` or `read`. Migrations: `migrate.py`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, NullPool, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import ConnectionPoolEntry

from ringrift_loop.errors import ConfigError
from ringrift_loop.text import without_secrets

BUSY_TIMEOUT_S = 30
# Any constant will do: every writer of one ledger takes the same advisory lock.
_WRITER_LOCK = 0x52696E67


@dataclass(frozen=True)
class Ledger:
    """The loop's database. Safe to share between threads; open a new one after a fork."""

    engine: Engine

    @classmethod
    def open(cls, url: str, *, foreign_keys: bool = True) -> Ledger:
        """The ledger at a database URL; does not look at its schema.

        Args:
            url: `sqlite:///FILE` or `postgresql://...`.
            foreign_keys: False only for migrations, which rebuild tables; SQLite alone knows the difference.

        Raises:
            ConfigError: the URL is malformed, names no file by its whole path, its kind of database is not supported,
                or the database's driver is not installed.
        """
        return cls(_engine(_checked_url(url), foreign_keys=foreign_keys))

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A write transaction: committed at the end of the block, rolled back when it raises.

        Other writers wait up to 30 s for it, so keep it short and never play, train or talk to a host inside.
        """
        with self.engine.connect().execution_options(ringrift_write=True) as conn, conn.begin():
            if self.engine.dialect.name == "postgresql":
                conn.execute(text(f"SET LOCAL lock_timeout = '{BUSY_TIMEOUT_S}s'"))
                conn.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _WRITER_LOCK})
            yield conn

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent snapshot for reading; writing in it is an error."""
        with self.engine.connect() as conn, conn.begin():
            if self.engine.dialect.name == "postgresql":
                conn.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
                yield conn
                return
            conn.execute(text("PRAGMA query_only = ON"))
            try:
                yield conn
            finally:
                conn.execute(text("PRAGMA query_only = OFF"))

    def close(self) -> None:
        """Give the pooled connections back to the system."""
        self.engine.dispose()


def sqlite_file(url: str) -> Path | None:
    """The file of a ledger in SQLite, None for another database; errors as for `Ledger.open`."""
    parsed = _checked_url(url)
    return Path(parsed.database) if parsed.get_backend_name() == "sqlite" and parsed.database else None


def _checked_url(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ConfigError(
            f"the ledger's URL cannot be read: {without_secrets(str(error))}; right would be sqlite:////path/ledger.db"
        ) from error
    kind = parsed.get_backend_name()
    if kind not in ("sqlite", "postgresql"):
        raise ConfigError(f"the ledger can be SQLite or PostgreSQL, got {kind!r}")
    if kind == "sqlite" and not Path(parsed.database or "").is_absolute():
        raise ConfigError(
            "the ledger needs a file that every process finds, wherever it was started: "
            f"right would be sqlite:////path/ledger.db, got {without_secrets(url)!r}"
        )
    # SQLAlchemy's own choice for the plain name depends on its version; the extra `postgres` installs psycopg2.
    return parsed.set(drivername="postgresql+psycopg2") if parsed.drivername == "postgresql" else parsed


def _engine(url: URL, *, foreign_keys: bool) -> Engine:
    if url.get_backend_name() == "postgresql":
        try:
            return create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": 10})
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"the ledger's URL asks for {url.drivername}, whose driver {error.name} is not installed: "
                "pip install -c constraints.txt 'ringrift-loop[postgres]', and write postgresql+psycopg2://..."
            ) from error
    assert url.database is not None
    Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    # NullPool: opening SQLite costs less than a millisecond, and no connection is carried over a fork.
    engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": BUSY_TIMEOUT_S})

    @event.listens_for(engine, "connect")
    def configure(dbapi: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
        dbapi.isolation_level = None  # the driver starts no transactions of its own
        cursor = dbapi.cursor()
        cursor.execute("PRAGMA journal_mode = WAL")
        # FULL: a host deletes its segment on the strength of our commit, so the commit must outlive a power cut.
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute(f"PRAGMA foreign_keys = {'ON' if foreign_keys else 'OFF'}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(conn: Connection) -> None:
        write = conn.get_execution_options().get("ringrift_write", False)
        conn.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine
