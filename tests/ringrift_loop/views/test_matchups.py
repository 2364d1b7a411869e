from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from model_history import DIGESTS, SEARCH, VARIANT, fill_history
from ringrift_loop.ledger import matches
from ringrift_loop.ledger.matches import MatchRow, Participant
from ringrift_loop.loop import Loop
from ringrift_loop.ratings.blocks import block_scores, evidence_of, gain_of
from ringrift_loop.views.matchups import Matchups, read_matchups


@pytest.fixture
def loop(open_loop: Callable[..., Loop]) -> Loop:
    loop = open_loop()
    with loop.ledger.begin() as conn:
        fill_history(conn, loop.clock())
    return loop


def _read(loop: Loop, variant: str = VARIANT) -> Matchups:
    with loop.ledger.read() as conn:
        return read_matchups(conn, variant)


def test_players_come_by_strength_with_the_champion_marked(loop: Loop) -> None:
    players = _read(loop).players
    assert [player.name for player in players] == [
        "gen 4",
        "gen 6",
        "gen 3",
        "gen 5",
        "gen 2",
        "gen 1",
        "heuristic@1f2e3d4c",
        "random",
    ]
    assert [player.name for player in players if player.champion] == ["gen 3"]


def test_a_pair_has_its_games_score_and_the_interval_of_its_blocks(loop: Loop) -> None:
    found = _read(loop)
    (pairing,) = found.pairings
    assert (found.players[pairing.one].name, found.players[pairing.other].name) == ("gen 3", "gen 1")
    assert (pairing.games, pairing.blocks, pairing.score) == (20, 10, 0.8)
    with loop.ledger.read() as conn:
        played = matches.results(conn, VARIANT)
    gain = gain_of(evidence_of(block_scores(played, f"{DIGESTS[2]}|{SEARCH}", f"{DIGESTS[0]}|{SEARCH}"), 2))
    assert (pairing.gain, pairing.low, pairing.high) == pytest.approx((gain.gain, *gain.interval()))


def test_of_three_seats_the_wins_per_seat_count_and_no_second_place(loop: Loop) -> None:
    from ringrift_loop.ledger import models, ratings
    from ringrift_loop.ledger.ratings import RatingRow

    three, one, other = "square8_3p", "7" * 64, "8" * 64
    with loop.ledger.begin() as conn:
        for digest in (one, other):
            models.add(conn, digest, three, parent_digest=None, training_run=None, manifest={}, at=1.0)
            matches.ensure_participant(conn, Participant(f"{digest}|s", three, digest, {}))
        ratings.replace(
            conn,
            three,
            [RatingRow(three, f"{one}|s", 10.0, 5.0, 3, 1.0), RatingRow(three, f"{other}|s", 0.0, 5.0, 3, 1.0)],
            keep_history_of=[],
        )
        for seat, places in enumerate(([1, 2, 3], [2, 1, 3], [1, 3, 2])):
            seats = [f"{one}|s" if at == seat else f"{other}|s" for at in range(3)]
            row = MatchRow("abc"[seat] * 64, "b" * 64, three, "shadow", seats, "", "", 1, places, "t", 9, "a", "1", 1.0)
            matches.add(conn, [row])
    (pairing,) = _read(loop, three).pairings
    # Two wins in three seats against one in six; the second place of the third game is worth nothing.
    assert (pairing.games, pairing.blocks, pairing.score) == (3, 1, pytest.approx(4 / 5))
    gain = gain_of(evidence_of(np.array([2 / 3]), 3))
    assert (pairing.gain, pairing.low, pairing.high) == pytest.approx((gain.gain, *gain.interval()))


def test_games_with_a_third_player_belong_to_no_pair(loop: Loop) -> None:
    one, three = f"{DIGESTS[0]}|{SEARCH}", f"{DIGESTS[2]}|{SEARCH}"
    with loop.ledger.begin() as conn:
        matches.ensure_participant(conn, Participant("random", VARIANT, None, {}, 0.0))
        seats = [one, three, "random"]
        row = MatchRow("f" * 64, "f" * 64, VARIANT, "manual", seats, "", "", 1, [1, 2, 3], "t", 9, "a", "1", 1.0)
        matches.add(conn, [row])
    assert [pairing.games for pairing in _read(loop).pairings] == [20]


def test_a_variant_without_ratings_has_an_empty_table(loop: Loop) -> None:
    found = _read(loop, "hex8_2p")
    assert (found.players, found.pairings) == ((), ())
