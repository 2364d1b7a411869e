"""The run directory that a ledger belongs to: the files that its rows name lie there and nowhere else."""

from __future__ import annotations

import secrets

from sqlalchemy import Connection

from ringrift_loop.errors import ConfigError
from ringrift_loop.json_value import JsonValue
from ringrift_loop.layout import RunDirectory
from ringrift_loop.ledger import state
from ringrift_loop.ledger.database import Ledger
from ringrift_loop.machine.files import write_whole

_KEY = "run_directory"


def claim(ledger: Ledger, directory: RunDirectory, *, at: float) -> None:
    """Have a ledger remember its run directory, and a run directory that it has one.

    Raises:
        ConfigError: the ledger belongs to another run directory.
    """
    if directory.identity.exists():
        with ledger.read() as conn:
            if state.get(conn, _KEY) == _own(directory):
                return
    with ledger.begin() as conn:  # of processes that begin a run at the same time one names it
        if not directory.identity.exists():
            write_whole(directory.identity, secrets.token_hex(16).encode() + b"\n")
        _refuse_another(conn, directory)
        state.put(conn, _KEY, _own(directory), at=at)


def check(ledger: Ledger, directory: RunDirectory) -> None:
    """Return when a ledger may be used with a run directory: it is the ledger's own, or one without files so far.

    Raises:
        ConfigError: the ledger belongs to another run directory.
    """
    if not directory.identity.exists():
        return
    with ledger.read() as conn:
        _refuse_another(conn, directory)


def _refuse_another(conn: Connection, directory: RunDirectory) -> None:
    owner = state.get(conn, _KEY)
    if isinstance(owner, dict) and owner.get("id") != _identity(directory):
        raise ConfigError(
            f"the ledger belongs to the run directory {owner.get('path')}, and its games and models lie there, not in "
            f"{directory.root}: choose that one with --home or RINGRIFT_HOME, or another ledger with "
            f"RINGRIFT_LEDGER_URL; if that folder is lost, write {owner.get('id')} into {directory.identity}"
        )


def _own(directory: RunDirectory) -> JsonValue:
    return {"id": _identity(directory), "path": str(directory.root)}


def _identity(directory: RunDirectory) -> str:
    return directory.identity.read_text(encoding="utf-8", errors="replace").strip()
