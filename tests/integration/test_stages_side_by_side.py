"""Two variants are due at once: Airflow's own scheduler over the DAG files as they are, with the real claims.

The scheduler decides what is queued. `wait_for_games`, `claim_games` and `settle_claim` run; trainings and gates are
marked as done, and what they would have written to the ledger is written here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from new_ledger import new_ledger
from ringrift_loop.layout import RunDirectory
from ringrift_loop.ledger import games, hosts, models, segments, training
from ringrift_loop.ledger.games import GameRow
from ringrift_loop.ledger.segments import SegmentRow
from ringrift_loop.loop import Loop
from ringrift_loop.promotion.gate_tests import TEST_NAMES

pytestmark = pytest.mark.timeout(600)
PROJECT = Path(__file__).resolve().parents[2]
SQUARE, HEX = "square8_2p", "hex8_2p"
CONFIG = {"variants": [SQUARE, HEX], "training": {"trigger_threshold_games": 3, "min_interval_seconds": 0}}

# The scheduler with an executor that starts nothing. A line in: "schedule" answers with what waits and what is queued,
# "run" runs a queued task in this process, "done" marks it as done.
DRIVER = """
import json, sys
from pathlib import Path
from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
from airflow.executors.base_executor import BaseExecutor
from airflow.jobs.job import Job
from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
from airflow.models.dag import DagModel
from airflow.models.pool import Pool
from airflow.models.taskinstance import TaskInstance
from airflow.sdk.definitions.dag import _run_task
from airflow.settings import Session
from airflow.utils.db import initdb
from sqlalchemy import select, update

OURS = ("ringrift_training", "ringrift_training_wait")
project = Path(sys.argv[1])
initdb()
DagBundlesManager().sync_bundles_to_db()
bag = DagBag(str(project / "dags"), bundle_path=project / "dags", bundle_name="dags-folder", collect_dags=False)
bag.collect_dags(str(project / "dags"))
sync_bag_to_db(bag, "dags-folder", None)
for name, pool in json.loads((project / "config" / "pools.json").read_text()).items():
    Pool.create_or_update_pool(name, pool["slots"], pool["description"], pool["include_deferred"])
with Session() as session:
    session.execute(update(DagModel).where(DagModel.dag_id.not_in(OURS)).values(is_paused=True))
    session.commit()

class Nothing(BaseExecutor):
    def queue_workload(self, workload, session):
        pass

runner = SchedulerJobRunner(job=Job(), executors=[Nothing()])
with Session() as session:
    session.add(runner.job)
    session.commit()
    job_id = runner.job.id

def instance(session, key):
    dag_id, run_id, task_id = key
    return session.scalars(
        select(TaskInstance).where(
            TaskInstance.dag_id == dag_id, TaskInstance.run_id == run_id, TaskInstance.task_id == task_id
        )
    ).one()

for line in sys.stdin:
    what, *key = json.loads(line)
    if what == "schedule":
        for _ in range(2):
            with Session() as session:
                runner._do_scheduling(session)
                session.commit()
    elif what == "run":
        with Session() as session:
            ti = instance(session, key)
            session.expunge_all()
        _run_task(ti=ti, task=bag.dags[key[0]].get_task(key[2]), run_triggerer=True)
    else:
        with Session() as session:
            instance(session, key).state = "success"
            session.commit()
    with Session() as session:
        found = session.scalars(select(TaskInstance).where(TaskInstance.dag_id.in_(OURS))).all()
        answer = [[ti.dag_id, ti.run_id, ti.task_id, str(ti.state or ""), ti.priority_weight] for ti in found]
    print("RESULT " + json.dumps(answer), flush=True)
"""


class Scheduler:
    """The driver's process; tasks are named as `run/task`."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._said = folder / "driver.log"
        with self._said.open("w") as said:
            self._process = subprocess.Popen(
                [sys.executable, "-c", DRIVER, str(PROJECT)],
                env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True,
            )  # fmt: skip
        self.states: dict[tuple[str, str, str], str] = {}
        self.weights: dict[tuple[str, str, str], int] = {}

    def ask(self, what: str, *key: str) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        print(json.dumps([what, *key]), file=self._process.stdin, flush=True)
        for line in self._process.stdout:
            if line.startswith("RESULT "):
                found = json.loads(line[7:])
                self.states = {(dag, run, task): state for dag, run, task, state, _ in found}
                self.weights = {(dag, run, task): weight for dag, run, task, _, weight in found}
                return
        raise AssertionError(f"{what} {key} ended the driver: {self._said.read_text()[-4000:]}")

    def queued(self) -> list[tuple[str, str, str]]:
        """What the scheduler has queued by now."""
        self.ask("schedule")
        return sorted(key for key, state in self.states.items() if state == "queued")

    def until_queued(self, task_id: str) -> tuple[str, str, str]:
        """The one task instance of this name that is queued sooner or later."""
        give_up = time.monotonic() + 30
        while time.monotonic() < give_up:
            found = [key for key in self.queued() if key[2] == task_id]
            if found:
                assert len(found) == 1
                return found[0]
            time.sleep(0.1)  # a run that is due within this second is made in the next
        raise AssertionError(f"{task_id} is not queued: {self.states}")

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loop]:
    (tmp_path / "loop.yaml").write_text(yaml.safe_dump(CONFIG))
    (tmp_path / "hosts.yaml").write_text("standard_hosts:\n  a: {transport: local, role: selfplay}\n")
    monkeypatch.setenv("RINGRIFT_HOME", str(tmp_path / "run"))
    monkeypatch.setenv("RINGRIFT_CONFIG", str(tmp_path / "loop.yaml"))
    monkeypatch.setenv("RINGRIFT_HOSTS", str(tmp_path / "hosts.yaml"))
    new_ledger(RunDirectory.from_environment().ledger_url)
    loop = Loop.open()
    yield loop
    loop.ledger.close()


@pytest.fixture
def scheduler(loop: Loop, tmp_path: Path) -> Iterator[Scheduler]:
    home = tmp_path / "airflow"
    home.mkdir()
    scheduler = Scheduler(
        tmp_path,
        os.environ
        | {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
            "AIRFLOW__API_AUTH__JWT_SECRET": "of this test alone, and of no other loop",
        },
    )
    yield scheduler
    scheduler.end()


def add_games(loop: Loop, variant: str, count: int = 3) -> None:
    at, name = loop.clock(), f"{variant}-{loop.clock()}"
    with loop.ledger.begin() as conn:
        hosts.ensure(conn, ["a"])
        segments.add(
            conn,
            SegmentRow(
                sha256=name, host="a", epoch="e", seq=1, name=name, records=count, games_new=count, games_known=0,
                games_quarantined=0, size_bytes=1, ingested_at=at,
            ),
        )  # fmt: skip
        rows = [
            GameRow(
                id=f"{name}-{n}", move_hash=f"{name}-{n}", variant=variant, host="a", segment=name, position=n,
                plies=60, rows=40, winner=1, result="territory", player="heuristic-search", search={},
                engine_version="1", played_at=at, ingested_at=at,
            )
            for n in range(count)
        ]  # fmt: skip
        games.add(conn, rows)


def trained(loop: Loop, variant: str) -> None:
    """What a training leaves in the ledger."""
    with loop.ledger.begin() as conn:
        run = training.active(conn, variant)
        assert run is not None
        digest = run.id.ljust(64, "0")
        models.add(conn, digest, variant, parent_digest=None, training_run=run.id, manifest={}, at=loop.clock())
        training.succeed(conn, run.id, model_digest=digest, report={}, at=loop.clock())


def active(loop: Loop) -> set[str]:
    with loop.ledger.read() as conn:
        return {variant for variant in (SQUARE, HEX) if training.active(conn, variant) is not None}


def wake(scheduler: Scheduler) -> tuple[str, str]:
    """The waiting DAG's next run finds a variant that is due, and the run that it wakes claims its games."""
    for task_id in ("wait_for_games", "claim_games"):
        key = scheduler.until_queued(task_id)
        scheduler.ask("run", *key)
        assert scheduler.states[key] == "success"
    return key[:2]


def test_the_second_variants_training_starts_while_the_gate_of_the_first_is_open(
    loop: Loop, scheduler: Scheduler
) -> None:
    add_games(loop, HEX)
    add_games(loop, SQUARE)
    first = wake(scheduler)
    assert active(loop) == {HEX}
    assert (*first, "train") in scheduler.queued()
    trained(loop, HEX)
    scheduler.ask("done", *first, "train")

    second = wake(scheduler)
    assert active(loop) == {SQUARE}
    queued = scheduler.queued()
    gates = [key for key in queued if key[2].startswith("regression_gate.")]
    assert [key[1] for key in gates] == [first[1]]  # one gate job at a time, and it is open
    assert (*second, "train") in queued
    assert scheduler.states[(*first, "settle_claim")] == ""

    tests = [(*run, "regression_gate.beats_random") for run in (first, second)]
    assert scheduler.weights[tests[0]] > scheduler.weights[tests[1]]  # the older run goes first

    # Both candidates are there: the older one's tests and its champion gate go first.
    trained(loop, SQUARE)
    scheduler.ask("done", *second, "train")
    judged: list[str] = []
    while len(judged) < 2 * len(TEST_NAMES) + 1:
        for key in scheduler.queued():
            if key[2] == "settle_claim":
                scheduler.ask("run", *key)
            elif key[2] in ("approve", "promote", "champion_gate") or key[2].startswith("regression_gate."):
                judged += [] if key[2].endswith(("approve", "promote", "decide")) else [key[1]]
                scheduler.ask("done", *key)
    assert judged.index(second[1]) >= len(TEST_NAMES)
    assert judged.count(first[1]) == len(TEST_NAMES) + 1

    # hex8_2p has its verdict, so it trains again, while square8_2p's gates are open.
    add_games(loop, HEX)
    wake(scheduler)
    assert active(loop) == {HEX}
    assert scheduler.states[(*second, "settle_claim")] == ""
