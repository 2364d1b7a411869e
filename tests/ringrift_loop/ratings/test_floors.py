from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringrift_loop.config.schema import Regression
from ringrift_loop.ratings.floors import FloorRule, error_rates, passes

LIMITS = Regression()
SHIPPED = [
    FloorRule(LIMITS.games, players, floors[players])
    for floors in (LIMITS.min_win_rate_random, LIMITS.min_win_rate_heuristic)
    for players in (2, 3, 4)
]


def plain(rule: FloorRule, share: float) -> float:
    """How often the test that plays all games passes a model with this share of wins."""
    games = rule.looks[-1]
    wins = [k for k in range(games + 1) if k / games > rule.floor]
    return sum(comb(games, k) * share**k * (1 - share) ** (games - k) for k in wins)


@pytest.mark.parametrize("rule", SHIPPED, ids=str)
def test_no_strength_has_other_error_rates_than_with_all_games(rule: FloorRule) -> None:
    for share in np.linspace(0.0, 1.0, 101).tolist():
        assert passes(rule, share)[0] == pytest.approx(plain(rule, share), abs=0.005)


@pytest.mark.parametrize("percent", range(1, 100))
def test_a_share_that_must_be_exceeded_is_not_reached_by_that_share(percent: int) -> None:
    rule = FloorRule(100, 2, percent / 100)
    assert rule.need == percent + 1


@pytest.mark.parametrize("rule", SHIPPED, ids=str)
def test_clear_cases_cost_less_than_half_of_the_games(rule: FloorRule) -> None:
    worse, better = rule.floor * 0.6, 1.0 - (1.0 - rule.floor) * 0.1
    for share in (worse, better):
        assert passes(rule, share)[1] < rule.games / 2


def test_the_exact_rates_are_those_of_played_games() -> None:
    rule = FloorRule(100, 2, 0.9)
    rng = np.random.default_rng(5)
    for share in (0.9, 0.95):
        wins = (rng.random((20_000, 100)) < share).cumsum(axis=1)
        verdicts = [
            next(
                (verdict, games)
                for games in rule.looks
                if (verdict := rule.judge(games, int(row[games - 1]))) != "continue"
            )
            for row in wins
        ]
        rate, games = passes(rule, share)
        assert np.mean([verdict == "pass" for verdict, _ in verdicts]) == pytest.approx(rate, abs=0.012)
        assert np.mean([number for _, number in verdicts]) == pytest.approx(games, rel=0.02)


def test_openings_that_decide_games_do_not_change_how_often_a_model_is_misjudged() -> None:
    """Games of a block share an opening: the verdict still is that of all games, for whatever comes in blocks."""
    rule = FloorRule(100, 2, 0.55)
    rng = np.random.default_rng(6)
    runs = 20_000
    chance = np.clip(0.55 + 0.4 * (rng.random((runs, 50, 1)) - 0.5), 0.0, 1.0)
    wins = (rng.random((runs, 50, 2)) < chance).reshape(runs, 100).cumsum(axis=1)
    early = 0
    for row in wins.tolist():
        verdicts = (rule.judge(games, row[games - 1]) for games in rule.looks)
        early += int(next(each for each in verdicts if each != "continue") == "pass") - int(row[-1] >= rule.need)
    assert abs(early / runs) < 0.01


@given(
    games=st.integers(2, 120),
    players=st.integers(2, 4),
    floor=st.floats(0.0, 0.999),
    data=st.data(),
)
def test_every_match_ends_and_the_last_look_is_the_plain_test(
    games: int, players: int, floor: float, data: st.DataObject
) -> None:
    rule = FloorRule(games, players, floor)
    assert rule.looks[-1] >= games and all(look % players == 0 for look in rule.looks)
    wins = data.draw(st.integers(0, rule.looks[-1]))
    expected = "pass" if wins / rule.looks[-1] > floor else "fail"
    assert rule.judge(rule.looks[-1], wins) == expected
    for look in rule.looks:
        order = ("fail", "continue", "pass")
        seen = [order.index(rule.judge(look, k)) for k in range(look + 1)]
        assert seen == sorted(seen)  # more wins are never worse


def test_the_rates_are_told_in_a_sentence() -> None:
    assert error_rates(FloorRule(100, 2, 0.55)).sentence() == (
        "a model that wins just the floor passes 46.2% of the time (after all 100 games 46.1%), one that wins 78% "
        "passes 100.0% (100.0%) after 32 games on average"
    )


def test_a_number_of_games_that_is_no_look_is_refused() -> None:
    with pytest.raises(ValueError, match=r"looks after \(20, 40, 60, 80, 100\) games, got 3 wins of 10"):
        FloorRule(100, 2, 0.55).judge(10, 3)
