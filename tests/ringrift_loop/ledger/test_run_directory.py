"""One ledger, one run directory: the files that its rows name lie in that one."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from ringrift_loop.errors import ConfigError
from ringrift_loop.layout import RunDirectory
from ringrift_loop.ledger import run_directory
from ringrift_loop.ledger.database import Ledger
from ringrift_loop.ledger.migrate import migrate
from ringrift_loop.ledger.run_directory import check, claim
from ringrift_loop.loop import Loop
from ringrift_loop.machine.files import write_whole


def test_a_second_run_directory_on_a_ledger_is_refused_and_told_of_the_first(ledger: Ledger, tmp_path: Path) -> None:
    first, second = RunDirectory(tmp_path / "first"), RunDirectory(tmp_path / "second")
    check(ledger, second)  # nothing is known yet
    claim(ledger, first, at=1.0)
    claim(ledger, first, at=2.0)
    with pytest.raises(ConfigError, match=rf"belongs to the run directory {first.root}, .*, not in {second.root}"):
        claim(ledger, second, at=3.0)


def test_two_that_begin_a_run_at_the_same_time_name_it_once(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = RunDirectory(tmp_path / "run")
    others: list[Future[None]] = []

    def write_while_another_one_begins(path: Path, data: bytes) -> None:
        monkeypatch.setattr(run_directory, "write_whole", write_whole)
        others.append(pool.submit(claim, ledger, directory, at=1.0))
        wait(others, timeout=0.5)
        write_whole(path, data)

    monkeypatch.setattr(run_directory, "write_whole", write_while_another_one_begins)
    with ThreadPoolExecutor(1) as pool:
        claim(ledger, directory, at=1.0)
        others[0].result()
    check(ledger, directory)


def test_a_run_directory_that_was_moved_keeps_its_ledger_and_a_lost_one_has_an_heir(
    ledger: Ledger, tmp_path: Path
) -> None:
    first, moved, heir = (RunDirectory(tmp_path / name) for name in ("first", "moved", "heir"))
    claim(ledger, first, at=1.0)
    first.root.rename(moved.root)
    claim(ledger, moved, at=2.0)
    heir.root.mkdir()
    heir.identity.write_text("x")
    with pytest.raises(ConfigError, match="if that folder is lost, write ") as refused:
        check(ledger, heir)
    heir.identity.write_text(str(refused.value).split("write ")[1].split()[0])
    check(ledger, heir)


def test_a_stage_with_the_files_of_another_loop_is_refused(tmp_path: Path) -> None:
    ours, others = RunDirectory(tmp_path / "ours"), RunDirectory(tmp_path / "others")
    for directory in (ours, others):
        migrate(directory.ledger_url)
        claim(Ledger.open(directory.ledger_url), directory, at=1.0)
    Loop.open(directory=ours)
    with pytest.raises(ConfigError, match="belongs to the run directory"):
        Loop.open(directory=others, ledger_url=ours.ledger_url)
