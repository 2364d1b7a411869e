"""Generates `docs/dags.md` from the DAG files: `python -m ringrift_airflow.dag_pages docs/dags.md`.

A test fails when the page differs from what this module writes now.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ringrift_airflow.assets import TRAINING_DUE
from ringrift_airflow.timetables import AgainTimetable, OffsetTimetable
from ringrift_loop.errors import ConfigError

if TYPE_CHECKING:
    from airflow.sdk import DAG

_HEADER = """# The DAGs

Generated from the files in `dags/` by `python -m ringrift_airflow.dag_pages docs/dags.md`; change those, not this page.
Intervals are those of the default configuration.
"""


def load_dags(folder: Path) -> dict[str, DAG]:
    """The project's DAGs by id.

    Raises:
        ConfigError: a file does not load; the message holds every error.
    """
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(str(folder), bundle_path=folder, bundle_name="dags-folder", collect_dags=False)
    bag.collect_dags(str(folder))
    if bag.import_errors:
        raise ConfigError("\n".join(f"{file}: {error}" for file, error in bag.import_errors.items()))
    return dict(sorted(bag.dags.items()))


def page(dags: Iterable[DAG]) -> str:
    """The whole page in Markdown."""
    return "\n".join([_HEADER, *(_section(dag) for dag in dags)])


def _section(dag: DAG) -> str:
    title, _, text = (dag.doc_md or "").strip().partition("\n")
    rows = [_row(task) for task in dag.topological_sort()]  # type: ignore[no-untyped-call] # Airflow's own
    lines = [
        f"## {title.lstrip('# ')}: `{dag.dag_id}`",
        text.strip(),
        f"Starts: {schedule_text(dag)}. Tags: {', '.join(sorted(dag.tags))}.",
        "\n".join(["| task | pool | time limit | retries | after |", "|---|---|---|---|---|", *rows]),
    ]
    return "\n\n".join(lines) + "\n"


def schedule_text(dag: DAG) -> str:
    """When a DAG runs, in words."""
    schedule: Any = dag.schedule  # Airflow's declared type leaves out what a person writes there
    if isinstance(schedule, (OffsetTimetable, AgainTimetable)):
        return schedule.description
    if schedule is None:
        return "by hand only"
    return f"at an event of the asset `{TRAINING_DUE.name}`, or by hand"


def _row(task: Any) -> str:
    limit = task.execution_timeout.total_seconds()
    shown = f"{limit / 60:g} min" if limit < 7200 or limit % 360 else f"{limit / 3600:g} h"
    after = ", ".join(f"`{name}`" for name in sorted(task.upstream_task_ids)) or "—"
    return f"| `{task.task_id}` | {task.pool} | {shown} | {task.retries} | {after} |"


def main(arguments: list[str]) -> int:
    """Write the page of the `dags/` folder that lies beside the page's own folder."""
    parser = argparse.ArgumentParser(prog="python -m ringrift_airflow.dag_pages", description=main.__doc__)
    parser.add_argument("page", type=Path, help="the file to write")
    target = parser.parse_args(arguments).page
    target.write_text(page(load_dags(target.resolve().parents[1] / "dags").values()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
