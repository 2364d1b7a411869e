"""Links as Airflow computes them: in the task's process, read back from XCom by the API server."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest

from ringrift_airflow.links import job_id
from ringrift_airflow.operators.approve_move import ApproveMoveOperator
from ringrift_airflow.operators.distribute_model import DistributeModelOperator
from ringrift_airflow.operators.gpu_job import GpuJobOperator
from ringrift_airflow.operators.promote_model import PromoteModelOperator
from ringrift_airflow.operators.regression_gate import RegressionGateOperator
from ringrift_airflow.operators.ssh_fan_out import SSHFanOutOperator
from ringrift_airflow.operators.train_model import TrainModelOperator
from ringrift_airflow.plugin import RingRiftPlugin
from ringrift_airflow.sensors.new_games import NewGamesSensor

OPERATORS: list[Any] = [
    SSHFanOutOperator(task_id="t", command="secret"),
    NewGamesSensor(task_id="t"),
    RegressionGateOperator(task_id="t", model="m", variant="v"),
    PromoteModelOperator(task_id="t", model="m"),
    DistributeModelOperator(task_id="t", model="m"),
]


def key(map_index: int = -1) -> Any:
    return SimpleNamespace(
        dag_id="d", task_id="group.t", run_id="manual__2025-01-01T00:00:00+00:00", map_index=map_index
    )


def links(operator: Any, **options: Any) -> dict[str, str]:
    return {each.name: each.get_link(operator, ti_key=key(**options)) for each in operator.operator_extra_links}


def link(operator: Any, **options: Any) -> str:
    """The one that leads to a page of Airflow's own."""
    (only,) = [where for where in links(operator, **options).values() if "/plugin/ringrift/" not in where]
    return only


def test_each_operator_leads_to_a_page_of_airflow_that_exists() -> None:
    paths = {type(operator).__name__: urlsplit(link(operator)).path for operator in OPERATORS}
    run = "/dags/d/runs/manual__2025-01-01T00%3A00%3A00%2B00%3A00"
    assert paths == {
        "SSHFanOutOperator": f"{run}/tasks/group.t/xcom",
        "NewGamesSensor": "/dags/ringrift_training",
        "RegressionGateOperator": run,
        "PromoteModelOperator": "/dags/ringrift_rollback",
        "DistributeModelOperator": "/dags/ringrift_selfplay",
    }
    dags = {file.stem for file in (Path(__file__).resolve().parents[2] / "dags").glob("*.py")}
    assert {path.rpartition("/")[2] for path in paths.values() if path.count("/") == 2} <= dags
    assert link(OPERATORS[0], map_index=3).endswith("/tasks/group.t/mapped/3/xcom")
    assert not any("secret" in link(operator) for operator in OPERATORS)


def test_a_training_leads_to_its_losses_and_to_its_job() -> None:
    found = links(TrainModelOperator(task_id="t", run_id="r", wait_s=1))
    run = "/dags/d/runs/manual__2025-01-01T00%3A00%3A00%2B00%3A00"
    assert list(found) == ["Results of the hosts", "Job and host", "Progress and losses"]
    assert urlsplit(found["Progress and losses"]).path == f"{run}/plugin/ringrift-dag_run"
    assert any(app["url_route"] == "ringrift-dag_run" for app in RingRiftPlugin.react_apps)
    # The id of the job that the operator begins for this very task instance.
    assert found["Job and host"].endswith(f"/plugin/ringrift/hosts?job={job_id(key())}")
    assert links(GpuJobOperator(task_id="t", command="c", role="r", limit_s=1), map_index=3)["Job and host"].endswith(
        job_id(key(map_index=3))
    )


def test_what_is_done_with_a_model_leads_to_its_history_on_the_page_models() -> None:
    digest = "ab" * 32
    gate = RegressionGateOperator(task_id="t", model=digest, variant="hex8_2p")
    assert links(gate)["Report of the gate"].endswith(
        f"/plugin/ringrift/models?config=hex8_2p&model={digest}&part=regression"
    )
    assert links(DistributeModelOperator(task_id="t", model=digest))["The model"].endswith(f"/models?model={digest}")
    assert links(ApproveMoveOperator(task_id="t", variant="hex8_2p"))["The model"].endswith("/models?config=hex8_2p")


@pytest.mark.parametrize("named", ["champion", "/run/models/abc", "x&part=<script>", None])
def test_a_model_that_is_not_named_by_its_digest_leads_to_its_variant(named: str | None) -> None:
    found = links(PromoteModelOperator(task_id="t", model=named, variant="hex8_2p"))
    assert found["The model"].endswith("/plugin/ringrift/models?config=hex8_2p")


def test_links_have_the_address_that_airflow_is_served_under(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://loop.example/airflow/")
    assert link(OPERATORS[3]) == "https://loop.example/airflow/dags/ringrift_rollback"


def test_the_api_server_reads_each_link_from_the_xcom_that_the_task_wrote() -> None:
    from airflow.sdk import DAG
    from airflow.serialization.serialized_objects import DagSerialization

    with DAG("d", schedule=None) as dag:
        for number, operator in enumerate(OPERATORS):
            type(operator)(
                task_id=f"t{number}", **{name: "x" for name in ("model", "variant") if hasattr(operator, name)}
            )

    back = DagSerialization.from_dict(DagSerialization.to_dict(dag))

    for number, operator in enumerate(OPERATORS):
        kept = back.get_task(f"t{number}").operator_extra_links
        assert {type(read).__name__ for read in kept} == {"XComOperatorLink"}
        assert [(read.name, read.xcom_key) for read in kept] == [
            (written.name, written.xcom_key) for written in operator.operator_extra_links
        ]


def test_the_plugin_registers_every_link() -> None:
    from ringrift_airflow.plugin import RingRiftPlugin

    operators = [*OPERATORS, TrainModelOperator(task_id="t", run_id="r", wait_s=1)]
    used = {type(each) for operator in operators for each in operator.operator_extra_links}
    assert {type(each) for each in RingRiftPlugin.operator_extra_links} == used
