from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from ringrift_loop.ratings.elo import ELO_PER_NAT, RatingTable, fit
from ringrift_loop.ratings.likelihood import LogLikelihood, RatedGame, wins_of
from ringrift_loop.tournament.schedule import (
    ANCESTOR,
    BASELINE,
    CYCLE,
    Field,
    next_pairings,
    pair_of,
    variance_cut,
)

BASELINES = ("random", "heuristic", "mcts-64")


def _table(games: int = 20, players: int = 2) -> RatingTable:
    pairs = [("new", "old"), ("old", "random"), ("old", "heuristic"), ("random", "heuristic"), ("random", "mcts-64")]
    places = tuple(range(1, players + 1))
    log = [RatedGame(_line_up(pair, players), order) for pair in pairs for order in (places, places[::-1])] * games
    return fit(log, anchors={"random": 0.0})


def _line_up(pairing: tuple[str, str], players: int) -> tuple[str, ...]:
    """The first of the two alone against the other."""
    return (pairing[0], *pairing[1:] * (players - 1))


def test_half_of_the_blocks_are_the_duel_and_a_tenth_each_ancestors_and_baselines() -> None:
    champions = ("old", *(f"c{back}" for back in range(1, 40)))
    draws = [RatedGame(("old", name), (1, 1)) for name in ("new", *champions[1:], *BASELINES)]
    table = fit(draws, anchors={"random": 0.0})
    pairings = next_pairings(Field("new", champions, BASELINES), 100, played={}, table=table)
    counts = Counter(pairings)
    assert counts["new", "old"] >= 50
    assert sum(counts["old", champions[back]] for back in (3, 10, 30)) >= 10
    assert sum(counts["old", baseline] for baseline in BASELINES) >= 10
    assert all("new" in pairing or "old" in pairing for pairing in pairings)


def test_the_ancestor_and_the_baseline_are_those_whose_games_tell_most() -> None:
    champions = ("old", *(f"c{back}" for back in range(1, 12)))
    games = [("old", "c3"), ("old", "c10"), ("old", "random"), ("old", "heuristic"), ("heuristic", "random")] * 40
    log = [RatedGame(pair, (1, 2)) for pair in games] + [RatedGame(pair, (2, 1)) for pair in games[::8]]
    log += [RatedGame(("old", "c3"), (1, 1))] * 300 + [RatedGame(("old", "mcts-64"), (1, 2))] * 3
    table = fit(log, anchors={"random": 0.0})
    pairings = next_pairings(Field(None, champions, BASELINES), 10, played={}, table=table)
    assert pairings[CYCLE.index(ANCESTOR)] == ("old", "c10")  # it has met c3 often enough
    best = max(BASELINES, key=lambda name: variance_cut(table, ("old", "random"), ("old", name)))
    assert pairings[CYCLE.index(BASELINE)] == ("old", best)


def test_without_a_model_the_baselines_meet_each_other_evenly() -> None:
    counts = Counter(map(pair_of, next_pairings(Field(None, (), BASELINES), 30, played={}, table=None)))
    assert set(counts.values()) == {10}


def test_without_a_candidate_the_last_two_champions_meet() -> None:
    (first,) = next_pairings(Field(None, ("b", "a"), BASELINES), 1, played={}, table=None)
    assert first == ("b", "a")


@pytest.mark.parametrize("field", [Field("new", (), BASELINES), Field(None, ("new",), BASELINES)])
def test_a_lone_model_meets_the_baselines_and_these_each_other(field: Field) -> None:
    pairings = Counter(next_pairings(field, 10, played={}, table=None))
    assert {pairing: blocks for pairing, blocks in pairings.items() if "new" in pairing} == {
        ("new", baseline): 2 for baseline in BASELINES
    }
    assert sum(blocks for pairing, blocks in pairings.items() if "new" not in pairing) == 4


def test_the_schedule_goes_on_where_the_log_ends() -> None:
    field = Field("new", ("old",), BASELINES)
    whole = next_pairings(field, 12, played={}, table=_table())
    played = Counter(map(pair_of, whole[:5]))
    assert next_pairings(field, 7, played=played, table=_table()) == whole[5:]


@pytest.mark.parametrize("players", [2, 3, 4])
@pytest.mark.parametrize("pairing", [("new", "old"), ("new", "random"), ("old", "mcts-64")])
def test_the_variance_cut_is_that_of_one_more_game_in_the_information_matrix(
    pairing: tuple[str, str], players: int
) -> None:
    table = _table(players=players)
    free = [row for row, name in enumerate(table.participants) if name != "random"]
    information = np.linalg.inv(table.covariance[np.ix_(free, free)])
    game = RatedGame(_line_up(pairing, players), tuple(range(1, players + 1)))
    rows = {name: row for row, name in enumerate(table.participants)}
    likelihood = LogLikelihood(len(rows), players, wins_of({game: 1}, rows))
    _, _, one_more = likelihood.evaluate(np.concatenate([table.ratings, np.zeros(players)]) / ELO_PER_NAT)
    after = np.linalg.inv(information + one_more[np.ix_(free, free)] / ELO_PER_NAT**2)
    c = np.zeros(len(table.participants))
    c[table.index("new")], c[table.index("old")] = 1.0, -1.0
    by_hand = table.difference("new", "old").stderr ** 2 - c[free] @ after @ c[free]
    assert variance_cut(table, ("new", "old"), pairing) == pytest.approx(by_hand, rel=1e-6)
