"""The regression gate: the deployment guide's six tests, each of which must pass before a model may be promoted.

A test that cannot be evaluated has failed: an exception, a time-out or a missing file never counts as a pass. Each
test can be run alone, for instance as a task of its own; the games against the baselines are kept in the match log,
so that a test finds those that another has played.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from ringrift_loop.config import config_hash
from ringrift_loop.errors import ConfigError, GateError
from ringrift_loop.ledger import gates, leases, promotions
from ringrift_loop.loop import Loop
from ringrift_loop.promotion.games import GateGames
from ringrift_loop.promotion.gate_tests import GATE_TESTS, TEST_NAMES, GateTest
from ringrift_loop.promotion.report import GateReport, TestResult
from ringrift_loop.promotion.subject import Subject, subject_of
from ringrift_loop.tournament.arena import Arena

_log = logging.getLogger(__name__)


def run_test(
    name: str, loop: Loop, model: str, variant: str, deadline_s: float | None = None, *, arena: Arena | None = None
) -> TestResult:
    """Run one test of the gate.

    Args:
        name: one of TEST_NAMES.
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
    test = next((test for test in GATE_TESTS if test.name == name), None)
    if test is None:
        raise ConfigError(f"a test of the regression gate is one of {', '.join(TEST_NAMES)}, got {name!r}")
    if deadline_s is None:
        total = sum(each.weight for each in GATE_TESTS)
        deadline_s = loop.config.regression.timeout_seconds * test.weight / total
    subject = subject_of(loop, model, variant)
    return _run(test, loop, subject, GateGames(loop, subject, arena), deadline_s)


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
        NoCapacity: another process runs the gate on this model, or has taken that over meanwhile.
        ConfigError: no such model.
        GateError: `champion`, and the variant has none.
    """
    subject = subject_of(loop, model, variant)
    games = GateGames(loop, subject, arena)
    started = loop.clock()
    end = started + (loop.config.regression.timeout_seconds if timeout_s is None else timeout_s)
    with leases.hold(loop.ledger, f"regression-gate:{subject.digest[:16]}", clock=loop.clock) as lease:
        results = _run_all(loop, subject, games, end)
        seconds = loop.clock() - started
        return conclude(loop, model, variant, results, seconds=seconds, candidate=candidate, lease=lease)


def _run_all(loop: Loop, subject: Subject, games: GateGames, end: float) -> list[TestResult]:
    results = []
    for number, test in enumerate(GATE_TESTS):
        share = test.weight / sum(left.weight for left in GATE_TESTS[number:])
        results.append(_run(test, loop, subject, games, (end - loop.clock()) * share))
    return results


def conclude(
    loop: Loop,
    model: str,
    variant: str,
    results: Sequence[TestResult],
    *,
    seconds: float | None = None,
    candidate: bool = False,
    lease: leases.Lease | None = None,
) -> GateReport:
    """Make the verdict of test results, record it, and return it; the same results are not recorded twice.

    Args:
        loop: the loop.
        model: see `subject_of`.
        variant: such as `square8_2p`.
        results: one per test; a missing one fails the gate.
        seconds: how long the tests took; default: the sum of theirs.
        candidate: record a rejection in the promotion history too, if the gate blocks.
        lease: must still be ours when the verdict is written.

    Raises:
        NoCapacity: another process has taken the lease.
    """
    subject = subject_of(loop, model, variant)
    report = GateReport(
        variant=variant,
        model_digest=subject.digest,
        search=subject.search.identity(),
        tests=tuple(results),
        complete=tuple(sorted(test.name for test in results)) == tuple(sorted(TEST_NAMES)),
        hard_block=loop.config.regression.hard_block,
        seconds=sum(test.seconds for test in results) if seconds is None else seconds,
        config_hash=config_hash(loop.config),
    )
    verdict = "passed" if report.passed else "failed"
    with loop.ledger.begin() as conn:
        if lease is not None:
            lease.check(conn)
        at = loop.clock()
        is_new = gates.add_new(
            conn, variant, subject.digest, gates.REGRESSION, passed=report.passed, report=report.as_json(), at=at
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
    loop.metrics.observe("ringrift_gate_duration_seconds", report.seconds, config=variant, gate=gates.REGRESSION)
    return report


def _run(test: GateTest, loop: Loop, subject: Subject, games: GateGames, deadline_s: float) -> TestResult:
    started = loop.clock()
    try:
        if deadline_s <= 0.0:
            raise GateError("no time left: the tests before it used up regression.timeout_seconds")
        rows = [row for baseline in test.games for row in games.against(baseline, started + deadline_s)]
        result = test.judge(subject, rows, loop.config.regression)
        seconds = loop.clock() - started
        if seconds > deadline_s:
            raise TimeoutError(f"it took {seconds:.1f} s")
    except Exception as error:  # noqa: BLE001 - whatever breaks, that test has failed
        _log.warning("%s of %s failed", test.name, subject.digest[:12], exc_info=True)
        late = f" (deadline {deadline_s:.0f} s)" if isinstance(error, TimeoutError) else ""
        detail = f"not evaluated: {type(error).__name__}: {error}{late}"
        return TestResult(test.name, False, None, None, "", detail, loop.clock() - started)
    return replace(result, name=test.name, seconds=loop.clock() - started)
