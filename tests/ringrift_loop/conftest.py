"""An opened loop over an empty ledger, for the tests of stages."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import new_ledger
from clocks import Clock
from ringrift_loop.config import LoopConfig
from ringrift_loop.hosts.inventory import load_inventory
from ringrift_loop.layout import RunDirectory
from ringrift_loop.ledger.database import Ledger
from ringrift_loop.loop import Loop
from ringrift_loop.metrics.emit import Metrics

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def empty_ledger() -> Path:
    """A migrated ledger without rows; copy it."""
    return new_ledger.empty_ledger()


@pytest.fixture
def open_loop(tmp_path: Path, empty_ledger: Path) -> Iterator[Callable[..., Loop]]:
    """Open a loop over an empty ledger; `promotion={"elo_threshold": 0.0}` and the like change the configuration."""
    directory = RunDirectory(tmp_path / "run")
    directory.root.mkdir()
    shutil.copy(empty_ledger, directory.root / "ledger.db")
    opened: list[Loop] = []

    def open_one(**sections: dict[str, Any]) -> Loop:
        config = LoopConfig()
        for name, changes in sections.items():
            config = replace(config, **{name: replace(getattr(config, name), **changes)})
        loop = Loop(
            config=config,
            inventory=load_inventory(PROJECT / "config" / "remote_hosts.yaml"),
            directory=directory,
            ledger=Ledger.open(f"sqlite:///{directory.root / 'ledger.db'}"),
            metrics=Metrics("127.0.0.1", 9, strict=True),
            clock=Clock(1_800_000_000.0),
        )
        opened.append(loop)
        return loop

    yield open_one
    for loop in opened:
        loop.ledger.close()
