from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ringrift_loop.resources.config_weights import LEAST, MOST, combined, config_weights


def test_few_games_and_a_slow_stream_get_more() -> None:
    weights = config_weights({"a": 100, "b": 1000, "c": 1000}, {"a": 500, "b": 500, "c": 0})
    assert weights["a"] == MOST
    assert weights["b"] < 1.0 < weights["a"]
    assert weights["c"] > weights["b"]


@given(st.lists(st.integers(0, 10**7), min_size=2, max_size=12), st.integers(0, 11))
def test_one_game_more_never_makes_a_jump(games: list[int], place: int) -> None:
    names = {str(number): count for number, count in enumerate(games)}
    name = str(place % len(games))
    before = config_weights(names, {})
    after = config_weights({**names, name: names[name] + 1 + names[name] // 100}, {})
    assert all(LEAST <= weight <= MOST for weight in before.values())
    assert after[name] <= before[name] <= after[name] * 2.1  # from 0 to 1 game halves the need, no more
    if names[name] >= 100:
        assert before[name] <= after[name] * 1.03


def test_both_needs_meet_in_one_product_that_is_one_on_average() -> None:
    weights = combined({"a": 2.0, "b": 1.0}, {"a": 0.5, "b": 1.5})
    assert weights == {"a": 0.8, "b": 1.2}
