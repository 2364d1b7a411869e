"""Two sequential tests side by side: what they say, and how often they are wrong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringrift_loop.ratings.blocks import Evidence, evidence_of, win_chance
from ringrift_loop.ratings.two_sided import TwoSidedSprt

SPRT = TwoSidedSprt()
RUNS, LOOK, MOST = 400, 20, 4000


@given(mean=st.floats(0.05, 0.95), blocks=st.floats(10, 5000), variance=st.floats(0.01, 0.25))
def test_who_is_called_first_does_not_matter(mean: float, blocks: float, variance: float) -> None:
    ours = SPRT.judge(Evidence(blocks, mean, variance, 2))
    theirs = SPRT.judge(Evidence(blocks, 1.0 - mean, variance, 2))
    swapped = {"first": "second", "second": "first"}
    assert (ours.first, ours.second) == pytest.approx((theirs.second, theirs.first))
    assert theirs.verdict == swapped.get(ours.verdict, ours.verdict)
    assert not (ours.first >= SPRT.bound and ours.second >= SPRT.bound)


def shares(elo: float, seed: int, players: int) -> dict[str, float]:
    """How often each verdict comes of blocks of independent games, looked at after every twenty."""
    rng = np.random.default_rng(seed)
    verdicts = dict.fromkeys(("first", "second", "neither", "continue"), 0.0)
    for _ in range(RUNS):
        scores = rng.binomial(players, win_chance(elo, players), MOST) / players
        verdict = "continue"
        for end in range(LOOK, MOST + 1, LOOK):
            verdict = SPRT.judge(evidence_of(scores[:end], players)).verdict
            if verdict != "continue":
                break
        verdicts[verdict] += 1.0 / RUNS
    return verdicts


@pytest.mark.parametrize("players", [2, 4])
def test_equal_players_are_seldom_called_different(players: int) -> None:
    found = shares(0.0, seed=1, players=players)
    # 5 % for either side is promised; two standard errors of 400 runs are 3 %.
    assert found["first"] + found["second"] <= 0.10 + 0.03
    assert found["neither"] >= 0.80


@pytest.mark.parametrize("players", [2, 4])
def test_an_advantage_that_is_looked_for_is_found(players: int) -> None:
    found = shares(SPRT.test.elo1, seed=2, players=players)
    assert found["first"] >= 0.90
    assert found["second"] <= 0.02
    found = shares(-2 * SPRT.test.elo1, seed=3, players=players)
    assert found["second"] >= 0.98
