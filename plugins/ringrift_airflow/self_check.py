"""What `ringrift-loop doctor` wants to know of Airflow: `python -m ringrift_airflow.self_check DAGS [CONNECTION ...]`.

One line of JSON: DAG files that do not load, the pools, connections that do not resolve. No secret is in it.
"""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path


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
        }
    print(json.dumps(found))  # noqa: T201 - the answer
    return 0


def _pools() -> list[str]:
    from airflow.models.pool import Pool

    return [str(pool.pool) for pool in Pool.get_pools()]


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
