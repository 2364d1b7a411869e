"""Bars of progress: on a terminal, and not a letter elsewhere."""

from __future__ import annotations

import logging
import re
import sys
from pathlib import Path

import pytest
from msgspec import structs

from latent import LatentArena
from pages import prepared
from ringrift_loop.cli import main
from ringrift_loop.cli.learning.experiment import standing
from ringrift_loop.cli.progress import CountedArena, Standing, counted, followed, progress
from ringrift_loop.errors import DataError
from ringrift_loop.experiments.record import Budget
from ringrift_loop.tournament.blocks import paired_block
from terminal import terminal_as_stderr


def test_a_terminal_shows_what_is_done_of_how_much() -> None:
    with terminal_as_stderr() as terminal:
        with progress() as report:
            report(Standing("Games [red]of[/red] it", 1, 4))
            report(Standing("Games [red]of[/red] it", 3, 4))
        said = terminal.read_until("\x1b[?25h")  # the cursor is back
    assert "Games [red]of[/red] it" in said
    assert "3/4" in said


def test_a_list_is_gone_through_under_a_bar_of_its_own_or_none(capsys: pytest.CaptureFixture[str]) -> None:
    with terminal_as_stderr() as terminal:
        for item in counted("abc", "Letters"):
            if item == "b":
                terminal.read_until("1/3")
        said = terminal.read_until("\x1b[?25h")
    assert "Letters" in said
    assert "3/3" in said
    assert list(counted("abc", "Letters")) == ["a", "b", "c"]
    assert capsys.readouterr() == ("", "")


def test_what_is_logged_meanwhile_has_lines_of_its_own() -> None:
    with terminal_as_stderr() as terminal:
        handler = logging.StreamHandler(sys.stderr)
        logging.getLogger().addHandler(handler)
        try:
            with progress() as report:
                report(Standing("Games", 1, 4))
                logging.getLogger("here").warning("a line [bold]as it is[/bold]")
            logging.getLogger("here").warning("after it")
        finally:
            logging.getLogger().removeHandler(handler)
        lines = terminal.read_until("after it").replace("\x1b[2K", "").splitlines()
        assert handler.stream is sys.stderr
    assert [line.strip() for line in lines if "a line" in line] == ["a line [bold]as it is[/bold]"]


def test_work_that_tells_nothing_shows_nothing() -> None:
    with terminal_as_stderr() as terminal:
        with progress():
            pass
        sys.stderr.write("end\n")
        sys.stderr.flush()
        assert terminal.read_until("end").strip() == "end"


def test_what_the_work_writes_down_is_looked_at_until_its_end() -> None:
    found: list[Standing] = []

    def look() -> Standing:
        if not found:
            raise DataError("nothing there yet")
        return found[-1]

    with terminal_as_stderr() as terminal:
        with followed(look):
            found.append(Standing("Steps", 40, 100))
            terminal.read_until(" 40/100")
            found.append(Standing("Steps", 100, 100))
        assert "100/100" in terminal.read_until("\x1b[?25h")


def test_without_a_terminal_nobody_looks_and_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    def look() -> Standing:
        raise AssertionError("nobody looks at it")

    with followed(look), progress() as report:
        report(Standing("Games", 1, 4))
    assert capsys.readouterr() == ("", "")


def test_engine_compile_shows_its_bar_on_a_terminal_and_nothing_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["engine", "compile"]) == 0
    assert capsys.readouterr().out == ""
    assert main(["engine", "compile"]) == 0
    assert capsys.readouterr() == ("", "")
    with terminal_as_stderr() as terminal:
        assert main(["engine", "compile"]) == 0
        assert "2/2" in terminal.read_until("\x1b[?25h")
    assert capsys.readouterr() == ("", "")


def test_an_arena_counts_the_games_that_it_hands_on() -> None:
    said: list[tuple[float, float]] = []
    players = LatentArena({"a": 0.0, "b": 0.0}, seed=1)
    arena = CountedArena(players, "Gate", lambda standing: said.append((standing.done, standing.total)))
    plans = [paired_block("square8_2p", "gate", "a", "b", 2, seed) for seed in range(3)]
    seats = [row.seats for part in (plans[:2], plans[2:]) for rows in arena.play(part) for row in rows]
    assert seats == 3 * [["a", "b"], ["b", "a"]]
    assert said == [(0, 4), (2, 4), (4, 4), (4, 6), (6, 6)]


def test_an_experiment_tells_its_budgets_and_then_its_matches() -> None:
    whole = prepared.experiment()
    first, second, *_ = whole.runs
    under_way = structs.replace(second, finished=False, core_seconds=150.0)
    began = structs.replace(whole, runs=(first, under_way), matches=(), verdict=None)
    assert standing(began) == ("Runs, core-seconds", 750.0, 2400.0)
    by_games = structs.replace(began, budget=Budget(kind="games", amount=1000))
    assert standing(by_games) == ("Runs, games", 1800, 4000)
    assert standing(whole) == ("Matches, games at most", 360, 800)


def test_the_library_below_the_command_line_knows_nothing_of_rich() -> None:
    root = Path(__file__).parents[3] / "include" / "ringrift_loop"
    asking = re.compile(r"^\s*(from|import) rich\b", re.MULTILINE)
    found = {str(path.relative_to(root)) for path in root.rglob("*.py") if asking.search(path.read_text("utf-8"))}
    assert found == {"cli/progress.py", "cli/screen.py", "cli/watch.py"}
