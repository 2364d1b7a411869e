"""How long each DAG file takes to parse, and what one fresh process pays for the first.

The dag processor forks for every file from a process that has Airflow loaded, so a file's own time is what counts; the
first row includes the imports that all files share. `--json` prints one JSON line last.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
LIMIT_S = 0.5


def measure() -> dict[str, float]:
    """Seconds per DAG file, in the order of their names, in this process."""
    from airflow.dag_processing.dagbag import DagBag

    took = {}
    folder = PROJECT / "dags"
    for file in sorted(folder.glob("*.py")):
        bag = DagBag(str(folder), bundle_path=folder, bundle_name="dags-folder", collect_dags=False)
        started = time.perf_counter()
        bag.process_file(str(file), only_if_updated=False, safe_mode=False)
        took[file.name] = time.perf_counter() - started
        if bag.import_errors:
            raise SystemExit(f"{file} does not load: {bag.import_errors}")
    return took


def main() -> int:
    """Measure and print; fails when a file takes longer than half a second."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON line last")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"AIRFLOW_HOME": home, "AIRFLOW_CONFIG": str(PROJECT / "config" / "airflow.cfg")}
        started = time.perf_counter()
        import airflow.dag_processing.dagbag  # noqa: F401

        airflow_s = time.perf_counter() - started
        first = measure()
        again = measure()
    heavy = sorted({"torch", "numba", "numpy", "onnx", "onnxruntime"} & set(sys.modules))
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"importing Airflow itself: {airflow_s:.2f} s; heavy modules loaded by the DAGs: {', '.join(heavy) or 'none'}"
    )
    for name in first:
        print(f"{name:36} first {first[name] * 1000:7.1f} ms   again {again[name] * 1000:7.1f} ms")
    slowest = max(first.values())
    print(f"slowest {slowest:.3f} s (limit {LIMIT_S} s), {memory_mb:.0f} MB")
    if args.json:
        print(json.dumps({"slowest_s": slowest, "airflow_import_s": airflow_s, "heavy": heavy, "files_s": first}))
    return 0 if slowest < LIMIT_S and not heavy else 1


if __name__ == "__main__":
    raise SystemExit(main())
