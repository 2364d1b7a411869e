from __future__ import annotations

from itertools import permutations
from typing import NamedTuple

import numpy as np
import pytest

from ringrift_loop.ratings.blocks import block_scores, evidence_of, expected_score, gain_of, share_beaten


class Game(NamedTuple):
    block: str
    seats: list[str]
    places: list[int]


def test_a_shared_place_counts_half() -> None:
    assert share_beaten([2, 1, 2, 4], 0) == pytest.approx((0 + 0.5 + 1) / 3)
    assert share_beaten([1, 2], 0) == 1.0


def test_blocks_that_lack_a_seat_or_hold_a_stranger_are_left_out() -> None:
    games = [
        Game("one", ["a", "b"], [1, 2]),
        Game("one", ["b", "a"], [1, 2]),
        Game("half", ["a", "b"], [1, 2]),
        Game("other", ["a", "c"], [1, 2]),
        Game("other", ["c", "a"], [1, 2]),
    ]
    assert block_scores(games, "a", "b").tolist() == [0.5]


def test_equal_players_score_one_half_whatever_the_seats_are_worth() -> None:
    seats = np.exp([0.8, -0.3, 0.1])
    expected = []
    for own in range(3):
        score = 0.0
        for order in permutations(range(3)):
            left, chance = seats.sum(), 1.0
            for seat in order:
                chance *= seats[seat] / left
                left -= seats[seat]
            places = [order.index(seat) + 1 for seat in range(3)]
            score += chance * share_beaten(places, own)
        expected.append(score)
    assert np.mean(expected) == pytest.approx(0.5)
    assert max(expected) > 0.6


def test_the_gain_is_the_inverse_of_the_expected_score() -> None:
    score = expected_score(60.0)
    scores = np.repeat([score - 0.1, score + 0.1], 100_000)
    assert gain_of(evidence_of(scores)).gain == pytest.approx(60.0, abs=0.01)


def test_the_stated_error_is_the_spread_of_repeated_matches() -> None:
    rng = np.random.default_rng(3)
    gains, errors = [], []
    for _ in range(400):
        seen = gain_of(evidence_of(rng.choice([0.0, 0.5, 1.0], 100, p=[0.2, 0.5, 0.3])))
        gains.append(seen.gain)
        errors.append(seen.stderr)
    # The relative standard error of a spread from 400 values is 1 / sqrt(800) = 3.5 %.
    assert np.std(gains) == pytest.approx(np.mean(errors), rel=0.12)


def test_a_clean_sweep_has_a_finite_gain_with_an_error() -> None:
    seen = gain_of(evidence_of(np.ones(50)))
    assert 400 < seen.gain < 1000
    assert seen.stderr > 100
