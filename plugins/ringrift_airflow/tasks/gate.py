"""The gates a candidate has to pass: six regression tests with one verdict, then the champion it would replace."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from airflow.sdk import TriggerRule, chain, get_current_context, task, task_group
from airflow.sdk.exceptions import AirflowFailException

from ringrift_airflow.commands import run_command
from ringrift_airflow.dag_defaults import (
    CHAMPION_GATE_LIMIT,
    CHAMPION_GATE_PRIORITY,
    CHILD_RETRIES,
    FINISH_PRIORITY,
    GATE_POOL,
    LEDGER_POOL,
    SHORT,
    TESTS_PRIORITY,
)
from ringrift_airflow.operators.regression_gate import RegressionGateOperator
from ringrift_airflow.settings import loop_config, open_loop
from ringrift_loop.errors import GateUndecided
from ringrift_loop.promotion.gate_tests import TEST_NAMES
from ringrift_loop.tournament.duration import longest

_log = logging.getLogger(__name__)

_BASELINES = ("random", "heuristic")
_MOST_SEATS = 4  # games are rounded up to whole blocks

# Starting a child process: what a test may take beyond its share of the gate's time.
_START = timedelta(minutes=1)


def gate_limit() -> timedelta:
    """The longest that a test of any configured variant may take, and a minute to start it in a child process.

    The test itself keeps to the limit of its variant (`ringrift_loop/tournament/duration.py`); this one is for a
    process that hangs.
    """
    config = loop_config()
    games = len(_BASELINES) * (config.regression.games + _MOST_SEATS)
    seconds = longest(config, games, floor_s=config.regression.timeout_seconds, searched=0.5)
    return timedelta(seconds=seconds) + _START


def champion_gate_limit() -> timedelta:
    """What all games of the champion gate may take, of the largest configured variant; at least two hours.

    A gate that was cut off goes on where it was: its games are in the match log.
    """
    config = loop_config()
    games = config.promotion.looks[-1] + _MOST_SEATS
    floor_s = CHAMPION_GATE_LIMIT.total_seconds()
    return timedelta(seconds=longest(config, games, floor_s=floor_s, slowness=1.0))


# A test that crashed left no result, one that ran out of time in every try an undecided one: the verdict has to say so,
# and does not ask for success of all. Without any result (no candidate was trained) there is nothing to decide.
@task(
    pool=LEDGER_POOL,
    execution_timeout=SHORT,
    priority_weight=FINISH_PRIORITY,
    trigger_rule=TriggerRule.ALL_DONE_MIN_ONE_SUCCESS,
)
def decide(candidate: bool) -> dict[str, Any]:
    """The verdict on the six results, written to the ledger; a blocked candidate fails the task.

    So does one without a verdict, because tests ran out of time in every try: it is not rejected, and not tried again
    by itself.
    """
    from ringrift_loop.promotion.regression import conclude
    from ringrift_loop.promotion.report import TestResult, gate_table

    found = [each for each in get_current_context()["ti"].xcom_pull(task_ids=_sibling_ids()) if each is not None]
    model, variant = found[0]["model"], found[0]["variant"]
    loop = open_loop()
    if candidate and not loop.config.promotion.regression_test:
        return {"model": model, "variant": variant, "gate": "skipped: promotion.regression_test is off"}
    results = [TestResult(**each["result"]) for each in found if each["result"] is not None]
    report = conclude(loop, model, variant, results, candidate=candidate)
    _log.info("%s", gate_table(report, verbose=True))
    try:
        report.require()
    except GateUndecided as error:  # the tests have had their tries
        again = (
            f'airflow dags trigger ringrift_regression_gate --conf \'{{"model": "{model}", "variant": "{variant}"}}\''
        )
        raise AirflowFailException(f"{error}. It is not rejected; try it again with: {again}") from error
    return {"model": report.model_digest, "variant": variant, "gate": "passed" if report.passed else report.reason}


def _sibling_ids() -> list[str]:
    """The task ids of the six tests beside the running task, with its group's prefix."""
    group, dot, _ = get_current_context()["ti"].task_id.rpartition(".")
    return [f"{group}{dot}{name}" for name in TEST_NAMES]


@task_group
def regression_gate(model: Any, variant: Any, *, candidate: bool) -> Any:
    """Six tests in this order, each of which finds the games that those before it have played; then the verdict.

    Args:
        model: digest, path or `champion`.
        variant: such as `square8_2p`.
        candidate: the model wants to be promoted: a rejection goes into the promotion history, and
            `promotion.regression_test: false` skips the tests.
    """
    tests = [
        RegressionGateOperator(
            task_id=name,
            test=name,
            model=model,
            variant=variant,
            candidate=candidate,
            pool=GATE_POOL,
            priority_weight=TESTS_PRIORITY,
            execution_timeout=gate_limit(),
            **CHILD_RETRIES,
        )
        for name in TEST_NAMES
    ]
    verdict = decide(candidate)
    # The first of the four that need games plays them and has the time for it (ringrift_loop/promotion/gate_tests.py).
    chain(*tests)
    tests >> verdict
    return verdict


@task(
    pool=GATE_POOL,
    priority_weight=CHAMPION_GATE_PRIORITY,
    execution_timeout=champion_gate_limit(),
    **CHILD_RETRIES,
)
def champion_gate(verdict: dict[str, Any]) -> dict[str, Any]:
    """Games against the champion, here or on a tournament host, until the sequential test in a child has decided."""
    arguments = ("--model", verdict["model"], "--config", verdict["variant"], "--json")
    return run_command("champion-gate", *arguments, verdict=True)
