"""The match log takes each match once and keeps participants of other variants out."""

from __future__ import annotations

import pytest

from ringrift_loop.errors import LedgerError
from ringrift_loop.ledger import matches, ratings
from ringrift_loop.ledger.database import Ledger
from ringrift_loop.ledger.matches import MatchRow, Participant
from ringrift_loop.ledger.ratings import RatingRow


def match(name: str, variant: str = "square8_2p", seats: tuple[str, ...] = ("random", "heuristic")) -> MatchRow:
    return MatchRow(name, "b", variant, "shadow", list(seats), "", "x", 1, [1, 2], "territory", 9, "a", "1", 1.0)


@pytest.fixture
def with_players(ledger: Ledger) -> Ledger:
    with ledger.begin() as conn:
        for name in ("random", "heuristic"):
            matches.ensure_participant(conn, Participant(name, "square8_2p", None, {}))
        matches.ensure_participant(conn, Participant("random", "hex8_2p", None, {}, anchor_elo=0.0))
    return ledger


def test_the_same_matches_twice_are_stored_once(with_players: Ledger) -> None:
    with with_players.begin() as conn:
        assert matches.add(conn, [match("m1"), match("m2"), match("m1")]) == 2
        assert matches.add(conn, [match("m2"), match("m3")]) == 1
        stored = [row for rows in matches.of_blocks(conn, [match("m1").block]).values() for row in rows]
        assert stored == [match("m1"), match("m2"), match("m3")]


@pytest.mark.parametrize("seats", [("random", "heuristic"), ("random", "ghost"), ()])
def test_a_match_of_players_of_another_variant_is_refused(with_players: Ledger, seats: tuple[str, ...]) -> None:
    with pytest.raises(LedgerError, match="no participants of that variant"), with_players.begin() as conn:
        matches.add(conn, [match("m1", "hex8_2p", seats)])
    with with_players.read() as conn:
        assert matches.results(conn, "hex8_2p") == []


def test_a_participant_never_changes(with_players: Ledger) -> None:
    with with_players.begin() as conn:
        matches.ensure_participant(conn, Participant("random", "hex8_2p", None, {}, anchor_elo=0.0))
        with pytest.raises(LedgerError, match="participant random of hex8_2p is"):
            matches.ensure_participant(conn, Participant("random", "hex8_2p", None, {}, anchor_elo=100.0))


def test_a_fit_replaces_the_variants_ratings_as_a_whole_and_keeps_the_champions_history(ledger: Ledger) -> None:
    def row(participant: str, elo: float, at: float) -> RatingRow:
        return RatingRow("square8_2p", participant, elo, 10.0, 50, at)

    with ledger.begin() as conn:
        ratings.replace(conn, "square8_2p", [row("x", 10, 1.0), row("y", 20, 1.0)], keep_history_of=["x"])
        ratings.replace(conn, "square8_2p", [row("x", 15, 2.0)], keep_history_of=["x"])
        assert ratings.table(conn, "square8_2p") == [row("x", 15, 2.0)]
        assert ratings.history(conn, "square8_2p") == [row("x", 10, 1.0), row("x", 15, 2.0)]
        with pytest.raises(LedgerError, match=r"holds ratings of \['square8_2p'\]"):
            ratings.replace(conn, "hex8_2p", [row("x", 15, 2.0)], keep_history_of=[])
