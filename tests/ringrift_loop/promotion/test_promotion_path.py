"""A/A and A/B over the whole path; `python benchmarks/promotion.py` does it with hundreds of candidates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from promotion_path import template, walk

RUNS = 6


@pytest.fixture(scope="module")
def prepared() -> Iterator[Path]:
    with template() as folder:
        yield folder


def test_a_copy_of_the_champion_is_not_promoted(prepared: Path) -> None:
    """A/A: of equal models 3.4 % pass, of six 0.2."""
    assert _statuses(prepared, 0.0)["promoted"] <= 1


def test_a_model_that_is_25_elo_stronger_is_promoted_more_often_than_not(prepared: Path) -> None:
    """A/B: of such models 74 % pass, of six 4.4."""
    assert _statuses(prepared, 25.0)["promoted"] >= 3


def test_a_much_weaker_model_ends_at_the_regression_gate(prepared: Path) -> None:
    seen = walk(prepared, "square8_2p", -600.0, 1)
    assert (seen.status, seen.champion_games) == ("rejected", 0)


def _statuses(prepared: Path, gain: float) -> Counter[str]:
    statuses = Counter(walk(prepared, "square8_2p", gain, seed).status for seed in range(RUNS))
    assert statuses["promoted"] + statuses["rejected"] == RUNS
    return statuses
