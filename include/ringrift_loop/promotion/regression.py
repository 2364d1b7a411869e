"""The regression gate: the deployment guide's six tests, each of which must pass before a model may be promoted.

Beside them stands a precondition, which needs no games and no time: what a candidate has memorised does not count
(precondition.py).

A test that cannot be evaluated never counts as a pass: an exception or a missing file is a failure. Where time ran out,
or a host or the ledger was away, the test is undecided: the gate has no verdict then, which blocks a promotion but
records nothing against the model. How long a test may take follows from what its games cost. Each test can be run
alone, for instance as a task of its own; the games against the baselines are kept in the match log, so that a test
finds those that another has played.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from ringrift_loop.config import config_hash
from ringrift_loop.engine.rules import variant as variant_of
from ringrift_loop.errors import ConfigError, ModelError, Remedy, as_loop_error
from ringrift_loop.ledger import gates, leases, promotions
from ringrift_loop.loop import Loop
from ringrift_loop.machine.run_queue import queued_s
from ringrift_loop.promotion.games import GateGames
from ringrift_loop.promotion.gate_tests import GATE_TESTS, TEST_NAMES, GateTest
from ringrift_loop.promotion.precondition import judge_holdout
from ringrift_loop.promotion.report import GateReport, TestResult
from ringrift_loop.promotion.subject import Subject, subject_of
from ringrift_loop.tournament.arena import Arena
from ringrift_loop.tournament.duration import games_limit, slowness

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
        deadline_s: seconds the test may take, without those in which others had the processor; default: its share of
            `regression.timeout_seconds`, or what its games need with this model (`tournament/duration.py`).
        arena: where games are played; default: the rules engine.

    Returns:
        The result; whatever went wrong while the test ran is a failure, or undecided, with its reason.

    Raises:
        ConfigError: no such test, or no such model.
        GateError: `champion`, and the variant has none.
    """
    test = next((test for test in GATE_TESTS if test.name == name), None)
    if test is None:
        raise ConfigError(f"a test of the regression gate is one of {', '.join(TEST_NAMES)}, got {name!r}")
    subject = subject_of(loop, model, variant)
    if deadline_s is None:
        deadline_s = _allowances(loop, subject, [test])[name]
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

    Time that a test leaves over goes to those after it; the whole ends within `timeout_s`, by default what the tests
    may take together (see `run_test`); time in which others had the processor does not count.

    Raises:
        NoCapacity: another process runs the gate on this model, or has taken that over meanwhile.
        ConfigError: no such model.
        GateError: `champion`, and the variant has none.
    """
    subject = subject_of(loop, model, variant)
    games = GateGames(loop, subject, arena)
    started = loop.clock()
    allowances = _allowances(loop, subject, GATE_TESTS)
    end = _deadline(loop, sum(allowances.values()) if timeout_s is None else timeout_s)
    with leases.hold(loop.ledger, f"regression-gate:{subject.digest[:16]}", clock=loop.clock) as lease:
        results = _run_all(loop, subject, games, end, allowances)
        seconds = loop.clock() - started
        return conclude(loop, model, variant, results, seconds=seconds, candidate=candidate, lease=lease)


def _allowances(loop: Loop, subject: Subject, tests: Sequence[GateTest]) -> dict[str, float]:
    """Seconds that each test may take: its share of `regression.timeout_seconds`, and more where its games need it."""
    config, players = loop.config, variant_of(subject.variant).players
    seconds = config.regression.timeout_seconds / sum(test.weight for test in GATE_TESTS)
    games = -(-config.regression.games // players) * players
    slow = slowness(config, subject.variant, _rate(subject) if any(test.games for test in tests) else None)
    return {
        test.name: games_limit(
            config,
            subject.variant,
            games * len(test.games),
            floor_s=seconds * test.weight,
            searched=1.0 / players,
            slowness=slow,
        )
        for test in tests
    }


def _rate(subject: Subject) -> float | None:
    """The model's evaluations a core-second on this machine; None when it does not load, which its tests will tell."""
    from ringrift_loop.promotion.model_tests import evaluations_per_core_second

    try:
        return evaluations_per_core_second(subject)
    except ModelError:
        return None


def _deadline(loop: Loop, seconds: float) -> Callable[[], float]:
    """When so many seconds from now are over, UTC seconds: later and later while others have the processor."""
    end = loop.clock() + seconds - queued_s()
    return lambda: end + queued_s()


def _run_all(
    loop: Loop, subject: Subject, games: GateGames, end: Callable[[], float], allowances: Mapping[str, float]
) -> list[TestResult]:
    results = []
    for number, test in enumerate(GATE_TESTS):
        share = allowances[test.name] / sum(allowances[left.name] for left in GATE_TESTS[number:])
        results.append(_run(test, loop, subject, games, (end() - loop.clock()) * share))
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
    """Make the verdict of test results and the precondition, record it, and return it; the same one not twice.

    Args:
        loop: the loop.
        model: see `subject_of`.
        variant: such as `square8_2p`.
        results: one per test; a missing one fails the gate.
        seconds: how long the tests took; default: the sum of theirs.
        candidate: record a rejection in the promotion history too, if a test has failed and the gate blocks.
        lease: must still be ours when the verdict is written.

    Raises:
        NoCapacity: another process has taken the lease.
    """
    subject = subject_of(loop, model, variant)
    with loop.ledger.read() as conn:
        holdout = judge_holdout(conn, subject.digest)
    report = GateReport(
        variant=variant,
        model_digest=subject.digest,
        search=subject.search.identity(),
        tests=tuple(results) if holdout is None else (*results, holdout),
        complete=tuple(sorted(test.name for test in results)) == tuple(sorted(TEST_NAMES)),
        hard_block=loop.config.regression.hard_block,
        seconds=sum(test.seconds for test in results) if seconds is None else seconds,
        config_hash=config_hash(loop.config),
    )
    verdict = report.verdict
    with loop.ledger.begin() as conn:
        if lease is not None:
            lease.check(conn)
        at = loop.clock()
        # No verdict, none to keep: the model's last one stands, and the history tells that this one is missing. Where
        # the gate is recorded only, a promotion goes on with what there is.
        is_new = (report.undecided and report.hard_block) or gates.add_new(
            conn, variant, subject.digest, gates.REGRESSION, passed=report.passed, report=report.as_json(), at=at
        )
        if is_new:
            message = f"regression gate of {variant}: {subject.digest[:12]} {verdict}. {report.reason}".strip()
            loop.record(conn, "gate", message, variant=variant, model=subject.digest)
        is_rejected = candidate and report.hard_block and verdict == "failed" and subject.registered
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
            raise TimeoutError("no time left: the tests before it used up all of it")
        deadline = _deadline(loop, deadline_s)
        rows = [row for baseline in test.games for row in games.against(baseline, deadline)]
        result = test.judge(subject, rows, loop.config.regression)
    except Exception as error:  # noqa: BLE001 - whatever breaks, that test has not passed
        _log.warning("%s of %s was not evaluated", test.name, subject.digest[:12], exc_info=True)
        late = isinstance(error, TimeoutError)
        own = as_loop_error(error)
        what = f"not decided in time ({deadline_s:.0f} s)" if late else f"not evaluated: {type(error).__name__}"
        undecided = late or (own is not None and own.remedy is not Remedy.FAIL)
        return TestResult(
            test.name, False, None, None, "", f"{what}: {error}", loop.clock() - started, undecided=undecided
        )
    return replace(result, name=test.name, seconds=loop.clock() - started)
