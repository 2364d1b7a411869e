from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from ringrift_airflow.assets import TRAINING_DUE
from ringrift_airflow.deadlines import RunMade
from ringrift_loop.promotion.gate_tests import GATE_TESTS, TEST_NAMES


def upstream_of(dag: Any, task_id: str) -> set[str]:
    """Every task that has to end before this one starts."""
    return dag.get_task(task_id).get_flat_relative_ids(upstream=True)


def test_nothing_is_promoted_before_both_gates(dags: dict[str, Any]) -> None:
    before = upstream_of(dags["ringrift_training"], "promote")
    assert {"train", "regression_gate.decide", "champion_gate"} <= before
    assert {f"regression_gate.{name}" for name in TEST_NAMES} <= before


@pytest.mark.parametrize(
    ("dag_id", "move"),
    [("ringrift_training", "promote"), ("ringrift_promote", "promote"), ("ringrift_rollback", "roll_back")],
)
def test_a_person_is_asked_before_a_champion_changes(dags: dict[str, Any], dag_id: str, move: str) -> None:
    task = dags[dag_id].get_task("approve")
    assert move in task.downstream_task_ids
    assert set(task.downstream_task_ids) == {move}
    assert task.response_timeout is not None and dags[dag_id].get_task(move).trigger_rule.value == "all_success"


def test_nothing_is_distributed_before_it_is_promoted(dags: dict[str, Any]) -> None:
    assert "promote" in upstream_of(dags["ringrift_training"], "distribute")
    assert "distribute" in upstream_of(dags["ringrift_training"], "confirm_reload")


def test_a_training_has_its_deadline_and_nothing_else_has_one(dags: dict[str, Any]) -> None:
    (deadline,) = dags["ringrift_training"].deadline
    assert (deadline.interval, deadline.reference) == (timedelta(seconds=7200), RunMade())
    assert deadline.callback.path == "ringrift_airflow.deadlines.tell_stuck_training"
    assert {name for name, dag in dags.items() if dag.deadline} == {"ringrift_training"}


def test_nothing_is_deleted_before_the_ledger_was_audited(dags: dict[str, Any]) -> None:
    dag = dags["ringrift_retention"]
    assert {task.trigger_rule.value for task in dag.tasks} == {"all_success"}
    for task_id in ("delete_old_files", "clean_airflow_tables"):
        assert "check_ledger" in upstream_of(dag, task_id)


def test_a_failed_task_stops_everything_after_it_but_the_verdict(dags: dict[str, Any]) -> None:
    lenient = {
        task.task_id: task.trigger_rule.value
        for task in dags["ringrift_training"].tasks
        if task.trigger_rule.value != "all_success"
    }
    assert lenient == {"regression_gate.decide": "all_done_min_one_success", "settle_claim": "all_done_setup_success"}


def test_claim_is_settled_whatever_becomes_of_the_training(dags: dict[str, Any]) -> None:
    dag = dags["ringrift_training"]
    assert dag.get_task("claim_games").is_setup
    assert dag.get_task("settle_claim").is_teardown
    assert dag.get_task("settle_claim").upstream_task_ids == {"claim_games", "champion_gate"}


def test_the_variants_next_training_waits_for_the_gates_and_not_for_the_promotion(dags: dict[str, Any]) -> None:
    before = upstream_of(dags["ringrift_training"], "settle_claim")
    assert before >= {"champion_gate", "regression_gate.decide", "train"}
    assert not before & {"promote", "distribute", "confirm_reload"}


def test_all_six_tests_and_nothing_else_feed_the_verdict(dags: dict[str, Any]) -> None:
    for dag_id in ("ringrift_training", "ringrift_regression_gate"):
        verdict = dags[dag_id].get_task("regression_gate.decide")
        assert verdict.upstream_task_ids == {f"regression_gate.{name}" for name in TEST_NAMES}


def test_the_test_that_has_the_time_to_play_the_games_is_the_first_that_needs_them(dags: dict[str, Any]) -> None:
    playing = [test for test in GATE_TESTS if test.games]
    assert playing[0].weight > max(test.weight for test in playing[1:])
    for dag_id in ("ringrift_training", "ringrift_regression_gate"):
        for first, second in pairwise(TEST_NAMES):
            before = dags[dag_id].get_task(f"regression_gate.{second}").upstream_task_ids
            assert f"regression_gate.{first}" in before


def test_waiting_wakes_the_training(dags: dict[str, Any]) -> None:
    assert dags["ringrift_training_wait"].get_task("wait_for_games").outlets == [TRAINING_DUE]
    assert list(dags["ringrift_training"].schedule) == [TRAINING_DUE]


def test_results_that_are_handed_on_have_the_fields_that_are_asked_for() -> None:
    from dataclasses import fields

    from ringrift_loop.promotion.champion import ChampionReport
    from ringrift_loop.promotion.promote import PromotionRecord
    from ringrift_loop.training.report import TrainingReport

    # The DAG asks for these by name, and a name that is not there is handed on as None.
    assert {"model_digest", "variant"} <= set(TrainingReport.__struct_fields__)
    for record in (ChampionReport, PromotionRecord):
        assert "model_digest" in {field.name for field in fields(record)}


def test_training_by_hand_takes_any_variant_of_the_configuration_and_no_other(dags: dict[str, Any]) -> None:
    from ringrift_loop.config import load_config

    param = dags["ringrift_training"].params.get_param("variant")
    assert param.schema["enum"] == [None, *load_config().variants]
    assert param.value is None


def test_the_health_of_the_loop_names_tasks_that_exist(dags: dict[str, Any]) -> None:
    from ringrift_loop.status.health import _TASKS

    known = [f"{dag.dag_id}.{task.task_id}" for dag in dags.values() for task in dag.tasks]
    for prefix in (prefix for prefixes in _TASKS.values() for prefix in prefixes):
        assert any(name.startswith(prefix) for name in known), prefix
