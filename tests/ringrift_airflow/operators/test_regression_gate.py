from __future__ import annotations

import argparse
from typing import Any

import pytest

from command_lines import parsed
from ringrift_airflow.operators import regression_gate
from ringrift_airflow.operators.regression_gate import RegressionGateOperator
from ringrift_loop.errors import GateError, GateUndecided, Remedy

MODEL = "5" * 64


class Command:
    """In the place of the child process: answers with a report."""

    def __init__(self, *, passed: bool, hard_block: bool = True) -> None:
        test = {"name": "beats_random", "passed": passed, "detail": "won 2 of 40 games"}
        self.report = {"model_digest": MODEL, "passed": passed, "hard_block": hard_block, "tests": [test]}
        self.arguments = argparse.Namespace()

    def __call__(self, *arguments: str, verdict: bool) -> dict[str, Any]:
        assert verdict  # a "no" is an answer
        self.arguments = parsed(arguments)
        return self.report


class TaskInstance:
    """Keeps what is pushed."""

    def __init__(self) -> None:
        self.pushed: dict[str, Any] = {}
        self.try_number, self.max_tries = 1, 2

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value


def execute(
    monkeypatch: pytest.MonkeyPatch, command: Command, instance: TaskInstance, **options: Any
) -> dict[str, Any]:
    monkeypatch.setattr(regression_gate, "run_command", command)
    operator = RegressionGateOperator(task_id="gate", model="{{ params.model }}", variant="square8_2p", **options)
    context: Any = {"params": {"model": "champion"}, "ti": instance}
    operator.render_template_fields(context)
    return operator.execute(context)


def test_a_gate_that_blocks_fails_the_task_and_leaves_its_report(monkeypatch: pytest.MonkeyPatch) -> None:
    command, instance = Command(passed=False), TaskInstance()
    with pytest.raises(GateError, match=r"blocks 555555555555 \(square8_2p\): beats_random: won 2 of 40 games"):
        execute(monkeypatch, command, instance)
    assert instance.pushed == {"report": command.report}
    assert (command.arguments.command, command.arguments.model, command.arguments.variant) == (
        "regression-gate",
        "champion",
        "square8_2p",
    )
    assert (command.arguments.test, command.arguments.candidate, command.arguments.json) == (None, False, True)


def test_a_candidate_is_told_as_one_so_that_its_rejection_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    command = Command(passed=False)
    with pytest.raises(GateError):
        execute(monkeypatch, command, TaskInstance(), candidate=True)
    assert command.arguments.candidate


def test_a_gate_that_is_recorded_only_lets_the_task_succeed_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    result = execute(monkeypatch, Command(passed=False, hard_block=False), TaskInstance())
    assert (result["model"], result["gate"]) == (MODEL, "beats_random: won 2 of 40 games")


def test_champion_is_told_by_its_digest_when_the_gate_is_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    result = execute(monkeypatch, Command(passed=True), TaskInstance())
    assert (result["model"], result["gate"]) == (MODEL, "passed")


def test_a_test_that_ran_out_of_time_is_tried_again_and_a_result_in_the_last_try(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command, instance = Command(passed=False), TaskInstance()
    command.report |= {"undecided": True, "detail": "not decided in time (284 s)"}
    for instance.try_number in (1, 2):
        with pytest.raises(GateUndecided, match=r"beats_random of champion: not decided in time \(284 s\)"):
            execute(monkeypatch, command, instance, test="beats_random")
    instance.try_number = 3
    assert execute(monkeypatch, command, instance, test="beats_random")["result"] == command.report


def test_a_gate_without_a_verdict_is_worth_another_try_and_leaves_its_report(monkeypatch: pytest.MonkeyPatch) -> None:
    command, instance = Command(passed=False), TaskInstance()
    command.report["undecided"] = True
    with pytest.raises(GateUndecided, match="no verdict yet on 555555555555") as caught:
        execute(monkeypatch, command, instance)
    assert caught.value.remedy is Remedy.TRY_AGAIN
    assert instance.pushed == {"report": command.report}


def test_one_test_that_fails_is_a_result_for_the_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    command = Command(passed=False)
    result = execute(monkeypatch, command, TaskInstance(), test="beats_random")
    assert result == {"model": "champion", "variant": "square8_2p", "result": command.report}
    assert command.arguments.test == "beats_random"
