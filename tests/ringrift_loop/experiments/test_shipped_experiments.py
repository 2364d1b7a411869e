"""Every experiment in docs/experiments: its record, its page and its games say the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from ringrift_loop.engine.rules import variant as variant_of
from ringrift_loop.experiments.experiment import verdict_of
from ringrift_loop.experiments.match_file import MATCHES, read_matches
from ringrift_loop.experiments.page import PAGE, page
from ringrift_loop.experiments.record import read_experiment
from ringrift_loop.ratings.blocks import block_scores
from ringrift_loop.ratings.two_sided import TwoSidedSprt

FOLDER = Path(__file__).parents[3] / "docs" / "experiments"
NAMES = sorted(path.name for path in FOLDER.iterdir() if path.is_dir())


def test_there_are_some() -> None:
    assert NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_experiment_can_be_computed_again_from_its_games(name: str) -> None:
    found = read_experiment(FOLDER / name)
    assert (found.name, found.state) == (name, "finished")
    assert found.verdict is not None
    assert (FOLDER / name / PAGE).read_text() == page(found)
    rows = read_matches(FOLDER / name / MATCHES)
    assert len(rows) == found.verdict.games == sum(match.games for match in found.matches)
    scores = []
    for seed in found.seeds:
        models = {run.arm: str(run.model) for run in found.runs if run.seed == seed}
        seats = {seat.partition("|")[0]: seat for row in rows for seat in row.seats}
        scores.append(block_scores(rows, seats[models[0]], seats[models[1]]))
    names = (found.arms[0].name, found.arms[1].name)
    again = verdict_of(scores, TwoSidedSprt(), variant_of(found.variant).players, names=names)
    assert again == found.verdict
