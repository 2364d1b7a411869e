"""The DAG files as they are, run by Airflow's `dag.test()` on a loop of one local host and one small model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from ringrift_loop.cluster.agent.workers import read_record
from ringrift_loop.cluster.selfplay.supervise import stop_all
from ringrift_loop.layout import HostDirectory, RunDirectory
from ringrift_loop.ledger import events, models, promotions
from ringrift_loop.ledger.migrate import migrate
from ringrift_loop.loop import Loop
from ringrift_loop.promotion.gate_tests import TEST_NAMES

PROJECT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.timeout(900)  # a little more than its children get
VARIANT = "square8_2p"
CONFIG = {
    "variants": [VARIANT],
    "statsd_port": 9,
    "data_ingestion": {"min_games_per_sync": 1},
    "regression": {"games": 2},
    "selfplay": {"simulations_full": 4, "simulations_fast": 2, "games_in_parallel": 4, "segment_seconds": 1},
}
HOSTS = "standard_hosts:\n  a: {transport: local, role: selfplay, max_workers: 1}\n"

# One process for all runs, as an Airflow of its own: what it imports and changes stays out of the other tests. The
# rollback comes before any heartbeat is in the ledger: nobody syncs beside these runs, so nobody may be waited for.
DRIVER = """
import json, sys
from pathlib import Path
from airflow.utils.db import initdb
from ringrift_airflow.dag_pages import load_dags

initdb()
dags = load_dags(Path(sys.argv[1]))
for dag_id, conf in json.loads(sys.argv[2]):
    run = dags[dag_id].test(run_conf=conf)
    states = {ti.task_id: str(ti.state) for ti in run.get_task_instances()}
    print("RESULT " + json.dumps([dag_id, str(run.state), states]), flush=True)
"""


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[dict[str, str]]:
    """The variables that say where this loop is, for `Loop.open` here as well as for the driver."""
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield dict(os.environ)
    finally:
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, Any], Loop, list[str]]]:
    """State of each run and of its tasks, the loop afterwards, and its two champions, the first one first."""
    folder = tmp_path_factory.mktemp("dags-run")
    (folder / "loop.yaml").write_text(yaml.safe_dump(CONFIG))
    (folder / "hosts.yaml").write_text(HOSTS)
    (folder / "airflow").mkdir()
    values = {
        "RINGRIFT_HOME": str(folder / "run"),
        "RINGRIFT_CONFIG": str(folder / "loop.yaml"),
        "RINGRIFT_HOSTS": str(folder / "hosts.yaml"),
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder / 'airflow' / 'airflow.db'}",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(folder / "airflow" / "logs"),
    }
    with _environment(values) as environment:
        migrate(RunDirectory.from_environment().ledger_url)
        loop = Loop.open()
        champions = [_champion(loop, number) for number in (1, 2)]
        runs = [
            ["ringrift_regression_gate", {"model": "champion", "variant": VARIANT}],
            ["ringrift_selfplay", None],
            ["ringrift_rollback", {"variant": VARIANT, "reason": "a test of the way back"}],
            ["ringrift_curriculum_rebalance", None],
            ["ringrift_data_sync", None],
        ]
        command = [sys.executable, "-c", DRIVER, str(PROJECT / "dags"), json.dumps(runs)]
        try:
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
        finally:
            stop_all(loop, wait_s=1.0)  # it may still compile; then it is killed
        assert done.returncode == 0, done.stderr[-4000:] + done.stdout[-4000:]
        lines = [line.removeprefix("RESULT ") for line in done.stdout.splitlines() if line.startswith("RESULT ")]
        results = {dag_id: (state, tasks) for dag_id, state, tasks in map(json.loads, lines)}
        yield results, loop, champions
        loop.ledger.close()


def _champion(loop: Loop, seed: int) -> str:
    """A small network without training, made the champion."""
    import torch

    from ringrift_loop.network.export import architecture_for, save_model
    from ringrift_loop.network.model import RingRiftNet

    torch.manual_seed(seed)
    manifest = save_model(
        RingRiftNet(architecture_for(VARIANT, blocks=1, channels=8)),
        loop.directory.model,
        variant=VARIANT,
        engine_version="1",
        parent=None,
        training_run="made-by-hand",
        created_at=time.time(),
    )
    with loop.ledger.begin() as conn:
        at = loop.clock()
        models.add(
            conn, manifest.digest, VARIANT, parent_digest=None, training_run=None, manifest=manifest.as_json(), at=at
        )
        promotions.promote(conn, VARIANT, manifest.digest, reason="made", elo_gain=None, games=0, at=at)
    return manifest.digest


DAG_IDS = (
    "ringrift_selfplay",
    "ringrift_rollback",
    "ringrift_curriculum_rebalance",
    "ringrift_data_sync",
)


@pytest.mark.parametrize("dag_id", DAG_IDS)
def test_every_task_of_the_dag_succeeds(ran: Any, dag_id: str) -> None:
    state, tasks = ran[0][dag_id]
    assert state == "success"
    assert set(tasks.values()) == {"success"}


def test_the_regression_gate_runs_its_six_tests_and_blocks_a_model_without_training(ran: Any) -> None:
    results, loop, (_first, second) = ran
    state, tasks = results["ringrift_regression_gate"]
    assert state == "failed"
    assert tasks == {f"regression_gate.{name}": "success" for name in TEST_NAMES} | {"regression_gate.decide": "failed"}
    with loop.ledger.read() as conn:
        told = [event.message for event in events.latest(conn, limit=50)]
        rejected = promotions.count(conn, variant=VARIANT, status=promotions.REJECTED)
    assert any(message.startswith(f"regression gate of {VARIANT}: {second[:12]} failed.") for message in told)
    assert rejected == 0  # nobody had asked for a promotion


def test_the_worker_was_started_and_ended(ran: Any) -> None:
    _results, loop, _ = ran
    with loop.ledger.read() as conn:
        told = [event.message for event in events.latest(conn, limit=20)]
    assert f"worker a/0 ({VARIANT}) started" in told
    record = read_record(HostDirectory(loop.directory.embedded_host("a")), 0)
    assert record is not None
    give_up = time.monotonic() + 10
    while record.alive and time.monotonic() < give_up:  # a killed process takes a moment to end
        time.sleep(0.05)
    assert not record.alive


def test_the_rollback_made_the_first_champion_the_champion_again_on_the_host_too(ran: Any) -> None:
    _, loop, (first, _second) = ran
    with loop.ledger.read() as conn:
        champion = promotions.champion(conn, VARIANT)
    assert champion is not None
    assert champion.model_digest == first
    assert first in HostDirectory(loop.directory.embedded_host("a")).current_model(VARIANT).read_text()
