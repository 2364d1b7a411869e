"""Bringing a ledger's schema up to date, and refusing to work on one that is not.

Alembic is imported only to migrate: every process of the loop checks the schema, few change it.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from ringrift_loop.errors import ConfigError, LedgerAway, LedgerError, as_loop_error
from ringrift_loop.ledger import leases
from ringrift_loop.ledger.database import Ledger
from ringrift_loop.ledger.schema import SCHEMA_REVISION
from ringrift_loop.text import without_secrets

MIGRATIONS = Path(__file__).parent / "migrations"


def migrate(url: str, revision: str = SCHEMA_REVISION) -> str:
    """Bring the ledger at `url` to a schema, creating it when it is new.

    All steps run in one write transaction: a second process waits, a killed one leaves the old schema.

    Args:
        url: where the ledger is.
        revision: this version's schema, or an earlier one, for the program of that time.

    Returns:
        The revision that the ledger is at.

    Raises:
        ConfigError: the URL is not one of a ledger, or there is no such revision.
        LedgerError: the ledger was written by a newer version, a running loop has it, or a migrated row breaks a
            foreign key.
    """
    # What Alembic says of itself is for its own developers.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    known = sorted(script.revision for script in ScriptDirectory.from_config(config).walk_revisions())
    if revision not in known:
        raise ConfigError(f"a schema is one of {', '.join(known)}, got {revision!r}")
    # Foreign keys are off while SQLite's tables are rebuilt, and checked at the end.
    ledger = Ledger.open(url, foreign_keys=False)
    try:
        with ledger.begin() as conn:
            found = current(conn)
            if found is not None and found > SCHEMA_REVISION:
                raise LedgerError(f"the ledger {_shown(ledger)} {_complaint(found)}")
            if found is not None and found != revision:
                _refuse_running_loop(conn, ledger, found, revision)
            config.attributes["connection"] = conn
            step = command.downgrade if found is not None and found > revision else command.upgrade
            step(config, revision)
            if conn.dialect.name == "sqlite":
                broken = conn.execute(text("PRAGMA foreign_key_check")).first()
                if broken is not None:
                    raise LedgerError(f"after the migration a row of {broken[0]} refers to nothing in {broken[2]}")
    finally:
        ledger.close()
    return revision


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
        f"is at schema {found}, written by a newer version; this one works with {SCHEMA_REVISION}: update "
        f"ringrift-loop, or give it this version's schema with the newer one's `ringrift-loop ledger migrate --to "
        f"{SCHEMA_REVISION}`"
    )


def _refuse_running_loop(conn: Connection, ledger: Ledger, found: str, revision: str) -> None:
    """Its tasks are of the program that works with the schema that is there."""
    loop = leases.running_loop(conn, at=time.time())
    if loop is not None:
        raise LedgerError(
            f"the ledger {_shown(ledger)} stays at schema {found}: the loop of {loop.holder} works with it; stop that "
            f"one before the ledger goes to {revision}"
        )


def _shown(ledger: Ledger) -> str:
    return without_secrets(ledger.engine.url.render_as_string(hide_password=True))
