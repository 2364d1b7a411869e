"""The regression gate on a model: one of its six tests, or all of them with a verdict that can block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from ringrift_airflow.commands import run_command
from ringrift_airflow.links import ReportLink, VerdictLink
from ringrift_airflow.settings import loop_config
from ringrift_loop.errors import GateError, GateUndecided

if TYPE_CHECKING:
    from airflow.sdk import Context


class RegressionGateOperator(BaseOperator):
    """Runs the regression gate in a child process of this machine; the task's `execution_timeout` ends it.

    The games are played on a host with the role `tournament` if one is reached by SSH, in the child process otherwise.

    XCom `return_value` (each key also under its own name): `model` and `variant`; with `test` also `result` (the test's
    figure, limit and whether it passed, or None when `promotion.regression_test` is off), without it `gate` (`passed`,
    or why not) and `report` (all results).

    Args:
        model: digest, path of a model's folder, or `champion`.
        variant: such as `square8_2p`.
        test: one of the six tests, alone and without a verdict: a failed test does not fail the task, one that ran out
            of time is tried again, and is a result in the last try. By default all six, and the verdict is recorded in
            the ledger.
        candidate: the model wants to be promoted: with `promotion.regression_test` off nothing is tested, and a verdict
            that blocks goes into the promotion history as a rejection.

    Raises:
        GateUndecided: time ran out before the gate, or the test, could say yes or no; worth a retry.
        GateError: the whole gate was not passed and `regression.hard_block` is on; the report lies in XCom `report`.
        ConfigError: no such model or test.
        NoCapacity: another process tests the model; worth a retry.
        RemoteJobFailed: the child process failed.
    """

    template_fields: Sequence[str] = ("model", "variant", "test")
    ui_color = "#fff2cc"
    operator_extra_links = (VerdictLink(), ReportLink())

    def __init__(
        self, *, model: Any, variant: Any, test: str | None = None, candidate: bool = False, **options: Any
    ) -> None:
        super().__init__(**{"multiple_outputs": True, **options})
        self.model = model
        self.variant = variant
        self.test = test
        self.candidate = candidate

    def execute(self, context: Context) -> dict[str, Any]:
        """Run the command and read its answer."""
        tested = {"model": self.model, "variant": self.variant}
        if self.candidate and not loop_config().promotion.regression_test:
            self.log.warning("not run: promotion.regression_test is off")
            skipped = {"gate": "skipped: promotion.regression_test is off", "report": None}
            return tested | ({"result": None} if self.test else skipped)
        arguments = ("regression-gate", "--model", self.model, "--config", self.variant)
        if self.test:
            result = run_command(*arguments, "--test", self.test, verdict=True)
            instance = context["ti"]
            if result.get("undecided") and instance.try_number <= instance.max_tries:
                raise GateUndecided(f"{self.test} of {self.model}: {result['detail']}")
            return tested | {"result": result}
        candidate = ("--candidate",) if self.candidate else ()
        report = run_command(*arguments, *candidate, "--verbose", "--json", verdict=True)
        tested["model"] = report["model_digest"]
        failed = [f"{each['name']}: {each['detail']}" for each in report["tests"] if not each["passed"]]
        reason = "; ".join(failed) or "not every test was run"
        if report["hard_block"] and not report["passed"]:
            context["ti"].xcom_push(key="report", value=report)
            if report.get("undecided"):
                raise GateUndecided(f"no verdict yet on {tested['model'][:12]} ({self.variant}): {reason}")
            raise GateError(f"the regression gate blocks {tested['model'][:12]} ({self.variant}): {reason}")
        return tested | {"gate": "passed" if report["passed"] else reason, "report": report}
