from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from ringrift_loop.cluster.sync.residuals import MIN_GAMES, Sums, deviations

HONEST = (0.43, 0.56)
"""Shares of wins of the seats; the rest is cut off."""


def play(
    rng: np.random.Generator,
    games: int,
    *,
    wins: Sequence[float] = HONEST,
    plies: float = 114.0,
    value_error: float = 0.42,
    spread: float = 0.08,
    shape: float = 4.0,
) -> Sums:
    """So many games: lengths spread as those of self-play, errors as of a skewed distribution."""
    won = rng.multinomial(games, [*wins, 1.0 - sum(wins)])[: len(wins)]
    lengths = rng.gamma(9.0, plies / 9.0, games).round()
    errors = np.minimum(rng.gamma(2.0, value_error / 2.0, games), 2.0)
    spreads = rng.gamma(shape, spread / shape, games)
    return Sums(
        games=games,
        wins=tuple(int(number) for number in won),
        plies=float(lengths.sum()),
        plies_squared=float((lengths**2).sum()),
        errors=float(errors.sum()),
        errors_squared=float((errors**2).sum()),
        spreads=float(spreads.sum()),
        spreads_squared=float((spreads**2).sum()),
        value_games=games,
    )


def test_of_a_thousand_honest_host_days_none_is_accused() -> None:
    rng = np.random.default_rng(1)
    looks = 0
    for _ in range(100):  # days of a fleet of ten hosts, unlike in speed, looked at six times
        shares = rng.dirichlet(np.ones(10)) * 12_000
        so_far = {f"host-{number}": play(rng, 1) for number in range(10)}
        for _ in range(6):
            for number, share in enumerate(shares):
                so_far[f"host-{number}"] += play(rng, int(share / 6) + 1)
            assert deviations(so_far) == []
            looks += 1
    assert looks == 600


LIES = {
    "the seats of the winners are the other ones": ({"wins": HONEST[::-1]}, 700, "the share of wins of seat"),
    "its values speak for the loser": ({"value_error": 1.0}, MIN_GAMES, "the squared error"),
    "a random player plays": ({"plies": 150.0, "value_error": 0.5}, 250, "the mean length"),
    "the heuristic plays, for want of the model": ({"spread": 0.11}, 250, "the spread"),
    "a player of half the knowledge plays": ({"value_error": 0.55}, 300, "the squared error"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_host_whose_games_are_not_the_models_is_found_within_some_hundred_games(lie: str) -> None:
    different, games, figure = LIES[lie]
    rng = np.random.default_rng(2)
    found = 0
    for _ in range(50):
        samples = {name: play(rng, 2000) for name in "abc"} | {"liar": play(rng, games, **different)}  # type: ignore[arg-type]
        accused = deviations(samples)
        assert {one.host for one in accused} <= {"liar"}
        assert all(one.decided and one.figure.startswith(figure[:8]) for one in accused)
        found += len(accused)
    assert found >= 40


def test_the_liar_is_named_although_it_sent_most_of_the_games() -> None:
    rng = np.random.default_rng(3)
    samples = {"a": play(rng, 300), "b": play(rng, 400), "liar": play(rng, 9000, plies=150.0)}
    (found,) = deviations(samples)
    assert (found.host, found.others, found.decided) == ("liar", ("a", "b"), True)
    assert found.sentence().startswith("the mean length in plies is 150 in 9000 games of liar and 11")


def test_a_large_liar_that_is_hardly_seen_gets_no_honest_host_accused() -> None:
    """It plays the heuristic, whose values differ little from the model's and spread more: figures as measured."""
    rng = np.random.default_rng(9)
    found = 0
    for _ in range(300):
        samples = {name: play(rng, 600, spread=0.046, shape=3.7) for name in "abc"}
        samples["liar"] = play(rng, 1200, spread=0.0525, shape=2.1)
        accused = {one.host for one in deviations(samples)}
        assert accused <= {"liar"}
        found += len(accused)
    assert found > 100


def test_two_liars_are_both_found() -> None:
    rng = np.random.default_rng(4)
    samples = {name: play(rng, 1000) for name in "abcd"}
    samples |= {"x": play(rng, 1000, plies=80.0), "y": play(rng, 1000, value_error=0.9)}
    found = deviations(samples)
    assert {one.host for one in found} == {"x", "y"}
    assert all(one.decided for one in found)


def test_of_two_strangers_nobody_is_accused_and_of_a_stranger_and_this_machine_the_stranger() -> None:
    rng = np.random.default_rng(5)
    samples = {"here": play(rng, 1000), "there": play(rng, 1000, plies=80.0)}
    (dispute,) = deviations(samples)
    assert not dispute.decided
    assert dispute.sentence().endswith("of two hosts it cannot be told which one is wrong")
    for order in (samples, dict(reversed(samples.items()))):
        (found,) = deviations(order, trusted=["here"])
        assert (found.host, found.decided) == ("there", True)


def test_three_hosts_that_all_differ_accuse_nobody() -> None:
    rng = np.random.default_rng(6)
    samples = {"a": play(rng, 1000), "b": play(rng, 1000, plies=70.0), "c": play(rng, 1000, plies=180.0)}
    assert [one.decided for one in deviations(samples)] == [False, False]


def test_a_few_games_or_a_small_difference_accuse_nobody() -> None:
    rng = np.random.default_rng(7)
    honest = {name: play(rng, 5000) for name in "ab"}
    assert deviations(honest | {"new": play(rng, MIN_GAMES - 1, plies=30.0)}) == []
    # As a GPU in float32 may differ from a CPU in eight bits, with any number of games.
    many = {name: play(rng, 200_000) for name in "ab"}
    assert deviations(many | {"gpu": play(rng, 200_000, plies=115.5, value_error=0.43)}) == []


def test_a_host_whose_games_all_end_alike_is_compared_too() -> None:
    rng = np.random.default_rng(8)
    frozen = Sums(500, (0, 500), 500.0 * 60, 500.0 * 3600, 500.0, 500.0, 40.0, 3.2, 500)
    (found,) = deviations({"a": play(rng, 900), "b": play(rng, 900), "frozen": frozen})
    assert found.host == "frozen"
