"""The deadline of a training from Airflow's database to the notifier: its own scheduler and its own triggerer."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from api_server import own_environment
from new_ledger import new_ledger
from ringrift_loop.ledger import events
from ringrift_loop.ledger.database import Ledger
from ringrift_loop.loop import Loop
from stuck_training import NOTIFIER, claim_long_ago

PROJECT = Path(__file__).resolve().parents[2]
# Three processes that import Airflow; a busy machine takes its time.
pytestmark = pytest.mark.timeout(420)
_PATIENCE_S = 150.0
RUN, WAITING = "manual__stuck", "manual__waiting"

# What the DAG processor and whoever starts a run do; then the limit is over, without the wait of two hours. In between
# a person clears a task. The runs stay queued, because the DAG is paused: no task is in the way.
_PREPARE = """
import json, sys
from datetime import UTC, datetime, timedelta

from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db
from airflow.models.deadline import Deadline
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import clear_task_instances
from airflow.utils.db import initdb
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunTriggeredByType
from sqlalchemy import select

initdb()
manager = DagBundlesManager()
manager.sync_bundles_to_db()
for bundle in manager.get_all_dag_bundles():
    bag = BundleDagBag(bundle.path, bundle_path=bundle.path, bundle_name=bundle.name)
    assert not bag.import_errors, bag.import_errors
    sync_bag_to_db(bag, bundle.name, bundle_version=None)
told = []
for run_id in sys.argv[1:]:
    with create_session() as session:
        dag, now = SerializedDagModel.get("ringrift_training", session=session).dag, datetime.now(UTC)
        run = dag.create_dagrun(
            run_id=run_id, run_type="manual", run_after=now, state=DagRunState.QUEUED,
            triggered_by=DagRunTriggeredByType.TEST, conf={"variant": "square8_2p"}, session=session,
        )
        session.flush()
        clear_task_instances(run.get_task_instances(session=session), session, dag_run_state=DagRunState.QUEUED)
        deadline = session.scalars(select(Deadline).where(Deadline.dagrun_id == run.id)).one()
        told.append((deadline.deadline_time - now).total_seconds())
        deadline.deadline_time = now - timedelta(seconds=1)
print("SECONDS", json.dumps(told))
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A run directory with an Airflow that has the DAG `ringrift_training` and no other; both environments are set."""
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "ringrift_training.py").symlink_to(PROJECT / "dags" / "ringrift_training.py")
    (tmp_path / "hosts.yaml").write_text("standard_hosts:\n  a: {transport: local, role: selfplay}\n")
    (tmp_path / "stuck_told.py").write_text(NOTIFIER)
    arguments = {"text": "{{ ringrift_message }}", "file": str(tmp_path / "told")}
    config = {"notifications": {"notifier": "stuck_told.ToFile", "arguments": arguments}}
    (tmp_path / "loop.yaml").write_text(yaml.safe_dump(config))
    for name, value in {
        **own_environment(tmp_path),
        "RINGRIFT_CONFIG": str(tmp_path / "loop.yaml"),
        "PYTHONPATH": str(tmp_path),
        "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path / "dags"),
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
        "AIRFLOW__CORE__PARALLELISM": "1",
    }.items():
        monkeypatch.setenv(name, value)
    new_ledger(f"sqlite:///{tmp_path / 'run' / 'ledger.db'}")
    yield tmp_path


def test_the_scheduler_sees_the_deadline_and_the_triggerer_tells(home: Path) -> None:
    loop = Loop.open()
    run = claim_long_ago(loop, RUN)
    loop.ledger.close()
    done = subprocess.run(
        [sys.executable, "-c", _PREPARE, RUN, WAITING],
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
        cwd=home,
    )
    seconds = [line for line in done.stdout.splitlines() if line.startswith("SECONDS ")]
    assert seconds, done.stdout[-2000:] + done.stderr[-4000:]
    assert json.loads(seconds[0].removeprefix("SECONDS ")) == pytest.approx([7200, 7200], abs=30)

    with ExitStack() as running:
        for name in ("scheduler", "triggerer"):
            log = running.enter_context((home / f"{name}.log").open("w"))
            command = [sys.executable, "-m", "airflow", name, "--skip-serve-logs"]
            process = subprocess.Popen(command, env=dict(os.environ), stdout=log, stderr=log, cwd=home)
            running.callback(process.wait, timeout=60)
            running.callback(process.terminate)
        _until_told(home, [("success", RUN)])

    assert (home / "told").read_text().count(f"training run {run} did not end within its limit of 120 min") == 1
    with closing(Ledger.open(f"sqlite:///{home / 'run' / 'ledger.db'}")) as ledger, ledger.read() as conn:
        lines = [event.data["run_id"] for event in events.latest(conn, kind="training") if event.data.get("overdue")]
    assert lines == [run]


def _until_told(home: Path, wanted: list[Any]) -> None:
    """Until Airflow's own table says of the callbacks what is wanted; the other one still waits for a training."""
    query = (
        "select callback.state, dag_run.run_id from callback join deadline on deadline.callback_id = callback.id "
        "join dag_run on dag_run.id = deadline.dagrun_id where callback.state in ('success', 'failed')"
    )
    deadline, found = time.monotonic() + _PATIENCE_S, None
    while time.monotonic() < deadline:
        with closing(sqlite3.connect(home / "airflow.db", timeout=30)) as database:
            found = database.execute(query).fetchall()
        if found == wanted:
            return
        assert not any(state == "failed" for state, _ in found), _logs(home)
        time.sleep(0.3)  # between two looks at other processes
    raise AssertionError(f"{found}: {_logs(home)}")


def _logs(home: Path) -> str:
    return "\n".join((home / f"{name}.log").read_text()[-4000:] for name in ("scheduler", "triggerer"))
