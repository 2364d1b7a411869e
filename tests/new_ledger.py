"""An empty ledger of this version's schema, copied from one that is migrated once in a process."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from ringrift_loop.ledger.migrate import migrate


@cache
def empty_ledger() -> Path:
    """A migrated ledger without rows; copy it."""
    folder = tempfile.mkdtemp(prefix="ringrift-ledger-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = Path(folder) / "ledger.db"
    migrate(f"sqlite:///{path}")
    return path


def new_ledger(url: str) -> None:
    """What `migrate` makes at a SQLite URL where nothing is yet."""
    path = Path(url.removeprefix("sqlite:///"))
    assert not path.exists(), path
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(empty_ledger(), path)
