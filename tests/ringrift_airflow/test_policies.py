from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from airflow.exceptions import AirflowClusterPolicyViolation
from airflow.sdk import DAG
from airflow.sdk.bases.operator import BaseOperator
from hypothesis import given
from hypothesis import strategies as st

from ringrift_airflow.dag_defaults import FINISH_PRIORITY, PRIORITY, TESTS_PRIORITY, oldest_first
from ringrift_airflow.policies import task_instance_mutation_hook, task_policy


def a_task(dag_id: str, **kwargs: object) -> BaseOperator:
    with DAG(dag_id):
        return BaseOperator(task_id="step", **kwargs)


def test_refuses_a_task_of_ours_and_names_everything_that_is_missing() -> None:
    with pytest.raises(AirflowClusterPolicyViolation, match=r"ringrift_x\.step lacks an owner.*timeout.*pool"):
        task_policy(a_task("ringrift_x"))


def test_accepts_a_complete_task() -> None:
    task_policy(a_task("ringrift_x", owner="ringrift", pool="ledger", execution_timeout=timedelta(minutes=1)))


def test_leaves_other_peoples_dags_alone() -> None:
    task_policy(a_task("payroll"))


def test_airflow_finds_the_policy_by_its_entry_point() -> None:
    from airflow.settings import get_policy_plugin_manager

    with pytest.raises(AirflowClusterPolicyViolation):
        get_policy_plugin_manager().hook.task_policy(task=a_task("ringrift_x"))


NOW = datetime(2026, 11, 29, tzinfo=UTC)


@given(
    weights=st.tuples(st.integers(PRIORITY, FINISH_PRIORITY), st.integers(PRIORITY, FINISH_PRIORITY)),
    ages_s=st.tuples(st.integers(0, 10**8), st.integers(0, 10**8)),
)
def test_the_priority_counts_first_and_of_equal_ones_the_older_run(
    weights: tuple[int, int], ages_s: tuple[int, int]
) -> None:
    one, other = (
        oldest_first(weight, NOW - timedelta(seconds=age)) for weight, age in zip(weights, ages_s, strict=True)
    )
    assert (one > other) == ((weights[0], ages_s[0]) > (weights[1], ages_s[1]))
    assert 0 < one < 2**31  # Airflow's column


def a_task_instance(pool: str, weight: int) -> SimpleNamespace:
    return SimpleNamespace(pool=pool, priority_weight=weight)


def test_the_age_goes_into_the_weight_once_and_in_the_loops_pools_alone() -> None:
    run = SimpleNamespace(run_after=NOW)
    ours, theirs = a_task_instance("gate", TESTS_PRIORITY), a_task_instance("default_pool", TESTS_PRIORITY)
    for _ in range(2):  # Airflow asks again whenever it looks for tasks that a run lacks
        task_instance_mutation_hook(ours, run)
        task_instance_mutation_hook(theirs, run)
    assert ours.priority_weight == oldest_first(TESTS_PRIORITY, NOW)
    assert theirs.priority_weight == TESTS_PRIORITY
    task_instance_mutation_hook(ours, None)  # before it belongs to a run


def test_a_stranger_in_the_gates_pool_waits_its_turn_whatever_weight_it_gives_itself() -> None:
    early, late = a_task_instance("gate", FINISH_PRIORITY), a_task_instance("gate", 10_000)
    task_instance_mutation_hook(early, SimpleNamespace(run_after=NOW))
    task_instance_mutation_hook(late, SimpleNamespace(run_after=NOW + timedelta(seconds=1)))
    assert early.priority_weight > late.priority_weight
