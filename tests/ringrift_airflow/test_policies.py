from __future__ import annotations

from datetime import timedelta

import pytest
from airflow.exceptions import AirflowClusterPolicyViolation
from airflow.sdk import DAG
from airflow.sdk.bases.operator import BaseOperator

from ringrift_airflow.policies import task_policy


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
