from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringrift_loop.ratings.blocks import block_scores, evidence_of, gain_of, share_won, win_chance


class Game(NamedTuple):
    block: str
    seats: list[str]
    places: list[int]


@pytest.mark.parametrize(
    ("places", "shares"),
    [
        ([1, 2], [1.0, 0.0]),
        ([1, 1], [0.5, 0.5]),
        ([2, 1, 3], [0.0, 1.0, 0.0]),
        ([1, 3, 1], [0.5, 0.0, 0.5]),
        ([2, 1, 2, 4], [0.0, 1.0, 0.0, 0.0]),
        ([1, 1, 1, 1], [0.25] * 4),
    ],
)
def test_the_win_is_shared_by_those_who_are_first_and_nothing_else_counts(
    places: list[int], shares: list[float]
) -> None:
    assert [share_won(places, seat) for seat in range(len(places))] == shares


def test_blocks_that_lack_a_seat_or_hold_a_stranger_are_left_out() -> None:
    games = [
        Game("one", ["a", "b"], [1, 2]),
        Game("one", ["b", "a"], [1, 2]),
        Game("half", ["a", "b"], [1, 2]),
        Game("other", ["a", "c"], [1, 2]),
        Game("other", ["c", "a"], [1, 2]),
    ]
    assert block_scores(games, "a", "b").tolist() == [0.5]


def _blocks(own: Sequence[str], other: Sequence[str]) -> list[Game]:
    """Two blocks in which `a` sits alone in each seat, with how it ends there."""
    games = []
    for block, endings in (("first", own), ("second", other)):
        for seat, ending in enumerate(endings):
            places = {"won": [1, 2, 3], "second": [2, 1, 3], "last": [3, 1, 2]}[ending]
            games.append(
                Game(block, ["a" if at == seat else "b" for at in range(3)], [places[at - seat] for at in range(3)])
            )
    return games


def test_a_second_place_is_worth_no_more_than_the_last() -> None:
    wins_more = _blocks(["won", "won", "last"], ["last", "won", "last"])
    places_better = _blocks(["won", "second", "second"], ["second", "won", "second"])
    assert block_scores(wins_more, "a", "b").tolist() == [2 / 3, 1 / 3]
    assert block_scores(places_better, "a", "b").tolist() == [1 / 3, 1 / 3]
    assert gain_of(evidence_of(block_scores(wins_more, "a", "b"), 3)).gain > 0.0
    assert gain_of(evidence_of(block_scores(places_better, "a", "b"), 3)).gain == pytest.approx(0.0)


@given(
    seats=st.lists(st.floats(-2.0, 2.0), min_size=2, max_size=4),
    blocks=st.integers(0, 400),
)
def test_equal_players_have_no_gain_whatever_the_seats_are_worth(seats: list[float], blocks: int) -> None:
    worth = np.exp(seats)
    share = float(np.mean(worth / worth.sum()))
    assert share == pytest.approx(1.0 / len(seats))
    assert gain_of(evidence_of(np.full(blocks, share), len(seats))).gain == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("players", [2, 3, 4])
@pytest.mark.parametrize("gain", [-120.0, 0.0, 60.0])
def test_the_gain_is_the_inverse_of_the_chance_to_win(players: int, gain: float) -> None:
    chance = win_chance(gain, players)
    assert chance == pytest.approx(10 ** (gain / 400) / (10 ** (gain / 400) + players - 1))
    scores = np.repeat([chance - 0.1, chance + 0.1], 100_000)
    assert gain_of(evidence_of(scores, players)).gain == pytest.approx(gain, abs=0.02)


@pytest.mark.parametrize("players", [2, 3, 4])
def test_the_stated_error_is_the_spread_of_repeated_matches(players: int) -> None:
    rng = np.random.default_rng(3)
    gains, errors = [], []
    for _ in range(400):
        seen = gain_of(evidence_of(rng.choice([0.0, 0.5, 1.0], 100, p=[0.2, 0.5, 0.3]), players))
        gains.append(seen.gain)
        errors.append(seen.stderr)
    # The relative standard error of a spread from 400 values is 1 / sqrt(800) = 3.5 %.
    assert np.std(gains) == pytest.approx(np.mean(errors), rel=0.12)


def test_a_clean_sweep_has_a_finite_gain_with_an_error() -> None:
    seen = gain_of(evidence_of(np.ones(50), 2))
    assert 400 < seen.gain < 1000
    assert seen.stderr > 100
