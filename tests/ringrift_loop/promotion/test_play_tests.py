from __future__ import annotations

from pathlib import Path

import pytest

from ringrift_loop.errors import GateError
from ringrift_loop.ledger.matches import MatchRow
from ringrift_loop.promotion.play_tests import check_endings, check_win_rate, wilson
from ringrift_loop.promotion.subject import Subject
from ringrift_loop.search.settings import SearchSettings

FLOORS = {2: 0.9, 3: 0.55, 4: 0.45}


def _subject(variant: str) -> Subject:
    return Subject(variant, "a" * 64, Path("unused"), SearchSettings(), registered=False)


def _game(subject: Subject, seat: int, winner: int | None, *, result: str = "lps", players: int = 2) -> MatchRow:
    seats = ["random"] * players
    seats[seat - 1] = subject.participant
    places = [1] * players
    return MatchRow("id", "block", subject.variant, "gate", seats, "", "", winner, places, result, 80, "host", "1", 1.0)


def test_wilsons_interval_has_its_textbook_values() -> None:
    assert wilson(50, 100) == pytest.approx((0.4038, 0.5962), abs=1e-4)
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)


@pytest.mark.parametrize(("wins", "passes"), [(90, False), (92, True)])
def test_the_floor_must_be_exceeded_not_met(wins: int, passes: bool) -> None:
    subject = _subject("square8_2p")
    rows = [_game(subject, 1 + i % 2, 1 + i % 2 if i < wins else 2 - i % 2) for i in range(100)]
    result = check_win_rate(subject, "random", rows, FLOORS)
    assert (result.passed, result.figure, result.limit) == (passes, wins / 100, 0.9)
    assert "seat 1: " in result.detail and "95 %" in result.detail


def test_the_floor_is_that_of_the_number_of_players() -> None:
    subject = _subject("hex8_4p")
    rows = [_game(subject, 1 + i % 4, 1 + i % 4 if i < 50 else 1 + (i + 1) % 4, players=4) for i in range(100)]
    assert check_win_rate(subject, "random", rows, FLOORS).limit == 0.45
    assert check_win_rate(subject, "random", rows, FLOORS).passed


def test_a_game_cut_off_is_not_won_and_fails_the_ending_test() -> None:
    subject = _subject("square8_2p")
    rows = [_game(subject, 1, 1), _game(subject, 2, None, result="truncated")]
    assert check_win_rate(subject, "random", rows, FLOORS).figure == 0.5
    ending = check_endings(subject, rows)
    assert (ending.passed, ending.figure) == (False, 1.0)
    assert "truncated 1" in ending.detail


def test_unequal_numbers_of_games_in_the_seats_are_no_test() -> None:
    subject = _subject("square8_2p")
    with pytest.raises(GateError, match="equally often"):
        check_win_rate(subject, "random", [_game(subject, 1, 1)] * 3, FLOORS)


def test_no_games_are_no_test() -> None:
    with pytest.raises(GateError, match="nothing to judge"):
        check_win_rate(_subject("square8_2p"), "random", [], FLOORS)
