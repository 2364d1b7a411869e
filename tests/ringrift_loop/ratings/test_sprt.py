from __future__ import annotations

import numpy as np
import pytest

from ringrift_loop.errors import ConfigError
from ringrift_loop.ratings.blocks import expected_score
from ringrift_loop.ratings.sprt import Sprt


def _accepted(test: Sprt, gain: float, *, runs: int, blocks: int, seed: int) -> tuple[float, float]:
    """Share of matches accepted, and share undecided after so many blocks, looking every ten blocks."""
    rng = np.random.default_rng(seed)
    p = expected_score(gain)
    verdicts = []
    for _ in range(runs):
        scores = rng.binomial(2, p, blocks) / 2
        verdict = "continue"
        for seen in range(20, blocks + 1, 10):
            verdict = test.verdict(scores[:seen])
            if verdict != "continue":
                break
        verdicts.append(verdict)
    return verdicts.count("accept") / runs, verdicts.count("continue") / runs


def test_the_bounds_are_walds() -> None:
    assert Sprt(alpha=0.05, beta=0.05).bounds == pytest.approx((-2.944, 2.944), abs=1e-3)


def test_the_llr_of_an_even_score_is_negative_and_grows_with_the_blocks() -> None:
    even = np.tile([0.0, 0.5, 0.5, 1.0], 50)
    test = Sprt(0.0, 10.0)
    assert 2 * test.llr(even) == pytest.approx(test.llr(np.tile(even, 2)), rel=0.02)
    assert test.llr(even) < 0 < test.llr(even + 0.05)


def test_the_llr_is_the_one_of_a_normal_mean_worked_out_by_hand() -> None:
    # 98 blocks and the two virtual ones: mean 1/2, variance (24 + 1 + 49/4 ... ) by hand = 0.125.
    scores = np.array([0.0] * 24 + [0.5] * 50 + [1.0] * 24)
    s1 = 1 / (1 + 10 ** (-25 / 400))
    by_hand = 98 * (s1 - 0.5) * (1.0 - 0.5 - s1) / (2 * 0.125)
    assert Sprt(0.0, 25.0).llr(scores) == pytest.approx(by_hand)


def test_the_error_rates_are_kept() -> None:
    test = Sprt(0.0, 60.0)
    accepted, undecided = _accepted(test, 0.0, runs=250, blocks=600, seed=1)
    assert undecided == 0.0
    assert accepted <= 0.05 + 3 * (0.05 * 0.95 / 250) ** 0.5
    accepted, undecided = _accepted(test, 60.0, runs=250, blocks=600, seed=2)
    assert undecided == 0.0
    assert accepted >= 0.95 - 3 * (0.05 * 0.95 / 250) ** 0.5


def test_no_games_decide_nothing() -> None:
    assert Sprt().verdict(np.zeros(0)) == "continue"


@pytest.mark.parametrize("wrong", [{"elo0": 5.0, "elo1": 0.0}, {"alpha": 0.0}, {"beta": 0.7}])
def test_impossible_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="sprt"):
        Sprt(**wrong)
