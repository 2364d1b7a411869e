"""Bringing a ledger's schema up to date, and refusing to work on one that is not.

Alembic is imported only to migrate: every process of the loop checks the schema, few change it.
"""

from __future__ import annotations

import logging
from pathlib import Path

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from ringrift_loop.errors import LedgerAway, LedgerError, as_loop_error
from ringrift_loop.ledger.database import Ledger
from ringrift_loop.ledger.schema import SCHEMA_REVISION
from ringrift_loop.text import without_secrets

MIGRATIONS = Path(__file__).parent / "migrations"


def migrate(url: str) -> str:
    """Bring the ledger at `url` to this version's schema, creating it when it is new.

    All steps run in one write transaction: a second process waits, a killed one leaves the old schema.

    Returns:
        The revision that the ledger is at.

    Raises:
        ConfigError: the URL is not one of a ledger.
        LedgerError: the ledger was written by a newer version, or a migrated row breaks a foreign key.
    """
    # What Alembic says of itself is for its own developers.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    from alembic import command
    from alembic.config import Config

    # Foreign keys are off while SQLite's tables are rebuilt, and checked at the end.
    ledger = Ledger.open(url, foreign_keys=False)
    try:
        with ledger.begin() as conn:
            complaint = _complaint(current(conn))
            if complaint is not None and "newer" in complaint:
                raise LedgerError(f"the ledger {_shown(ledger)} {complaint}")
            config = Config()
            config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
            config.attributes["connection"] = conn
            command.upgrade(config, SCHEMA_REVISION)
            if conn.dialect.name == "sqlite":
                broken = conn.execute(text("PRAGMA foreign_key_check")).first()
                if broken is not None:
                    raise LedgerError(f"after the migration a row of {broken[0]} refers to nothing in {broken[2]}")
    finally:
        ledger.close()
    return SCHEMA_REVISION


def current(conn: Connection) -> str | None:
    """The revision that a ledger is at; None for an empty database."""
    if not inspect(conn).has_table("alembic_version"):
        return None
    revision: str | None = conn.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    return revision


def check_current(ledger: Ledger) -> None:
    """Return when the ledger's schema is this version's.

    Raises:
        LedgerError: it is empty, older or newer, or does not open; the message names the remedy.
        LedgerAway: its database is locked or does not answer now.
    """
    try:
        with ledger.read() as conn:
            complaint = _complaint(current(conn))
    except SQLAlchemyError as error:
        said = f"the ledger {_shown(ledger)} does not open: {getattr(error, 'orig', error)}"
        raise (LedgerError(said) if as_loop_error(error) is None else LedgerAway(said)) from error
    if complaint is not None:
        raise LedgerError(f"the ledger {_shown(ledger)} {complaint}")


def _complaint(found: str | None) -> str | None:
    if found == SCHEMA_REVISION:
        return None
    if found is None:
        return "is empty: run `ringrift-loop ledger migrate`"
    if found < SCHEMA_REVISION:  # revisions are numbers of four digits
        return f"is at schema {found}, this version works with {SCHEMA_REVISION}: run `ringrift-loop ledger migrate`"
    return (
        f"is at schema {found}, written by a newer version; this one works with {SCHEMA_REVISION}: update ringrift-loop"
    )


def _shown(ledger: Ledger) -> str:
    return without_secrets(ledger.engine.url.render_as_string(hide_password=True))
