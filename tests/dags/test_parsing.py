from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ringrift_airflow.dag_defaults import OWNER, POOLS, TAG

IDS = {
    "ringrift_curriculum_rebalance",
    "ringrift_resource_rebalance",
    "ringrift_data_sync",
    "ringrift_deploy",
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


def test_every_dag_runs_once_at_a_time_and_makes_up_for_nothing(dags: dict[str, Any]) -> None:
    for dag in dags.values():
        assert (dag.max_active_runs, dag.catchup) == (1, False), dag.dag_id
        assert TAG in dag.tags


def test_periodic_dags_start_at_different_times(dags: dict[str, Any]) -> None:
    offsets = [dag.timetable.offset_s % 30 for dag in dags.values() if hasattr(dag.timetable, "offset_s")]
    assert len(set(offsets)) == len(offsets) >= 4


def test_pools_file_has_the_pools_that_the_tasks_use(project: Path, dags: dict[str, Any]) -> None:
    pools = json.loads((project / "config" / "pools.json").read_text())
    assert set(pools) == set(POOLS)
    assert {task.pool for dag in dags.values() for task in dag.tasks} == set(POOLS)
    assert all(pool["slots"] >= 1 for pool in pools.values())


def test_only_one_training_and_one_gate_job_run_at_a_time(project: Path) -> None:
    pools = json.loads((project / "config" / "pools.json").read_text())
    assert (pools["training"]["slots"], pools["gate"]["slots"], pools["sync"]["slots"]) == (1, 1, 1)


@pytest.mark.parametrize("dag_id", sorted(IDS))
def test_airflows_database_gives_back_the_same_schedule(dags: dict[str, Any], dag_id: str) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    back = DagSerialization.from_dict(DagSerialization.to_dict(dags[dag_id]))
    assert type(back.timetable).__name__ == type(dags[dag_id].timetable).__name__
    if hasattr(back.timetable, "interval_s"):
        assert back.timetable == dags[dag_id].timetable
