"""A migrated SQLite ledger for each test, and rows to put in."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ringrift_loop.ledger.database import Ledger
from ringrift_loop.ledger.games import GameRow


@pytest.fixture
def ledger(empty_ledger: Path, tmp_path: Path) -> Iterator[Ledger]:
    shutil.copy(empty_ledger, tmp_path / "ledger.db")
    opened = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield opened
    opened.close()


@pytest.fixture
def make_game() -> Callable[..., GameRow]:
    """A game's row by its number; everything else can be changed."""

    def make(number: int, **changes: object) -> GameRow:
        fields: dict[str, object] = {
            "id": f"{number:032x}",
            "move_hash": f"{number:064x}",
            "variant": "square8_2p",
            "host": "a",
            "segment": "s",
            "position": number,
            "plies": 60,
            "rows": 40,
            "winner": 1,
            "result": "territory",
            "player": "heuristic-search",
            "search": {"full": 16},
            "engine_version": "1",
            "played_at": 1000.0,
            "ingested_at": 1001.0,
        }
        return GameRow(**(fields | changes))  # type: ignore[arg-type]

    return make
