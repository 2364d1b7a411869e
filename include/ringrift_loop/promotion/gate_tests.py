"""The regression gate's tests as one list: what runs them, DAGs and the command line know of one its entry only.

DAG files read this list, so what judges is imported where it is called: most of it brings numba.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ringrift_loop.config.schema import Regression
    from ringrift_loop.ledger.matches import MatchRow
    from ringrift_loop.promotion.report import TestResult
    from ringrift_loop.promotion.subject import Subject

_BOTH = ("random", "heuristic")


@dataclass(frozen=True)
class GateTest:
    """One test of the gate."""

    __test__ = False  # pytest: not a test class

    name: str
    judge: Callable[[Subject, list[MatchRow], Regression], TestResult]
    """Judges a model by the games that the test needs; whatever it raises is a failure with its reason."""
    weight: float
    """Its share of `regression.timeout_seconds`, relative to the others'."""
    games: tuple[str, ...] = ()
    """The baselines against which it needs games; none: it looks at the model alone."""


def _model_file(subject: Subject, _rows: list[MatchRow], _limits: Regression) -> TestResult:
    from ringrift_loop.promotion.model_tests import validate_file

    return validate_file(subject)


def _inference_latency(subject: Subject, _rows: list[MatchRow], limits: Regression) -> TestResult:
    from ringrift_loop.promotion.model_tests import measure_latency

    return measure_latency(subject, limits.max_inference_ms)


def _no_illegal_moves(subject: Subject, rows: list[MatchRow], _limits: Regression) -> TestResult:
    from ringrift_loop.promotion.play_tests import check_legality

    return check_legality(subject, rows)


def _games_finish(subject: Subject, rows: list[MatchRow], _limits: Regression) -> TestResult:
    from ringrift_loop.promotion.play_tests import check_endings

    return check_endings(subject, rows)


def _beats_random(subject: Subject, rows: list[MatchRow], limits: Regression) -> TestResult:
    from ringrift_loop.promotion.play_tests import check_win_rate

    return check_win_rate(subject, "random", rows, limits)


def _beats_heuristic(subject: Subject, rows: list[MatchRow], limits: Regression) -> TestResult:
    from ringrift_loop.promotion.play_tests import check_win_rate

    return check_win_rate(subject, "heuristic", rows, limits)


GATE_TESTS = (
    GateTest("model_file", _model_file, 2),
    GateTest("inference_latency", _inference_latency, 2),
    # This one and the next need all games of the gate; it comes first, also in the DAGs, plays them and has the time.
    GateTest("no_illegal_moves", _no_illegal_moves, 18, games=_BOTH),
    GateTest("games_finish", _games_finish, 6, games=_BOTH),
    GateTest("beats_random", _beats_random, 5, games=("random",)),
    GateTest("beats_heuristic", _beats_heuristic, 5, games=("heuristic",)),
)
"""In the deployment guide's order, in which they are run."""

TEST_NAMES = tuple(test.name for test in GATE_TESTS)
