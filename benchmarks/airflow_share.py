"""What Airflow itself costs: CPU and memory of each of its parts, on SQLite and on PostgreSQL with Celery.

    python benchmarks/airflow_share.py --minutes 5 --json
    python benchmarks/airflow_share.py --minutes 5 --only production

`embedded` is `ringrift-loop up`: SQLite and LocalExecutor. `production` is `docker-compose.yaml` as
tests/integration/test_production_stack.py brings it up, in namespaces: PostgreSQL, Redis, CeleryExecutor with two
workers; needs root and the same packages. Both run every DAG by the default configuration, with one host that plays
nothing, so that what is measured is the schedule and its tasks. They run one after the other, each for a while before
the clock starts.

CPU is user and system time from /proc of a part's first process and all below it, ended children included, in percent
of one core. Memory is PSS, which counts what processes share once, as the mean of a sample every 15 s.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from ringrift_loop.launcher.leftovers import record_file
from ringrift_loop.launcher.shutdown import LaunchRecord
from ringrift_loop.layout import RunDirectory

PROJECT = Path(__file__).resolve().parents[1]
sys.path += [str(PROJECT / "tests"), str(PROJECT / "tests" / "integration")]
HOSTS = "standard_hosts:\n  idle: {transport: local, role: selfplay, max_workers: 0}\n"
SAMPLE_S = 15.0
START_LIMIT_S = 600.0

Parts = Mapping[str, int]
"""The first process of each part."""


@contextmanager
def embedded(folder: Path) -> Iterator[Callable[[], Parts]]:
    """`ringrift-loop up` in a folder."""
    (folder / "hosts.yaml").write_text(HOSTS)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "RINGRIFT_"))}
    environment |= {
        "RINGRIFT_HOME": str(folder / "run"),
        "RINGRIFT_HOSTS": str(folder / "hosts.yaml"),
        "RINGRIFT__METRICS_PORT": "19102",
        "RINGRIFT__STATSD_PORT": "18125",
    }
    command = [sys.executable, "-m", "ringrift_loop.cli", "up", "--port", "18080"]
    with (folder / "up.log").open("w") as log:
        process = subprocess.Popen(command, env=environment, cwd=PROJECT, stdout=log, stderr=log)
    try:
        wait_for("the loop is up", lambda: "the loop is up" in (folder / "up.log").read_text())
        record = LaunchRecord.load(record_file(RunDirectory(folder / "run")))
        assert record is not None
        yield lambda: {name: each.pid for name, each in record.components.items()}
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


@contextmanager
def production(folder: Path) -> Iterator[Callable[[], Parts]]:
    """The Compose file in a folder."""
    from test_production_stack import given

    import containers

    stack = containers.Stack(PROJECT, folder, given(folder), {"RINGRIFT_HOSTS": "/var/lib/ringrift/hosts.yaml"})
    (stack.volume("ringrift-home") / "hosts.yaml").write_text(HOSTS)
    try:
        stack.up(START_LIMIT_S)
        page = f"http://{stack.address('airflow-api-server')}:8080/api/v2/monitor/health"

        def is_healthy() -> bool:
            with suppress(OSError, ValueError), urllib.request.build_opener().open(page, timeout=10) as answer:
                return all((part or {}).get("status") == "healthy" for part in json.load(answer).values())
            return False

        wait_for("Airflow is healthy", lambda: stack.call(is_healthy))
        measured = [name for name in stack.containers if name.startswith(("airflow-", "postgres", "redis", "statsd"))]
        yield lambda: {name: init.pid for name in measured if (init := stack[name].init) is not None}
    finally:
        stack.close()


def wait_for(what: str, condition: Callable[[], bool]) -> None:
    """Return when a condition holds.

    Raises:
        RuntimeError: it does not within ten minutes.
    """
    give_up_at = time.monotonic() + START_LIMIT_S
    while not condition():
        if time.monotonic() > give_up_at:
            raise RuntimeError(f"not within {START_LIMIT_S:.0f} s: {what}")
        time.sleep(1)


def tree(pid: int) -> list[psutil.Process]:
    """A process and all below it."""
    with suppress(psutil.Error):
        return [first := psutil.Process(pid), *first.children(recursive=True)]
    return []


def spent(processes: list[psutil.Process]) -> float:
    """Seconds of CPU of these processes and of their children that have ended."""
    total = 0.0
    for process in processes:
        with suppress(psutil.Error):
            total += sum(process.cpu_times()[:4])
    return total


def cpu_by_part(parts: Parts) -> dict[str, float]:
    """Seconds of CPU so far; what the embedded scheduler's executor runs is a part of its own."""
    used = {}
    for name, pid in parts.items():
        whole = tree(pid)
        used[name] = spent(whole)
        if name == "scheduler" and whole:
            own = sum(whole[0].cpu_times()[:2])
            used["scheduler"], used["executor and tasks"] = own, used[name] - own
    return used


def pss_by_part(parts: Parts) -> dict[str, float]:
    """Megabytes now."""
    held: dict[str, float] = {}
    for name, pid in parts.items():
        for process in tree(pid):
            part = "executor and tasks" if name == "scheduler" and process.pid != pid else name
            with suppress(psutil.Error):
                held[part] = held.get(part, 0.0) + process.memory_full_info().pss / 1e6
    return held


def measure(parts: Callable[[], Parts], minutes: float) -> dict[str, dict[str, float]]:
    """Percent of a core and megabytes of each part."""
    began, before = time.monotonic(), cpu_by_part(parts())
    samples: list[dict[str, float]] = []
    while time.monotonic() - began < 60 * minutes:
        time.sleep(SAMPLE_S)
        samples.append(pss_by_part(parts()))
    wall, after = time.monotonic() - began, cpu_by_part(parts())
    return {
        name: {
            "cpu_percent": round(100 * (after[name] - before.get(name, 0.0)) / wall, 1),
            "pss_mb": round(sum(sample.get(name, 0.0) for sample in samples) / len(samples)),
        }
        for name in after
    }


def main() -> None:
    """Run from the command line."""
    ways = {"embedded": embedded, "production": production}
    parser = argparse.ArgumentParser(description="CPU and memory of Airflow's parts, in two set-ups.")
    parser.add_argument("--minutes", type=float, default=5.0, help="how long each is measured (default 5)")
    parser.add_argument("--settle", type=float, default=2.0, help="minutes before that (default 2)")
    parser.add_argument("--only", choices=list(ways), help="one of the two (default: both)")
    parser.add_argument("--json", action="store_true", help="print one line of JSON last")
    args = parser.parse_args()
    found = {}
    for name, way in ways.items():
        if args.only not in (None, name):
            continue
        folder = Path(tempfile.mkdtemp(prefix="ringrift-share-"))
        try:
            with way(folder) as parts:
                time.sleep(60 * args.settle)
                found[name] = measure(parts, args.minutes)
        finally:
            shutil.rmtree(folder)
        for part, figures in found[name].items():
            print(f"{name}: {part}: {figures['cpu_percent']} % of a core, {figures['pss_mb']} MB")
        total = {key: round(sum(each[key] for each in found[name].values()), 1) for key in ("cpu_percent", "pss_mb")}
        print(f"{name}: all: {total['cpu_percent']} % of a core, {total['pss_mb']} MB", flush=True)
    if args.json:
        print(json.dumps({"minutes": args.minutes, "load": os.getloadavg()[1], "parts": found}))


if __name__ == "__main__":
    main()
