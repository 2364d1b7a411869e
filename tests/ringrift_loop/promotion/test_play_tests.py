from __future__ import annotations

from pathlib import Path

import pytest

from ringrift_loop.config.schema import Regression
from ringrift_loop.errors import GateError
from ringrift_loop.ledger.matches import MatchRow
from ringrift_loop.promotion.games import rule_of
from ringrift_loop.promotion.play_tests import check_endings, check_win_rate, wilson
from ringrift_loop.promotion.report import TestResult
from ringrift_loop.promotion.subject import Subject
from ringrift_loop.search.settings import SearchSettings

LIMITS = Regression()


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
    result = check_win_rate(subject, "random", rows, LIMITS)
    assert (result.passed, result.figure, result.limit) == (passes, wins / 100, 0.9)
    assert "seat 1: " in result.detail and "95 %" in result.detail
    assert "decided at look 5 of 5, games 100 of 100" in result.detail
    assert "a model that wins just the floor passes 44.8% of the time (after all 100 games 45.1%)" in result.detail


def test_a_clear_case_is_judged_by_the_games_of_an_early_look() -> None:
    subject = _subject("square8_2p")
    lost = [_game(subject, 1 + i % 2, 2 - i % 2) for i in range(20)]
    won = [_game(subject, 1 + i % 2, 1 + i % 2) for i in range(40)]
    assert not check_win_rate(subject, "random", lost, LIMITS).passed
    result = check_win_rate(subject, "random", won, LIMITS)
    assert result.passed and "decided at look 2 of 5, games 40 of 100" in result.detail
    for rows in (won[:20], won[:38]):  # too early for this floor; no look of the rule's
        with pytest.raises(GateError, match="decide nothing"):
            check_win_rate(subject, "random", rows, LIMITS)


@pytest.mark.parametrize(
    ("variant", "players", "baseline", "floor"),
    [
        ("square8_2p", 2, "random", 0.90),
        ("square8_3p", 3, "random", 0.55),
        ("hex8_4p", 4, "random", 0.45),
        ("square8_2p", 2, "heuristic", 0.55),
        ("square8_3p", 3, "heuristic", 0.45),
        ("hex8_4p", 4, "heuristic", 0.35),
    ],
)
def test_the_floor_is_that_of_the_number_of_players(variant: str, players: int, baseline: str, floor: float) -> None:
    subject, rule = _subject(variant), rule_of(LIMITS, baseline, players)

    def judged(wins: int) -> TestResult:
        rows = [
            _game(subject, 1 + i % players, 1 + (i if i < wins else i + 1) % players, players=players)
            for i in range(rule.looks[-1])
        ]
        return check_win_rate(subject, baseline, rows, LIMITS)

    assert [judged(wins).limit for wins in (rule.need - 1, rule.need)] == [floor, floor]
    assert [judged(wins).passed for wins in (rule.need - 1, rule.need)] == [False, True]
    assert (rule.need - 1) / rule.looks[-1] <= floor < rule.need / rule.looks[-1]


def test_a_game_cut_off_is_not_won_and_fails_the_ending_test() -> None:
    subject = _subject("square8_2p")
    rows = [_game(subject, 1, 1), _game(subject, 2, None, result="truncated")]
    half = [_game(subject, 1 + i % 2, None if i % 4 > 1 else 1 + i % 2) for i in range(20)]
    assert check_win_rate(subject, "random", half, LIMITS).figure == 0.5
    ending = check_endings(subject, rows)
    assert (ending.passed, ending.figure) == (False, 1.0)
    assert "truncated 1" in ending.detail


def test_unequal_numbers_of_games_in_the_seats_are_no_test() -> None:
    subject = _subject("square8_2p")
    with pytest.raises(GateError, match="equally often"):
        check_win_rate(subject, "random", [_game(subject, 1, 1)] * 3, LIMITS)


def test_no_games_are_no_test() -> None:
    with pytest.raises(GateError, match="nothing to judge"):
        check_win_rate(_subject("square8_2p"), "random", [], LIMITS)
