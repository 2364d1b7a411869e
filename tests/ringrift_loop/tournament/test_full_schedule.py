from __future__ import annotations

from collections import Counter
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringrift_loop.ratings.blocks import win_chance
from ringrift_loop.ratings.elo import ELO_PER_NAT, RatingTable, fit
from ringrift_loop.ratings.likelihood import RatedGame
from ringrift_loop.tournament.full_schedule import by_variance_removed, full_pairings, missing_blocks
from ringrift_loop.tournament.schedule import Field, Pairing, pair_of

BASELINES = ("random", "heuristic")


def _table(*results: tuple[str, str, int]) -> RatingTable:
    """Every pair with so many games, half of them won by each."""
    log = [
        RatedGame((one, two), places) for one, two, n in results for places in ((1, 2), (2, 1)) for _ in range(n // 2)
    ]
    return fit(log, anchors={"random": 0.0})


def test_every_champion_meets_its_ancestors_1_3_10_and_30_back_and_the_baselines() -> None:
    champions = tuple(f"c{age}" for age in range(35))
    pairings = full_pairings(Field("candidate", champions, BASELINES))
    met = {other for own, other in pairings if own == "c2"}
    assert met == {"c3", "c5", "c12", "c32", *BASELINES}
    assert {other for own, other in pairings if own == "c34"} == set(BASELINES)
    assert len(pairings) == len({pair_of(pairing) for pairing in pairings}) == 34 + 32 + 25 + 5 + 2 * 35
    assert not any("candidate" in pairing for pairing in pairings)


def test_without_a_champion_there_is_nobody_to_play() -> None:
    assert full_pairings(Field("candidate", (), BASELINES)) == []


def test_a_round_ends_when_every_pairing_has_its_blocks_and_a_newcomer_catches_up_first() -> None:
    old = [("b", "a"), ("b", "random"), ("a", "random")]
    assert missing_blocks(old, {}, 25) == (1, dict.fromkeys(old, 25))
    half = {("a", "b"): 25, ("b", "random"): 20, ("a", "random"): 25}
    assert missing_blocks(old, half, 25) == (1, {("b", "random"): 5})
    whole = {pair_of(pairing): 25 for pairing in old}
    assert missing_blocks(old, whole, 25) == (2, dict.fromkeys(old, 25))
    assert missing_blocks([("c", "b"), *old], whole, 25) == (1, {("c", "b"): 25})


@given(
    st.dictionaries(st.sampled_from([("b", "a"), ("c", "b"), ("c", "a")]), st.integers(0, 100), min_size=1),
    st.integers(1, 30),
)
def test_something_is_always_missing_and_playing_it_completes_the_round(had: dict[Pairing, int], per: int) -> None:
    played = {pair_of(pairing): blocks for pairing, blocks in had.items()}
    number, missing = missing_blocks(list(had), played, per)
    assert missing and all(blocks > 0 for blocks in missing.values())
    after = {pair_of(pairing): blocks + missing.get(pairing, 0) for pairing, blocks in had.items()}
    assert min(after.values()) == number * per
    assert missing_blocks(list(had), after, per)[0] == number + 1


def test_every_missing_block_comes_once() -> None:
    missing = {("b", "a"): 3, ("b", "random"): 1, ("a", "random"): 7}
    order = list(by_variance_removed(missing, champions={"a", "b"}, table=None, games=2))
    assert Counter(order) == missing


def test_the_pairing_that_is_known_least_comes_first() -> None:
    table = _table(("b", "random", 200), ("a", "random", 200), ("c", "random", 2))
    missing = {("c", "random"): 5, ("b", "random"): 5, ("a", "random"): 5}
    first = next(by_variance_removed(missing, champions={"a", "b", "c"}, table=table, games=2))
    assert first == ("c", "random")


def test_a_participant_without_a_rating_comes_before_those_with_one() -> None:
    table = _table(("b", "random", 50), ("a", "random", 50), ("b", "a", 50))
    missing = {("b", "a"): 5, ("c", "b"): 5}
    order = list(by_variance_removed(missing, champions={"a", "b", "c"}, table=table, games=2))
    assert order[0] == ("c", "b")


def test_the_order_is_that_of_the_information_matrix_worked_out_anew_for_each_block() -> None:
    table = _table(("b", "random", 20), ("a", "random", 60), ("b", "a", 10), ("c", "b", 6))
    pairings = [("c", "b"), ("c", "random"), ("b", "a"), ("b", "random"), ("a", "random")]
    champions, names = {"a", "b", "c"}, ["a", "b", "c"]
    rows = [table.index(name) for name in names]
    information = np.linalg.inv(table.covariance[np.ix_(rows, rows)])
    got = list(islice(by_variance_removed(dict.fromkeys(pairings, 9), champions=champions, table=table, games=2), 12))
    for chosen in got:
        after = {pairing: information + 2 * _information(table, pairing, names) for pairing in pairings}
        traces = {pairing: float(np.trace(np.linalg.inv(matrix))) for pairing, matrix in after.items()}
        assert traces[chosen] == pytest.approx(min(traces.values()), rel=1e-9)
        information = after[chosen]
    assert len(set(got)) > 1


def _information(table: RatingTable, pairing: Pairing, names: list[str]) -> np.ndarray:
    d = np.array([float(name == pairing[0]) - float(name == pairing[1]) for name in names])
    p = win_chance(table.difference(*pairing).gain, 2)
    return p * (1 - p) / ELO_PER_NAT**2 * np.outer(d, d)


def test_before_any_rating_two_unknowns_tell_less_than_one_against_the_anchor() -> None:
    missing = {("b", "a"): 1, ("a", "random"): 1}
    order = list(by_variance_removed(missing, champions={"a"}, table=None, games=2))
    assert order[0] == ("a", "random")
