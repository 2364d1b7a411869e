"""A run directory with games in segments and a small trained-like model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ringrift_loop.engine.warmup import compile_kernels
from ringrift_loop.layout import RunDirectory
from ringrift_loop.selfplay.warmup import compile_selfplay_kernels
from ringrift_loop.views.thinking import ROOM


@pytest.fixture(scope="session", autouse=True)
def _ready() -> None:
    """Nobody waits for kernels in a test; the room learns that they are ready."""
    compile_kernels()
    compile_selfplay_kernels()
    ROOM.prepare(wait_s=120.0)


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[RunDirectory]:
    yield RunDirectory(tmp_path / "run")
