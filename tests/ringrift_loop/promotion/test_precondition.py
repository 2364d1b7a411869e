from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest
from sqlalchemy import insert

from ringrift_loop.errors import DataError, GateError
from ringrift_loop.ledger import events, gates, models, promotions
from ringrift_loop.ledger.schema import training_runs
from ringrift_loop.loop import Loop
from ringrift_loop.promotion.gate_tests import TEST_NAMES
from ringrift_loop.promotion.precondition import NAME
from ringrift_loop.promotion.promote import promote
from ringrift_loop.promotion.regression import conclude
from ringrift_loop.promotion.report import TestResult
from ringrift_loop.ratings.holdout import Gap, Holdout

VARIANT = "square8_2p"
DIGEST = "a" * 64
SIX = [TestResult(name, True, 1.0, 0.5, "share", "as it should be", 2.0) for name in TEST_NAMES]
SOUND = Gap(train=0.30, holdout=0.33, guess=0.69, error=0.02)
MEMORISED = Gap(train=0.05, holdout=0.70, guess=0.69, error=0.05)


def _trained(loop: Loop, report: dict[str, Any] | None) -> str:
    run = {"id": "run-1", "variant": VARIANT, "state": "succeeded", "games": 300, "started_at": 1.0, "report": report}
    with loop.ledger.begin() as conn:
        conn.execute(insert(training_runs).values(run))
        models.add(conn, DIGEST, VARIANT, parent_digest=None, training_run="run-1", manifest={}, at=2.0)
    return DIGEST


def _measured(policy: Gap, value: Gap, games: int = 400) -> dict[str, Any]:
    return {"holdout": asdict(Holdout(3600, games, policy, value))}


def test_a_candidate_that_has_memorised_its_games_is_rejected_although_it_passes_the_six_tests(
    open_loop: Callable[..., Loop],
) -> None:
    loop = open_loop()
    digest = _trained(loop, _measured(SOUND, MEMORISED))
    report = conclude(loop, digest, VARIANT, SIX, candidate=True)
    assert (report.complete, report.verdict) == (True, "failed")
    assert report.reason.startswith(
        f"{NAME}: it has memorised its training games: the value loss on the holdout lies above that on them by more "
        "than 25% of what an even guess loses"
    )
    with pytest.raises(GateError, match=f"blocks aaaaaaaaaaaa .*{NAME}"):
        report.require()
    with loop.ledger.read() as conn:
        row = gates.latest(conn, model_digest=digest, gate=gates.REGRESSION)
        assert [entry.status for entry in promotions.of_model(conn, digest)] == ["rejected"]
        assert NAME in events.latest(conn, kind="gate", limit=1)[0].message
    assert row is not None and not row.passed
    assert promote(loop, digest).status == "rejected"


def test_a_sound_candidate_passes_and_its_figures_are_a_line_of_the_report(open_loop: Callable[..., Loop]) -> None:
    loop = open_loop()
    report = conclude(loop, _trained(loop, _measured(SOUND, SOUND)), VARIANT, SIX, candidate=True)
    assert report.passed
    assert [test.name for test in report.tests] == [*TEST_NAMES, NAME]
    figure = report.tests[-1].figure
    assert figure == pytest.approx(0.03 / 0.69)
    # Judged again it is the same verdict, which is not recorded twice.
    conclude(loop, DIGEST, VARIANT, SIX, candidate=True)
    with loop.ledger.read() as conn:
        assert len(events.latest(conn, kind="gate", limit=9)) == 1


def test_a_holdout_of_a_few_games_decides_nothing(open_loop: Callable[..., Loop]) -> None:
    loop = open_loop()
    report = conclude(loop, _trained(loop, _measured(SOUND, MEMORISED, games=6)), VARIANT, SIX)
    assert report.passed
    assert report.tests[-1].detail.startswith("not judged: 20 games of the holdout are needed")


@pytest.mark.parametrize("report", [None, {"steps": 100}, {"holdout": None}])
def test_a_model_whose_training_was_never_measured_is_judged_by_the_six(
    open_loop: Callable[..., Loop], report: dict[str, Any] | None
) -> None:
    loop = open_loop()
    assert [test.name for test in conclude(loop, _trained(loop, report), VARIANT, SIX).tests] == list(TEST_NAMES)


def test_a_damaged_report_is_no_pass(open_loop: Callable[..., Loop]) -> None:
    loop = open_loop()
    digest = _trained(loop, {"holdout": {"games": "many"}})
    with pytest.raises(DataError, match="the holdout of training run run-1"):
        conclude(loop, digest, VARIANT, SIX)
