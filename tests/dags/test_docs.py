from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import alert_table
from ringrift_airflow import dag_pages
from ringrift_airflow.dag_pages import page
from ringrift_airflow.endpoints import contract

HINT = "run: python -m ringrift_airflow.dag_pages docs/dags.md"


def test_the_generated_page_is_fresh(project: Path, dags: dict[str, Any]) -> None:
    assert (project / "docs" / "dags.md").read_text(encoding="utf-8") == page(dags.values()), HINT


@pytest.mark.parametrize("generator", [dag_pages, contract, alert_table], ids=lambda module: module.__name__)
@pytest.mark.parametrize(("arguments", "status"), [(["--help"], 0), ([], 2)])
def test_a_generator_that_is_asked_for_help_writes_no_file(
    generator: Any, arguments: list[str], status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        generator.main(arguments)
    assert (ended.value.code, list(tmp_path.iterdir())) == (status, [])


def test_numbered_steps_of_a_docstring_are_its_tasks_and_groups_in_order(dags: dict[str, Any]) -> None:
    for dag in dags.values():
        steps = re.findall(r"^\d+\. \*\*(\w+)\*\*", dag.doc_md, flags=re.MULTILINE)
        tops = {task.task_id.split(".")[0] for task in dag.tasks}
        assert set(steps) == tops, dag.dag_id
        position = {name: index for index, name in enumerate(steps)}
        for task in dag.tasks:
            for upstream in task.upstream_task_ids:
                assert position[upstream.split(".")[0]] <= position[task.task_id.split(".")[0]], dag.dag_id


def test_every_dag_says_where_help_is(dags: dict[str, Any]) -> None:
    for dag in dags.values():
        assert re.search(r"If it fails: docs/5-operations\.md#[a-z-]+", dag.doc_md), dag.dag_id


def test_help_that_is_pointed_to_exists(project: Path, dags: dict[str, Any]) -> None:
    operations = project / "docs" / "5-operations.md"
    headings = re.findall(r"^#+ (.+)$", operations.read_text(encoding="utf-8"), flags=re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    wanted = {match for dag in dags.values() for match in re.findall(r"5-operations\.md#([a-z-]+)", dag.doc_md)}
    assert wanted <= anchors
