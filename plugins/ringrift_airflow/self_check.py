"""What `ringrift-loop doctor` asks Airflow: `python -m ringrift_airflow.self_check DAGS [CONNECTION ...]`.

One line of JSON: DAG files that do not load, the pools, connections that do not resolve, periodic DAGs that wait for
longer than they should. No secret is in it.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.sdk import DAG


def main(arguments: list[str]) -> int:
    """Look, and print what was found on stdout; what Airflow says meanwhile goes to stderr."""
    with contextlib.redirect_stdout(sys.stderr):
        from airflow.dag_processing.dagbag import DagBag

        folder = Path(arguments[0])
        bag = DagBag(str(folder), bundle_path=folder, bundle_name="dags-folder", collect_dags=False)
        bag.collect_dags(str(folder))
        errors = {file: error.strip().splitlines()[-1][:500] for file, error in bag.import_errors.items()}
        found = {
            "dags": len(bag.dags),
            "import_errors": errors,
            "pools": _pools(),
            "connections": _unresolved(arguments[1:]),
            "late": _late(bag.dags),
        }
    print(json.dumps(found))  # noqa: T201 - the answer
    return 0


def _pools() -> list[str]:
    from airflow.models.pool import Pool

    return [str(pool.pool) for pool in Pool.get_pools()]


def _late(dags: Mapping[str, DAG]) -> dict[str, float]:
    """The periodic DAGs whose next run is further off than two of their intervals, and how far, in seconds."""
    from airflow.models.dag import DagModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    intervals = {dag.dag_id: dag.timetable.interval_s for dag in dags.values() if hasattr(dag.timetable, "interval_s")}
    columns = (DagModel.dag_id, DagModel.next_dagrun_create_after)
    with create_session() as session:
        rows = session.execute(select(*columns).where(DagModel.dag_id.in_(intervals))).all()
    waits = {dag_id: at.timestamp() - time.time() for dag_id, at in rows if at is not None}
    return {dag_id: wait_s for dag_id, wait_s in waits.items() if wait_s > 2 * intervals[dag_id]}


def _unresolved(names: list[str]) -> dict[str, str]:
    """The connections that no secrets backend, environment or database has, with the kind of error only."""
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    missing = {}
    for name in names:
        try:
            BaseHook.get_connection(name)
        except AirflowNotFoundException:
            missing[name] = "there is no such connection"
    return missing


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
