from __future__ import annotations

from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringrift_loop.ratings.blocks import evidence_of
from ringrift_loop.ratings.looks import block_distribution
from ringrift_loop.ratings.sprt import Sprt, simulate, watch, watch_rates

RULE = Sprt()


def test_the_limits_are_walds() -> None:
    assert RULE.limits == pytest.approx((-log(19), log(19)))


def test_the_ratio_is_that_of_two_normal_densities() -> None:
    scores = np.array([0.5, 0.0, 1.0, 0.5, 0.5, 0.0] * 20)
    seen = evidence_of(scores, 2)
    at = [
        -((seen.mean - share) ** 2) / (2 * seen.variance / seen.blocks) for share in (1 / (1 + 10 ** (25 / 400)), 0.5)
    ]
    assert RULE.llr(seen) == pytest.approx(at[1] - at[0])


@pytest.mark.parametrize("players", [2, 3, 4])
def test_equal_champions_stay_and_those_25_elo_weaker_go(players: int) -> None:
    """A/A and A/B of the watch: the error rates that were asked for, 5 % each, and what the limit of games costs."""
    rates = watch_rates(RULE, players)
    assert rates.equal <= 0.05
    assert rates.worse >= 0.945
    assert "an equal champion is taken back" in rates.sentence()
    assert simulate(RULE, players, 25.0, runs=5000)[0] < 0.002
    assert simulate(RULE, players, -100.0, runs=5000)[0] > 0.999


def test_each_kind_of_error_has_its_own_share() -> None:
    rule = Sprt(elo0=-100.0, alpha=0.01, beta=0.2)
    assert 1.0 - simulate(rule, 2, rule.elo0, runs=5000)[0] <= 0.015
    assert 0.05 < simulate(rule, 2, rule.elo1, runs=5000)[0] <= 0.2


def test_what_is_simulated_is_what_the_watch_says_of_played_blocks() -> None:
    values, odds = block_distribution(2, -25.0)
    rng = np.random.default_rng(3)
    answers = [watch(RULE, rng.choice(values, p=odds, size=2000).tolist(), 2).answer for _ in range(400)]
    assert answers.count("worse") / 400 == pytest.approx(watch_rates(RULE, 2).worse, abs=0.05)


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), max_size=400), st.integers(0, 400))
def test_more_blocks_never_change_an_answer(scores: list[float], cut: int) -> None:
    early, late = watch(RULE, scores[:cut], 2), watch(RULE, scores, 2)
    assert early.answer == "open" or early == late
    assert late.blocks <= len(scores)


def test_a_champion_that_loses_every_block_goes_after_few_and_one_without_an_answer_stays() -> None:
    assert watch(RULE, [0.0] * 60, 2).answer == "worse"
    assert watch(RULE, [1.0] * 60, 2).answer == "sound"
    assert watch(RULE, [0.0] * 9, 2) == ("open", 0.0, 0)
    brief = Sprt(most_blocks=20)
    assert watch(brief, [0.5, 0.4] * 10, 2).answer == "sound"
