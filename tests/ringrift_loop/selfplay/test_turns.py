"""Turns: no variant is ever a whole turn ahead of its weight's share of the time, or behind it."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringrift_loop.selfplay.turns import Turns

TURN_S = 10.0
WEIGHTS = st.lists(st.floats(0.05, 3.0), min_size=1, max_size=12)


def named(weights: list[float]) -> dict[str, float]:
    return {f"v{number}": weight for number, weight in enumerate(weights)}


def play(turns: Turns, steps: list[float]) -> Counter[str]:
    """Compute for so many seconds at a time; returns the seconds of each variant."""
    had: Counter[str] = Counter()
    for seconds in steps:
        at_play = turns.choose()
        assert at_play is not None
        turns.played(seconds)
        had[at_play] += seconds  # type: ignore[assignment]
    return had


@given(WEIGHTS, st.integers(1, 60), st.integers(0, 20))
def test_after_any_number_of_turns_each_has_its_share_to_within_one_turn(
    weights: list[float], number: int, first: int
) -> None:
    shares = {name: weight / sum(weights) for name, weight in named(weights).items()}
    turns = Turns(TURN_S, first=first)
    turns.share_by(named(weights))
    had: Counter[str] = Counter()
    for turn in range(1, number + 1):
        had += play(turns, [TURN_S])
        for name, share in shares.items():
            assert abs(had[name] - share * turn * TURN_S) <= TURN_S + 1e-6


@given(WEIGHTS, st.lists(st.floats(0.01, 3.0), min_size=200, max_size=200))
def test_turns_that_end_between_rounds_are_made_up_for(weights: list[float], rounds: list[float]) -> None:
    turns = Turns(TURN_S)
    turns.share_by(named(weights))
    had = play(turns, rounds)
    for name, weight in named(weights).items():
        # A turn goes on to the end of its round: the last turn and the longest round, 3 s, may be too many.
        assert abs(had[name] - weight / sum(weights) * sum(rounds)) <= 2 * (TURN_S + 3.0)


@given(WEIGHTS, WEIGHTS, st.integers(1, 40))
def test_new_weights_hold_at_once_and_nobody_catches_up(before: list[float], after: list[float], number: int) -> None:
    turns = Turns(TURN_S)
    turns.share_by(named(before))
    play(turns, [TURN_S] * number)
    turns.share_by(named(after))
    had = play(turns, [TURN_S] * number)
    for name, weight in named(after).items():
        assert abs(had[name] - weight / sum(after) * number * TURN_S) <= 2 * TURN_S + 1e-6


def test_a_turn_is_not_cut_by_new_weights_unless_its_variant_leaves() -> None:
    turns = Turns(TURN_S)
    turns.share_by({"a": 2.0, "b": 1.0})
    assert turns.choose() == "a"
    turns.played(1.0)
    turns.share_by({"a": 1.0, "b": 9.0})
    assert turns.choose() == "a"
    turns.share_by({"b": 9.0})
    assert turns.choose() == "b"
    turns.share_by({})
    assert turns.choose() is None


@pytest.mark.parametrize(("first", "order"), [(0, "abc"), (1, "bca"), (2, "cab"), (3, "abc")])
def test_workers_of_one_host_begin_with_different_variants(first: int, order: str) -> None:
    turns = Turns(TURN_S, first=first)
    turns.share_by(dict.fromkeys("abc", 1.0))
    played = []
    for _ in range(3):
        played.append(turns.choose())
        turns.played(TURN_S)
    assert "".join(map(str, played)) == order


def test_one_variant_is_played_all_the_time() -> None:
    turns = Turns(TURN_S)
    turns.share_by({"a": 0.3})
    assert play(turns, [1.0] * 100) == {"a": 100.0}
