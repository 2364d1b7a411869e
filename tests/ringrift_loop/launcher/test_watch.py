"""What the launcher does while it watches, and something else fails for a moment."""

from __future__ import annotations

import errno
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from new_ledger import new_ledger
from ringrift_loop.errors import LoopError, NoCapacity
from ringrift_loop.launcher import run
from ringrift_loop.launcher.environment import Addresses
from ringrift_loop.launcher.narrator import Narrator
from ringrift_loop.launcher.run import Launch, LaunchSettings
from ringrift_loop.layout import RunDirectory
from ringrift_loop.project import Project


class Lease:
    """Holds until it is told that another has it."""

    lost = False

    def check(self, _conn: object) -> None:
        if self.lost:
            raise NoCapacity("another")


@pytest.fixture
def launch(run_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A launch without components whose looks follow each other at once; `said` has what it prints."""
    monkeypatch.setattr(run, "_WATCH_PAUSE_S", 0.0)
    monkeypatch.setattr(run, "_LOG_CHECK_PAUSE_S", 0.0)
    directory = RunDirectory(run_home)
    new_ledger(directory.ledger_url)
    said: list[str] = []
    settings = LaunchSettings(directory, Project(tmp_path), Addresses(1, 2, "127.0.0.1", 3))
    launch: Any = Launch(settings, said.append)
    launch.said, launch._lease = said, Lease()
    return launch


def looks(launch: Any, monkeypatch: pytest.MonkeyPatch, *results: list[str] | Exception) -> None:
    """What the narrator tells at each look; after the last one somebody presses Ctrl-C."""
    left = list(results)

    def new_lines(_self: Narrator) -> list[str]:
        result = left.pop(0)
        if not left:
            launch._stop.set()
        if isinstance(result, Exception):
            raise result
        return result

    monkeypatch.setattr(Narrator, "new_lines", new_lines)


def test_a_moment_without_the_ledger_is_told_once_and_ends_nothing(
    launch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = OperationalError("SELECT 1", {}, Exception("the database system is shutting down"))
    looks(launch, monkeypatch, away, away, ["back"], away, ["again"])
    assert launch._watch() == 0
    told = [text.partition(";")[0].partition("  ")[2] or text for text in launch.said]
    trouble = "what happens cannot be told, the ledger cannot be read"
    assert told == [trouble, "back", trouble, "again"]
    assert "the database system is shutting down" in launch.said[0]


def test_a_log_that_a_full_disk_keeps_from_being_moved_ends_nothing(
    launch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    launch._components["bridge"] = SimpleNamespace(
        log_file=Path("bridge.log"), trim_log=full, process=object(), is_running=True, is_given_up=False, is_due=False
    )
    looks(launch, monkeypatch, [], [], ["still there"])
    assert launch._watch() == 0
    assert len(launch.said) == 2
    assert "bridge.log cannot be moved aside; it is tried again: [Errno 28] No space left on device" in launch.said[0]


def test_a_ledger_that_another_launch_has_taken_ends_the_loop(launch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    launch._lease.lost = True
    looks(launch, monkeypatch, [], [])
    with pytest.raises(LoopError, match="another one has taken its ledger"):
        launch._watch()
