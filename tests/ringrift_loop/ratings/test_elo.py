from __future__ import annotations

from math import log, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringrift_loop.ratings.elo import ELO_PER_NAT, Priors, RatingTable, fit
from ringrift_loop.ratings.likelihood import RatedGame

FLAT = Priors(free_stderr=1e6, seat_stderr=1e-3)
SEATS_FREE = Priors(free_stderr=1e6, seat_stderr=1e6)


def duel(one: str, other: str, wins: int, losses: int) -> list[RatedGame]:
    """Games of two players, half of each result from either seat."""
    games = []
    for winner, loser, count in ((one, other, wins), (other, one, losses)):
        games += [RatedGame((winner, loser), (1, 2))] * (count // 2)
        games += [RatedGame((loser, winner), (2, 1))] * (count - count // 2)
    return games


def drawn_by_lot(elos: dict[str, float], players: int, games: int, seed: int) -> list[RatedGame]:
    """Games between random participants, by Plackett and Luce's model."""
    rng = np.random.default_rng(seed)
    names = sorted(elos)
    drawn = []
    for _ in range(games):
        seats = [names[i] for i in rng.choice(len(names), players, replace=False)]
        order = np.argsort([-elos[name] / ELO_PER_NAT - rng.gumbel() for name in seats])
        places = np.empty(players, int)
        places[order] = np.arange(1, players + 1)
        drawn.append(RatedGame(tuple(seats), tuple(places.tolist())))
    return drawn


def test_three_wins_in_four_are_the_logistic_191_elo_with_the_binomial_error() -> None:
    table = fit(duel("a", "random", 75, 25), anchors={"random": 0.0}, priors=FLAT)
    assert table.elo("a") == pytest.approx(400 * np.log10(3), abs=1e-3)
    assert table.stderr("a") == pytest.approx(ELO_PER_NAT / sqrt(100 * 0.75 * 0.25), rel=1e-4)
    assert (table.elo("random"), table.stderr("random")) == (0.0, 0.0)


def test_a_clean_sweep_has_a_finite_rating_and_a_wide_interval() -> None:
    table = fit(duel("a", "random", 100, 0), anchors={"random": 0.0})
    assert 600 < table.elo("a") < 2000
    assert table.stderr("a") > 150


def test_a_draw_is_half_a_win_for_each() -> None:
    drawn = fit([RatedGame(("a", "random"), (1, 1))] * 10, anchors={"random": 0.0}, priors=FLAT)
    shared = fit(duel("a", "random", 5, 5), anchors={"random": 0.0}, priors=FLAT)
    assert drawn.elo("a") == pytest.approx(shared.elo("a"), abs=1e-6)
    assert drawn.stderr("a") == pytest.approx(shared.stderr("a"), rel=1e-9)


def test_the_advantage_of_a_seat_is_told_from_strength() -> None:
    games = [RatedGame(("a", "random"), (1, 2))] * 60 + [RatedGame(("random", "a"), (2, 1))] * 40
    games += [RatedGame(("a", "random"), (2, 1))] * 40 + [RatedGame(("random", "a"), (1, 2))] * 60
    table = fit(games, anchors={"random": 0.0}, priors=SEATS_FREE)
    assert table.elo("a") == pytest.approx(0.0, abs=1e-6)
    first, second = table.seat_advantages
    assert first - second == pytest.approx(ELO_PER_NAT * log(60 / 40), abs=1e-3)


def test_the_order_of_the_games_changes_not_one_bit() -> None:
    games = drawn_by_lot({"random": 0.0, "a": 100.0, "b": 200.0, "c": 50.0}, 3, 200, seed=1)
    shuffled = [games[i] for i in np.random.default_rng(2).permutation(len(games))]
    one, other = (fit(order, anchors={"random": 0.0}) for order in (games, shuffled))
    assert np.array_equal(one.ratings, other.ratings)
    assert np.array_equal(one.covariance, other.covariance)


@pytest.mark.parametrize("players", [2, 3, 4])
def test_true_strengths_lie_within_the_stated_errors(players: int) -> None:
    elos = {"random": 0.0, "a": 150.0, "b": 250.0, "c": 60.0}
    scores = []
    for seed in range(40):
        table = fit(drawn_by_lot(elos, players, 150, seed), anchors={"random": 0.0})
        seen = table.difference("b", "c")
        scores.append((seen.gain - (elos["b"] - elos["c"])) / seen.stderr)
    # The sum of 40 squared standard normals lies in 16.9..78.1 with 99.9 % probability.
    assert 16.9 < sum(score**2 for score in scores) < 78.1


def test_a_thousand_random_matches_leave_the_anchors_where_they_are() -> None:
    rng = np.random.default_rng(5)
    names = ["random", "heuristic", "a", "b", "c"]
    games = []
    for _ in range(1000):
        one, other = rng.choice(names, 2, replace=False)
        games.append(RatedGame((str(one), str(other)), (1, 2) if rng.random() < 0.5 else (2, 1)))
    table = fit(games, anchors={"random": 0.0, "heuristic": 300.0})
    assert (table.elo("random"), table.elo("heuristic")) == (0.0, 300.0)
    # Everyone wins half of the games: between the anchors, as far as 1,000 coin tosses tell.
    for name in "abc":
        assert abs(table.elo(name) - 150.0) < 4 * table.stderr(name)


def test_a_new_model_is_drawn_to_its_parent_by_three_drawn_games() -> None:
    games = duel("old", "random", 50, 50) + duel("new", "old", 1, 0)
    table = fit(games, anchors={"random": 0.0}, parents={"new": "old"}, priors=Priors(seat_stderr=1e-3))
    assert table.difference("new", "old").gain == pytest.approx(ELO_PER_NAT * log(2.5 / 1.5), abs=1e-3)


def test_the_error_of_a_difference_comes_from_the_whole_covariance() -> None:
    games = duel("a", "random", 7, 3) + duel("a", "b", 200, 200)
    table = fit(games, anchors={"random": 0.0})
    assert table.difference("a", "b").stderr < 20 < table.stderr("a")
    assert table.difference("a", "b").gain == pytest.approx(-table.difference("b", "a").gain)


def test_copies_of_one_participant_may_fill_several_seats() -> None:
    games = [RatedGame(("a", "random", "random"), (1, 2, 3))] * 30
    games += [RatedGame(("random", "a", "random"), (3, 1, 2))] * 30
    games += [RatedGame(("random", "random", "a"), (1, 3, 2))] * 30
    table = fit(games, anchors={"random": 0.0}, priors=FLAT)
    # First in two games of three against two equals: w / (w + 2) = 2 / 3. The second place tells nothing.
    assert table.elo("a") == pytest.approx(ELO_PER_NAT * log(4), abs=1e-3)
    assert table.stderr("a") == pytest.approx(ELO_PER_NAT / sqrt(90 * 2 / 9), rel=1e-4)
    assert table.games == {"a": 90, "random": 90}


def test_who_wins_more_is_not_rated_lower_for_losing_worse() -> None:
    names = ("a", "b", "c")
    games = [RatedGame(names, (1, 2, 3))] * 10 + [RatedGame(names, (2, 1, 3))] * 9 + [RatedGame(names, (3, 2, 1))] * 8
    table = fit(games, anchors={}, priors=FLAT)
    assert table.elo("a") > table.elo("b") > table.elo("c")
    assert table.difference("a", "b").gain == pytest.approx(ELO_PER_NAT * log(10 / 9), abs=1e-3)


@given(st.integers(2, 4).flatmap(lambda players: st.lists(st.permutations(range(1, players + 1)), min_size=3)))
def test_the_order_of_those_who_did_not_win_changes_not_one_bit(places: list[list[int]]) -> None:
    seats = ("a", "b", "c", "random")[: len(places[0])]
    winners = [tuple(1 if place == 1 else 2 for place in game) for game in places]
    one, other = (
        fit([RatedGame(seats, tuple(game)) for game in games], anchors={"random": 0.0}) for games in (places, winners)
    )
    assert np.allclose(one.ratings, other.ratings, atol=1e-6)
    assert np.allclose(one.covariance, other.covariance, rtol=1e-9, atol=1e-6)


def test_the_interval_of_a_difference_lies_around_it() -> None:
    table = fit(duel("a", "random", 60, 40), anchors={"random": 0.0}, priors=FLAT)
    seen = table.difference("a", "random")
    low, high = seen.interval(0.95)
    assert (low + high) / 2 == pytest.approx(seen.gain)
    assert high - low == pytest.approx(2 * 1.959964 * seen.stderr)


def test_without_an_anchor_the_differences_stand_and_the_scale_floats() -> None:
    games = duel("a", "b", 75, 25)
    table, anchored = fit(games, anchors={}), fit(games, anchors={"b": 0.0})
    assert table.difference("a", "b").gain == pytest.approx(anchored.elo("a"), rel=0.05)
    assert table.elo("a") == pytest.approx(-table.elo("b"))
    assert min(table.stderr(name) for name in "ab") > 500.0


def test_games_of_different_numbers_of_players_are_refused() -> None:
    games = [RatedGame(("a", "b"), (1, 2)), RatedGame(("a", "b", "c"), (1, 2, 3))]
    with pytest.raises(ValueError, match=r"\[2, 3\]"):
        fit(games, anchors={"a": 0.0})


@pytest.mark.parametrize("places", [(1, 3), (2, 2), (2, 3)])
def test_places_that_are_no_finishing_order_are_refused(places: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="finishing order"):
        fit([RatedGame(("a", "b"), places)], anchors={"a": 0.0})


def test_an_unrated_name_is_told_from_the_rated_ones() -> None:
    table: RatingTable = fit(duel("a", "random", 1, 1), anchors={"random": 0.0})
    with pytest.raises(KeyError, match="rated are a, random"):
        table.elo("b")
