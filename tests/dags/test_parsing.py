from __future__ import annotations

import configparser
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ringrift_airflow.dag_defaults import GATE_POOL, HOSTS, MATCHES_POOL, OWNER, POOLS, TAG, TRAINING_POOL
from ringrift_loop.config import load_config

IDS = {
    "ringrift_curriculum_rebalance",
    "ringrift_resource_rebalance",
    "ringrift_retention",
    "ringrift_data_sync",
    "ringrift_deploy",
    "ringrift_fleet_command",
    "ringrift_full_tournament",
    "ringrift_promote",
    "ringrift_regression_gate",
    "ringrift_rollback",
    "ringrift_selfplay",
    "ringrift_shadow_tournament",
    "ringrift_training",
    "ringrift_training_wait",
}
EXAMPLES = "plugins/ringrift_airflow/example_dags"
HEAVY = ("torch", "numba", "numpy", "onnx", "onnxruntime", "llvmlite", "scipy")


def test_the_expected_dags_are_there(dags: dict[str, Any]) -> None:
    assert set(dags) == IDS


def test_each_file_is_named_after_its_dag(project: Path) -> None:
    assert {file.stem for file in (project / "dags").glob("*.py")} == IDS


def test_parsing_imports_nothing_heavy_and_opens_no_connection(project: Path) -> None:
    code = f"""
import json, socket, sys
def refuse(*args): raise AssertionError(f"a DAG file opened a connection to {{args[1:]}}")
socket.socket.connect = refuse
from pathlib import Path
from ringrift_airflow.dag_pages import load_dags
for folder in {[str(project / "dags"), str(project / EXAMPLES)]!r}:
    load_dags(Path(folder))
print(json.dumps(sorted(set({HEAVY!r}) & set(sys.modules))))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == []


def test_every_operator_of_the_package_has_an_example_that_the_docs_name(project: Path) -> None:
    from ringrift_airflow.dag_pages import load_dags

    examples = load_dags(project / EXAMPLES)
    own = load_dags(project / "dags")  # what only the loop itself has a use for stands there
    files = {file.stem for file in (project / EXAMPLES).glob("[a-z]*.py")}
    assert set(examples) == {f"example_{name}" for name in files}
    shown = [*examples.values(), own["ringrift_training"]]
    used = {type(task).__module__.rpartition(".")[2] for dag in shown for task in dag.tasks}
    ours = {file.stem for file in (project / "plugins" / "ringrift_airflow" / "operators").glob("[a-z]*.py")}
    assert used >= ours | {"new_games"}
    operations = (project / "docs" / "5-operations.md").read_text()
    assert all(f"`{name}.py`" in operations for name in files)


def test_parsing_twice_gives_the_same_dags(project: Path, dags: dict[str, Any]) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    from ringrift_airflow.dag_pages import load_dags

    again = load_dags(project / "dags")
    for dag_id, dag in dags.items():
        assert DagSerialization.to_dict(dag) == DagSerialization.to_dict(again[dag_id]), dag_id


def test_every_task_has_an_owner_a_time_limit_and_a_pool_of_ours(dags: dict[str, Any]) -> None:
    for dag in dags.values():
        for task in dag.tasks:
            assert task.owner == OWNER, task
            assert task.execution_timeout is not None, task
            assert task.pool in POOLS, task


def test_every_dag_but_the_training_runs_once_at_a_time_and_makes_up_for_nothing(dags: dict[str, Any]) -> None:
    for dag in dags.values():
        assert not dag.catchup
        assert TAG in dag.tags
    at_once = {dag.dag_id: dag.max_active_runs for dag in dags.values() if dag.max_active_runs != 1}
    assert at_once == {"ringrift_training": 3 * len(load_config().variants)}


def test_periodic_dags_start_at_different_times(dags: dict[str, Any]) -> None:
    offsets = [dag.timetable.offset_s % 30 for dag in dags.values() if hasattr(dag.timetable, "offset_s")]
    assert len(set(offsets)) == len(offsets) >= 4


def test_pools_file_has_the_pools_that_the_tasks_use(project: Path, dags: dict[str, Any]) -> None:
    pools = json.loads((project / "config" / "pools.json").read_text())
    assert set(pools) == set(POOLS)
    assert {task.pool for dag in dags.values() for task in dag.tasks} == set(POOLS)
    assert all(pool["slots"] >= 1 for pool in pools.values())


def test_only_one_gate_job_and_one_sync_run_at_a_time(project: Path) -> None:
    pools = json.loads((project / "config" / "pools.json").read_text())
    assert (pools["gate"]["slots"], pools["sync"]["slots"]) == (1, 1)  # trainings are counted in the ledger


def test_long_work_cannot_take_all_of_the_executors_processes(project: Path, dags: dict[str, Any]) -> None:
    pools = json.loads((project / "config" / "pools.json").read_text())
    config = configparser.ConfigParser()
    config.read(project / "config" / "airflow.cfg")
    long = {TRAINING_POOL, GATE_POOL, MATCHES_POOL}
    assert sum(pools[name]["slots"] for name in long) <= config.getint("core", "parallelism") - 2
    minutes = {task.pool for dag in dags.values() for task in dag.tasks if task.execution_timeout > HOSTS}
    by_hand = {"promote", "deploy_hosts"}  # hours only for a gate that must be held again, and for a person
    assert minutes - long == {task.pool for dag in dags.values() for task in dag.tasks if task.task_id in by_hand}


def test_what_ends_something_that_others_wait_for_goes_first_in_its_pool(dags: dict[str, Any]) -> None:
    from airflow.task.weight_rule import WeightRule

    tasks = [task for dag in dags.values() for task in dag.tasks]
    assert {task.weight_rule for task in tasks} == {WeightRule.ABSOLUTE}
    weights = {task.task_id.rpartition(".")[2]: task.priority_weight for task in tasks}
    assert weights["train"] == weights["play_shadow_games"] == weights["wait_for_games"] == 1
    assert weights["beats_random"] < weights["champion_gate"]
    finishing = ("decide", "settle_claim", "promote", "distribute", "confirm_reload", "roll_back")
    assert {weights[name] for name in finishing} == {max(weights.values())}


@pytest.mark.parametrize("dag_id", sorted(IDS))
def test_airflows_database_gives_back_the_same_schedule(dags: dict[str, Any], dag_id: str) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    back = DagSerialization.from_dict(DagSerialization.to_dict(dags[dag_id]))
    assert type(back.timetable).__name__ == type(dags[dag_id].timetable).__name__
    if hasattr(back.timetable, "interval_s"):
        assert back.timetable == dags[dag_id].timetable
