from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from pages.prepared import experiment
from ringrift_loop.experiments.record import Experiment, Verdict, write_experiment
from ringrift_loop.experiments.shown import read_all


def kept(place: Path, name: str, **changes: object) -> Experiment:
    """An experiment in a folder of this name."""
    record = msgspec.structs.replace(experiment(), name=name, **changes)
    (place / name).mkdir(parents=True)
    write_experiment(place / name, record)
    return record


def test_arms_costs_and_curves_are_those_of_the_record(tmp_path: Path) -> None:
    record = kept(tmp_path, "moves")
    (shown,) = read_all(tmp_path, None).experiments
    assert (shown.name, shown.state, shown.shipped) == ("moves", "finished", False)
    assert [arm.core_hours for arm in shown.arms] == [pytest.approx(1200 / 3600)] * 2
    assert shown.core_hours == pytest.approx(2600 / 3600)
    assert shown.verdict is not None
    assert (shown.verdict.winner, shown.verdict.elo) == ("4 moves", 139.0)
    first, last = shown.runs[0].points[0], shown.runs[0].points[-1]
    assert (first.elo, first.interval) == (None, None)
    assert last.elo == record.runs[0].points[-1].elo
    assert last.interval == pytest.approx(1.96 * 30.0, rel=1e-4)
    assert shown.command.startswith("ringrift-loop experiment --name moves --variant square8_2p")


def test_an_arm_that_wins_by_the_number_zero_is_named_and_no_winner_is_none(tmp_path: Path) -> None:
    verdict = msgspec.structs.replace(experiment().verdict or Verdict, winner=None, decided=False)
    kept(tmp_path, "moves", verdict=verdict)
    (shown,) = read_all(tmp_path, None).experiments
    assert shown.verdict is not None
    assert (shown.verdict.winner, shown.verdict.decided) == (None, False)


def test_the_newest_comes_first_wherever_it_was_made(tmp_path: Path) -> None:
    kept(tmp_path / "own", "old", updated_at=1.0)
    kept(tmp_path / "own", "new", updated_at=3.0, verdict=None, state="running")
    kept(tmp_path / "shipped", "between", updated_at=2.0)
    shown = read_all(tmp_path / "own", tmp_path / "shipped").experiments
    assert [(one.name, one.shipped) for one in shown] == [("new", False), ("between", True), ("old", False)]
    assert shown[0].verdict is None


def test_a_record_that_cannot_be_read_hides_no_other(tmp_path: Path) -> None:
    kept(tmp_path, "moves")
    for name, text in (("torn", '{"v": 1, '), ("later", '{"v": 9}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "experiment.json").write_text(text)
    told = read_all(tmp_path, None)
    assert [one.name for one in told.experiments] == ["moves"]
    assert len(told.problems) == 2
    assert "later" in told.problems[0]
    assert "torn" in told.problems[1]


def test_without_any_there_is_nothing(tmp_path: Path) -> None:
    told = read_all(tmp_path / "none", tmp_path / "neither")
    assert (told.experiments, told.problems) == ([], [])
