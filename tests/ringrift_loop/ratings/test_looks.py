from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringrift_loop.ratings.blocks import evidence_of, gain_of
from ringrift_loop.ratings.looks import LooksRule, error_rates, simulate

PLAIN = LooksRule(looks=(100, 200, 400, 800, 1600), futility=0.0)


def test_an_equal_model_passes_4_percent_of_the_time_and_a_25_elo_model_83_percent() -> None:
    rates = error_rates(PLAIN, 2)
    # The figures of the design, 4.2 % and 83 %; the simulation's standard errors are 0.1 and 0.2 points.
    assert rates.false_promotion == pytest.approx(0.042, abs=0.005)
    assert rates.power == pytest.approx(0.83, abs=0.02)
    assert rates.games_reference == pytest.approx(1083, rel=0.05)


@pytest.mark.parametrize("players", [2, 3, 4])
def test_the_rule_as_configured_keeps_false_promotions_below_5_percent(players: int) -> None:
    rates = error_rates(LooksRule(elo_threshold=20.0, min_games=50), players)
    assert rates.false_promotion < 0.05
    assert rates.games_equal < 500
    accepted, _ = simulate(LooksRule(elo_threshold=20.0, min_games=50), players, 60.0)
    assert accepted > 0.9


def test_stopping_a_hopeless_match_saves_games_and_hardly_any_power() -> None:
    with_stop, without = error_rates(replace(PLAIN, futility=0.01), 2), error_rates(PLAIN, 2)
    assert with_stop.games_equal < 0.75 * without.games_equal
    assert with_stop.power > without.power - 0.02


def test_a_60_elo_model_passes() -> None:
    accepted, games = simulate(LooksRule(elo_threshold=20.0), 2, 60.0, runs=5000)
    assert accepted > 0.95
    assert games < 500


def test_the_gate_says_its_own_error_rates() -> None:
    assert "an equal model passes 4." in error_rates(PLAIN, 2).sentence()


@given(
    wins=st.integers(0, 50),
    draws=st.integers(0, 50),
    losses=st.integers(0, 50),
    look=st.integers(0, 4),
    threshold=st.floats(0, 100),
    least=st.integers(0, 2000),
)
def test_nothing_is_accepted_below_the_threshold_or_the_least_games(
    wins: int, draws: int, losses: int, look: int, threshold: float, least: int
) -> None:
    scores = np.array([1.0] * wins + [0.5] * draws + [0.0] * losses)
    rule = replace(PLAIN, futility=0.1, elo_threshold=threshold, min_games=least)
    games = 2 * len(scores)
    judged = rule.judge(look, games, evidence_of(scores, 2))
    if judged.verdict == "accept":
        assert gain_of(evidence_of(scores, 2)).gain >= threshold
        assert games >= least
    if look == 4:
        assert judged.verdict != "continue"


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=1, max_size=60))
def test_a_higher_confidence_never_accepts_what_a_lower_one_refuses(scores: list[float]) -> None:
    evidence = evidence_of(np.array(scores), 2)
    strict = replace(PLAIN, confidence=0.99).judge(0, 100, evidence)
    lenient = replace(PLAIN, confidence=0.95).judge(0, 100, evidence)
    assert not (strict.verdict == "accept" and lenient.verdict != "accept")


def test_a_clear_winner_is_accepted_as_soon_as_it_has_the_least_games() -> None:
    clear = evidence_of(np.array([1.0] * 40 + [0.5] * 10), 2)
    assert LooksRule(min_games=100).judge(0, 100, clear).verdict == "accept"
    assert LooksRule(min_games=101).judge(0, 100, clear).verdict == "continue"
    assert LooksRule(min_games=101).judge(3, 100, clear).verdict == "reject"


@pytest.mark.parametrize("players", [2, 3, 4])
@pytest.mark.parametrize("lost", [0, 1, 2, 5])
def test_who_wins_next_to_all_games_is_accepted_at_the_first_look(lost: int, players: int) -> None:
    blocks = LooksRule().blocks(0, players)
    scores = np.array([1.0] * (blocks - lost) + [1.0 - 1.0 / players] * lost)
    assert LooksRule(elo_threshold=20.0).judge(0, blocks * players, evidence_of(scores, players)).verdict == "accept"


def test_a_gain_that_may_be_luck_is_not_accepted_whatever_its_size() -> None:
    lucky = evidence_of(np.array([1.0] * 14 + [0.5] * 26 + [0.0] * 10), 2)
    assert gain_of(lucky).gain > 20.0
    assert [LooksRule(elo_threshold=20.0).judge(look, 100, lucky).verdict for look in (0, 3)] == ["continue", "reject"]


def test_looks_are_rounded_up_to_whole_blocks() -> None:
    assert [PLAIN.blocks(look, 3) for look in range(2)] == [34, 67]
