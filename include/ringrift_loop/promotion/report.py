"""What the regression gate finds out, and how people see it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ringrift_loop.errors import GateError, GateUndecided


@dataclass(frozen=True)
class TestResult:
    """The outcome of one of the gate's tests."""

    __test__ = False  # pytest: not a test class

    name: str
    passed: bool
    figure: float | None
    """What was measured, in `unit`; None if the test could not be evaluated, which is a failure."""
    limit: float | None
    """What the figure is compared with."""
    unit: str
    detail: str
    """One sentence: intervals, counts, or why the test failed."""
    seconds: float
    undecided: bool = False
    """It neither passed nor failed: time ran out, or something was away. Nothing is known against the model."""


@dataclass(frozen=True)
class GateReport:
    """The verdict on one model."""

    variant: str
    model_digest: str
    search: str
    """Identity of the search that the model played with."""
    tests: tuple[TestResult, ...]
    """The six, and the precondition where the model's training was measured."""
    complete: bool
    """Whether every test of the gate is among them."""
    hard_block: bool
    seconds: float
    config_hash: str
    """Of the configuration that set the limits."""

    @property
    def passed(self) -> bool:
        """Whether every test was run and passed."""
        return self.complete and all(test.passed for test in self.tests)

    @property
    def undecided(self) -> bool:
        """Whether it did not pass and nothing speaks against the model either: no verdict."""
        return not self.passed and all(test.passed or test.undecided for test in self.tests)

    @property
    def verdict(self) -> str:
        """`passed`, `failed` or `undecided`."""
        return "passed" if self.passed else "undecided" if self.undecided else "failed"

    @property
    def reason(self) -> str:
        """Why it did not pass; empty if it did."""
        failed = [f"{test.name}: {test.detail}" for test in self.tests if not test.passed]
        if not self.complete:
            failed.append("not every test was run")
        return "; ".join(failed)

    def require(self) -> None:
        """Return if a promotion may go on.

        Raises:
            GateUndecided: it ran out of time and `regression.hard_block` is on.
            GateError: the gate was not passed and `regression.hard_block` is on.
        """
        if self.hard_block and self.undecided:
            name = f"{self.model_digest[:12]} ({self.variant})"
            raise GateUndecided(f"the regression gate has no verdict on {name} yet, so it blocks it: {self.reason}")
        if self.hard_block and not self.passed:
            raise GateError(f"the regression gate blocks {self.model_digest[:12]} ({self.variant}): {self.reason}")

    def as_json(self) -> dict[str, Any]:
        """The report as a JSON document, with the verdict."""
        tests = [asdict(test) for test in self.tests]
        return {**asdict(self), "tests": tests, "passed": self.passed, "undecided": self.undecided}


def gate_table(report: GateReport, *, verbose: bool = False) -> str:
    """Return the report as a table for a terminal or a log; `verbose` adds each test's sentence."""
    width = max((len(test.name) for test in report.tests), default=4)
    lines = [f"{report.variant}  model {report.model_digest[:12]}  search {report.search}"]
    lines.append(f"{'test':{width}}  {'':4}  {'figure':>10}  {'limit':>10}  unit        seconds")
    for test in report.tests:
        verdict = "pass" if test.passed else "open" if test.undecided else "FAIL"
        figures = f"{_number(test.figure):>10}  {_number(test.limit):>10}  {test.unit:10}"
        lines.append(f"{test.name:{width}}  {verdict}  {figures}  {test.seconds:7.1f}")
        if verbose or not test.passed:
            lines.append(f"{'':{width}}  {test.detail}")
    verdict = report.verdict if report.passed else report.verdict.upper()
    blocks = "" if report.passed or report.hard_block else " (recorded only: regression.hard_block is off)"
    lines.append(f"gate {verdict} in {report.seconds:.1f} s{blocks}")
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
