"""The regression gate: the deployment guide's six tests, each of which must pass before a model may be promoted.

A test that cannot be evaluated has failed: an exception, a time-out or a missing file never counts as a pass. Each
test can be run alone, for instance as a task of its own; the games against the baselines are kept in the match log,
so that a test finds those that another has played.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ringrift_loop.errors import ConfigError, GateError
from ringrift_loop.ledger import gates, leases, promotions
from ringrift_loop.loop import Loop
from ringrift_loop.promotion.games import GateGames
from ringrift_loop.promotion.model_tests import measure_latency, validate_file
from ringrift_loop.promotion.play_tests import check_endings, check_legality, check_win_rate
from ringrift_loop.promotion.report import GateReport, TestResult
from ringrift_loop.promotion.subject import Subject, subject_of
from ringrift_loop.tournament.arena import Arena
from ringrift_loop.tournament.participants import HEURISTIC, RANDOM

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Test:
    """How a test is run, and what share of the gate's time it may use."""

    run: Callable[[Subject, GateGames, float], TestResult]
    """Called with the model, its games and the deadline in UTC seconds."""
    weight: float


def _tests(loop: Loop) -> Mapping[str, _Test]:
    limits = loop.config.regression

    def latency(subject: Subject, _games: GateGames, _end: float) -> TestResult:
        return measure_latency(subject, limits.max_inference_ms)

    def random(subject: Subject, games: GateGames, end: float) -> TestResult:
        return check_win_rate(subject, RANDOM, games.against(RANDOM, end), limits.min_win_rate_random)

    def heuristic(subject: Subject, games: GateGames, end: float) -> TestResult:
        return check_win_rate(subject, HEURISTIC, games.against(HEURISTIC, end), limits.min_win_rate_heuristic)

    return {
        "model_file": _Test(lambda subject, _games, _end: validate_file(subject), 2),
        "inference_latency": _Test(latency, 2),
        # This one and the next need all games of the gate; the one that comes first plays them and has the time for it.
        "no_illegal_moves": _Test(lambda subject, games, end: check_legality(subject, games.all(end)), 18),
        "games_finish": _Test(lambda subject, games, end: check_endings(subject, games.all(end)), 6),
        "beats_random": _Test(random, 5),
        "beats_heuristic": _Test(heuristic, 5),
    }


TESTS = ("model_file", "inference_latency", "no_illegal_moves", "games_finish", "beats_random", "beats_heuristic")
"""The tests in the guide's order."""


def run_test(
    name: str, loop: Loop, model: str, variant: str, deadline_s: float | None = None, *, arena: Arena | None = None
) -> TestResult:
    """Run one test of the gate.

    Args:
        name: one of TESTS.
        loop: the loop.
        model: see `subject_of`.
        variant: such as `square8_2p`.
        deadline_s: seconds the test may take; default: its share of `regression.timeout_seconds`.
        arena: where games are played; default: the rules engine.

    Returns:
        The result; whatever went wrong while the test ran is a failure with its reason.

    Raises:
        ConfigError: no such test, or no such model.
        GateError: `champion`, and the variant has none.
    """
    if name not in TESTS:
        raise ConfigError(f"a test of the regression gate is one of {', '.join(TESTS)}, got {name!r}")
    tests = _tests(loop)
    if deadline_s is None:
        total = sum(test.weight for test in tests.values())
        deadline_s = loop.config.regression.timeout_seconds * tests[name].weight / total
    subject = subject_of(loop, model, variant)
    return _run(name, loop, subject, GateGames(loop, subject, arena), deadline_s)


def run_gate(
    loop: Loop,
    model: str,
    variant: str,
    *,
    arena: Arena | None = None,
    timeout_s: float | None = None,
    candidate: bool = False,
) -> GateReport:
    """Run all tests on a model, record the verdict (`conclude`) and return it.

    Time that a test leaves over goes to those after it; the whole ends within `timeout_s`, by default
    `regression.timeout_seconds`.

    Raises:
        NoCapacity: another process runs the gate on this model.
        ConfigError: no such model.
        GateError: `champion`, and the variant has none.
    """
    subject = subject_of(loop, model, variant)
    games = GateGames(loop, subject, arena)
    started = loop.clock()
    end = started + (loop.config.regression.timeout_seconds if timeout_s is None else timeout_s)
    with leases.hold(loop.ledger, f"regression-gate:{subject.digest[:16]}", clock=loop.clock):
        results = _run_all(loop, subject, games, end)
    return conclude(loop, model, variant, results, seconds=loop.clock() - started, candidate=candidate)


def _run_all(loop: Loop, subject: Subject, games: GateGames, end: float) -> list[TestResult]:
    weights = {name: test.weight for name, test in _tests(loop).items()}
    results = []
    for name in TESTS:
        share = weights[name] / sum(weights.values())
        del weights[name]
        results.append(_run(name, loop, subject, games, (end - loop.clock()) * share))
    return results


def conclude(
    loop: Loop,
    model: str,
    variant: str,
    results: Sequence[TestResult],
    *,
    seconds: float | None = None,
    candidate: bool = False,
) -> GateReport:
    """Make the verdict of test results, record it, and return it; the same results are not recorded twice.

    Args:
        loop: the loop.
        model: see `subject_of`.
        variant: such as `square8_2p`.
        results: one per test; a missing one fails the gate.
        seconds: how long the tests took; default: the sum of theirs.
        candidate: record a rejection in the promotion history too, if the gate blocks.
    """
    subject = subject_of(loop, model, variant)
    report = GateReport(
        variant=variant,
        model_digest=subject.digest,
        search=subject.search.identity(),
        tests=tuple(results),
        complete=tuple(sorted(test.name for test in results)) == tuple(sorted(TESTS)),
        hard_block=loop.config.regression.hard_block,
        seconds=sum(test.seconds for test in results) if seconds is None else seconds,
    )
    verdict = "passed" if report.passed else "failed"
    with loop.ledger.begin() as conn:
        at = loop.clock()
        is_new = gates.add_new(
            conn, variant, subject.digest, gates.REGRESSION, passed=report.passed, report=report.to_json(), at=at
        )
        if is_new:
            message = f"regression gate of {variant}: {subject.digest[:12]} {verdict}. {report.reason}".strip()
            loop.record(conn, "gate", message, variant=variant, model=subject.digest)
        is_rejected = candidate and report.hard_block and not report.passed and subject.registered
        reason = f"regression gate: {report.reason}"
        if is_rejected and promotions.reject(
            conn, variant, subject.digest, reason=reason, elo_gain=None, games=0, at=at
        ):
            loop.metrics.incr("ringrift_promotions_total", config=variant, status=promotions.REJECTED)
    if not is_new:
        return report
    loop.metrics.incr("ringrift_gate_reports_total", config=variant, gate=gates.REGRESSION, verdict=verdict)
    loop.metrics.timing("ringrift_gate_duration_seconds", report.seconds, config=variant, gate=gates.REGRESSION)
    return report


def _run(name: str, loop: Loop, subject: Subject, games: GateGames, deadline_s: float) -> TestResult:
    started = loop.clock()
    try:
        if deadline_s <= 0.0:
            raise GateError("no time left: the tests before it used up regression.timeout_seconds")
        result = _tests(loop)[name].run(subject, games, started + deadline_s)
        seconds = loop.clock() - started
        if seconds > deadline_s:
            raise TimeoutError(f"it took {seconds:.1f} s")
    except Exception as error:
        log.warning("%s of %s failed", name, subject.digest[:12], exc_info=True)
        late = f" (deadline {deadline_s:.0f} s)" if isinstance(error, TimeoutError) else ""
        detail = f"not evaluated: {type(error).__name__}: {error}{late}"
        return TestResult(name, False, None, None, "", detail, loop.clock() - started)
    return TestResult(
        name, result.passed, result.figure, result.limit, result.unit, result.detail, loop.clock() - started
    )
