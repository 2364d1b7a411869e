"""The DAG files as they are, run by Airflow's `dag.test()` on a loop of one local host and very small models."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from ledger_rows import rows
from new_ledger import new_ledger
from ringrift_loop.cluster.agent.workers import read_record
from ringrift_loop.cluster.selfplay.supervise import stop_all
from ringrift_loop.cluster.sync.cycle import sync_once
from ringrift_loop.launcher.environment import shell_file, write_shell_file
from ringrift_loop.layout import HostDirectory, RunDirectory
from ringrift_loop.ledger import events, gates, matches, models, promotions, ratings, state, training
from ringrift_loop.ledger.gates import GateRow
from ringrift_loop.loop import Loop
from ringrift_loop.metrics.names import REGISTRY
from ringrift_loop.promotion.gate_tests import TEST_NAMES
from ringrift_loop.selfplay.worker import Worker, WorkerOptions

# Twenty child processes one after the other; a busy machine takes its time.
pytestmark = pytest.mark.timeout(900)

PROJECT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.timeout(900)  # a little more than its children get
VARIANT = "square8_2p"
CONFIG: dict[str, Any] = {
    "variants": [VARIANT],
    "data_ingestion": {"min_games_per_sync": 1},
    "selfplay": {
        "simulations_full": 4,
        "simulations_fast": 2,
        "bootstrap_simulations": 8,
        "games_in_parallel": 8,
        "segment_seconds": 1,
    },
    "training": {
        "window_rows_min": 200,
        "samples_per_row": 1.0,
        "batch_size": 64,
        "warmup_steps": 5,
        "validation_fraction": 0.3,
        "blocks": 1,
        "channels": 8,
        "threads": 1,
    },
    "evaluation": {"simulations": 2, "shadow_games_per_config": 2},
    "regression": {"games": 2},
    # A candidate that has learnt next to nothing must get on: whether the stages fit together is the question. The six
    # tests run in ringrift_regression_gate.
    "promotion": {"regression_test": False},
}
GAMES = 12
_END = b"end"
# Airflow's templates would read it as a Python text and take the quotes away.
COMMAND = "'printf' '%s' 'well done'"
# The roles that `make run` begins with: without SSH, trainings and matches run on this machine.
HOSTS = "standard_hosts:\n  a: {transport: local, role: 'selfplay,training,tournament', max_workers: 1}\n"

# One process for all runs, as an Airflow of its own: what it imports and changes stays out of the other tests. It runs
# what it is told, a line each, so that the loop can be looked at and changed between two runs.
DRIVER = """
import json, sys
from pathlib import Path
from airflow.utils.db import initdb
from ringrift_airflow.dag_pages import load_dags

initdb()
dags = load_dags(Path(sys.argv[1]))
for line in sys.stdin:
    dag_id, conf = json.loads(line)
    dags[dag_id].deadline = None  # `dag.test()` of Airflow 3.3.2 cannot end a run that has one
    run = dags[dag_id].test(run_conf=conf)
    states = {ti.task_id: str(ti.state) for ti in run.get_task_instances()}
    print("RESULT " + json.dumps([str(run.state), states]), flush=True)
"""


class Collector:
    """What the loop sends while it runs: every packet, from every process."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self._packets: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while (packet := self._socket.recv(65536)) != _END:
            self._packets.append(packet.decode())

    def live(self) -> set[str]:
        """The metrics that were sent with something in them: a counter that only ever grew by 0 is none."""
        self._socket.sendto(_END, ("127.0.0.1", self.port))  # behind everything that has been sent before
        self._reader.join(timeout=30)
        self._socket.close()
        lines = [line for packet in self._packets for line in packet.splitlines()]
        values = [re.fullmatch(r"(\w+)[^:]*:([^|]+)\|(\w+).*", line) for line in lines]
        return {found[1] for found in values if found is not None and (found[3] != "c" or float(found[2]) != 0)}


class Driver:
    """The process that runs DAGs; `states` has what became of each and of its tasks."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.states: dict[str, tuple[str, dict[str, str]]] = {}
        self._said = folder / "driver.log"
        command = [sys.executable, "-c", DRIVER, str(PROJECT / "dags")]
        with self._said.open("w") as said:
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, stderr=said, text=True)

    def run(self, dag_id: str, conf: dict[str, Any] | None = None) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        print(json.dumps([dag_id, conf]), file=self._process.stdin, flush=True)
        for line in self._process.stdout:
            if line.startswith("RESULT "):
                self.states[dag_id] = tuple(json.loads(line.removeprefix("RESULT ")))
                return
            sys.stdout.write(line)  # pytest shows it when a test fails
        raise AssertionError(f"{dag_id} ended the driver: {self._said.read_text()[-4000:]}")

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


@dataclass
class Ran:
    """The loop after all runs, and what was seen between them."""

    states: dict[str, tuple[str, dict[str, str]]]
    loop: Loop
    trained: str
    by_hand: str
    stuck_run: str
    live: set[str]
    """The metrics that were sent meanwhile."""
    refused: tuple[str, dict[str, str]]
    """What became of retention while a segment was missing."""


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
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    """Games, a training that makes the first champion, a second one by hand, and what the other DAGs do with them."""
    folder = tmp_path_factory.mktemp("dags-run")
    (folder / "loop.yaml").write_text(yaml.safe_dump(CONFIG))
    (folder / "hosts.yaml").write_text(HOSTS)
    (folder / "airflow").mkdir()
    collector = Collector()
    values = {
        "RINGRIFT_HOME": str(folder / "run"),
        "RINGRIFT_CONFIG": str(folder / "loop.yaml"),
        "RINGRIFT_HOSTS": str(folder / "hosts.yaml"),
        "RINGRIFT__STATSD_PORT": str(collector.port),
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder / 'airflow' / 'airflow.db'}",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(folder / "airflow" / "logs"),
    }
    with _environment(values) as environment:
        new_ledger(RunDirectory.from_environment().ledger_url)
        loop = Loop.open()
        stuck_run = _games_of_a_stuck_run(loop)
        driver = Driver(folder, environment)
        try:
            driver.run("ringrift_data_sync")
            driver.run("ringrift_training", {"variant": VARIANT})
            with loop.ledger.read() as conn:
                trained = promotions.champion(conn, VARIANT)
            assert trained is not None, driver.states["ringrift_training"]
            by_hand = _champion(loop, 2)
            driver.run("ringrift_regression_gate", {"model": "champion", "variant": VARIANT})
            driver.run("ringrift_shadow_tournament")  # after games against the baselines, or ratings had no zero
            driver.run("ringrift_full_tournament", {"budget_s": 0})  # one portion
            driver.run("ringrift_selfplay")
            # Before any heartbeat is in the ledger: nobody syncs beside these runs, so nobody may be waited for.
            driver.run("ringrift_rollback", {"variant": VARIANT, "reason": "a test of the way back"})
            driver.run("ringrift_curriculum_rebalance")
            # As the launcher leaves it: `airflow db clean` finds the database there, and no task may ask it directly.
            write_shell_file(shell_file(loop.directory), environment)
            segment = next(loop.directory.segments.rglob("*.zst"))
            segment.rename(folder / "away")
            driver.run("ringrift_retention", {"dry_run": False})
            refused = driver.states["ringrift_retention"]
            (folder / "away").rename(segment)
            driver.run("ringrift_retention", {"dry_run": False})
            driver.run("ringrift_data_sync")  # once more: the gauges of all that
            driver.run("ringrift_resource_rebalance")
            driver.run("ringrift_fleet_command", {"command": "echo never"})
            driver.run("ringrift_fleet_command", {"command": COMMAND, "dry_run": False, "hosts": ["a"]})
        finally:
            driver.end()
            stop_all(loop, wait_s=1.0)  # it may still compile; then it is killed
        yield Ran(driver.states, loop, trained.model_digest, by_hand, stuck_run, collector.live(), refused)
        loop.ledger.close()


def _games_of_a_stuck_run(loop: Loop) -> str:
    """Games in the ledger, all claimed by a training that nobody works on since long ago; returns its id."""
    host = HostDirectory(loop.directory.embedded_host("a"))
    Worker(WorkerOptions(host, VARIANT, 0, games=GAMES, host="a", run="first"), loop.config.selfplay).run()
    host.heartbeat(0).unlink()  # that worker is no more, and shall not be waited for
    assert sync_once(loop).games_new == GAMES
    with loop.ledger.begin() as conn:
        # The loop has been up all the time, or that time would not count.
        state.put(conn, state.STARTED_AT, loop.clock() - 1e6, at=loop.clock())
        state.put(conn, state.ALIVE_AT, loop.clock(), at=loop.clock())
        return training.claim(conn, "stuck", VARIANT, at=loop.clock() - 1e6).id


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


# What these runs do not bring about, or not for sure: what it takes. Their own tests have it.
NEEDS_MORE = {
    **dict.fromkeys(
        (
            "ringrift_cluster_gpu_memory_utilization",
            "ringrift_cluster_gpu_utilization_percent",
            "ringrift_gpu_in_target_range",
        ),
        "a GPU",
    ),
    **dict.fromkeys(("ringrift_elo_trend", "ringrift_elo_trend_stderr"), "two hours of ratings"),
    "ringrift_elo_gain_on_promotion": "a promotion over a champion by the gate",
    "ringrift_elo_per_core_hour": "two rated champions",
    "ringrift_games_known_total": "a game that comes twice",
    "ringrift_games_quarantined_total": "a game that does not replay",
    "ringrift_sync_errors_total": "a host that fails",
    "ringrift_match_blocks_refused_total": "a host that sends games that do not count",
    **dict.fromkeys(
        (
            "ringrift_promotion_to_worker_seconds",
            "ringrift_worker_games_per_hour",
            "ringrift_worker_model_generation",
            "ringrift_worker_duty",
        ),
        "a worker that plays, which may still compile here",
    ),
    "ringrift_retention_freed_bytes_total": "a file that is old enough to go",
    **dict.fromkeys(
        (
            "ringrift_last_task_start_timestamp_seconds",
            "ringrift_loop_errors_total",
            "ringrift_scheduling_latency_seconds",
        ),
        "Airflow's scheduler",
    ),
}
DAG_IDS = (
    "ringrift_data_sync",
    "ringrift_training",
    "ringrift_shadow_tournament",
    "ringrift_full_tournament",
    "ringrift_selfplay",
    "ringrift_rollback",
    "ringrift_curriculum_rebalance",
    "ringrift_resource_rebalance",
    "ringrift_retention",
    "ringrift_fleet_command",
)


@pytest.mark.parametrize("dag_id", DAG_IDS)
def test_every_task_of_the_dag_succeeds(ran: Ran, dag_id: str) -> None:
    state, tasks = ran.states[dag_id]
    assert set(tasks.values()) == {"success"}, tasks
    assert state == "success"


def test_the_training_made_its_candidate_the_champion_by_the_gates_and_sent_it_out(ran: Ran) -> None:
    _, tasks = ran.states["ringrift_training"]
    assert set(tasks) == {"claim_games", "train", "settle_claim", "regression_gate.decide", "champion_gate"} | {
        f"regression_gate.{name}" for name in TEST_NAMES
    } | {"approve", "promote", "distribute", "confirm_reload"}
    with ran.loop.ledger.read() as conn:
        model = models.get(conn, ran.trained)
        judged = [row.gate for row in rows(conn, GateRow, variant=VARIANT) if row.model_digest == ran.trained]
    assert model is not None and model.training_run is not None
    assert judged == [gates.CHAMPION]


def test_the_shadow_tournament_played_the_two_champions_and_rated_them(ran: Ran) -> None:
    with ran.loop.ledger.read() as conn:
        played = matches.blocks_by_pairing(conn, VARIANT, "shadow")
        rated = {row.participant.split("|")[0] for row in ratings.table(conn, VARIANT)}
    assert sum(map(len, played.values())) == 1  # two games, one block
    assert {name.split("|")[0] for pairing in played for name in pairing} <= rated


def test_the_full_tournament_played_one_portion_and_rated_it(ran: Ran) -> None:
    with ran.loop.ledger.read() as conn:
        played = matches.blocks_by_pairing(conn, VARIANT, "tournament")
        rated = {row.participant.split("|")[0] for row in ratings.table(conn, VARIANT)}
    assert sum(map(len, played.values())) == 1  # two games, one block
    assert {name.split("|")[0] for pairing in played for name in pairing} <= rated


def test_the_sync_ended_the_stuck_training_and_sent_the_gauges(ran: Ran) -> None:
    with ran.loop.ledger.read() as conn:
        run = training.require(conn, ran.stuck_run)
    assert run.state == "failed"
    assert "no process holds its lease" in (run.error or "")
    assert "ringrift_ledger_segments" in ran.live


def test_every_metric_of_the_registry_is_sent_by_a_loop_that_runs(ran: Ran) -> None:
    missing = sorted(set(REGISTRY) - ran.live - NEEDS_MORE.keys())
    assert missing == [], ", ".join(missing)
    assert NEEDS_MORE.keys() <= set(REGISTRY)


def test_the_regression_gate_runs_its_six_tests_and_blocks_a_model_without_training(ran: Ran) -> None:
    state, tasks = ran.states["ringrift_regression_gate"]
    assert state == "failed"
    assert tasks == {f"regression_gate.{name}": "success" for name in TEST_NAMES} | {"regression_gate.decide": "failed"}
    with ran.loop.ledger.read() as conn:
        told = [event.message for event in events.latest(conn, limit=50)]
        rejected = promotions.count(conn, variant=VARIANT, status=promotions.REJECTED)
    assert any(message.startswith(f"regression gate of {VARIANT}: {ran.by_hand[:12]} failed.") for message in told)
    assert rejected == 0  # nobody had asked for a promotion


def test_the_worker_was_started_and_ended(ran: Ran) -> None:
    loop = ran.loop
    with loop.ledger.read() as conn:
        told = [event.message for event in events.latest(conn, limit=20)]
    assert "worker a/0 started" in told
    record = read_record(HostDirectory(loop.directory.embedded_host("a")), 0)
    assert record is not None
    give_up = time.monotonic() + 10
    while record.alive and time.monotonic() < give_up:  # a killed process takes a moment to end
        time.sleep(0.05)
    assert not record.alive


def test_retention_deletes_nothing_while_the_audit_of_the_ledger_finds_something(ran: Ran) -> None:
    assert ran.refused == (
        "failed",
        {"check_ledger": "failed", "delete_old_files": "upstream_failed", "clean_airflow_tables": "upstream_failed"},
    )
    with ran.loop.ledger.read() as conn:
        verified = state.verification(conn)
    assert verified is not None and verified[1] == 0  # the segment was back then


def test_the_rollback_made_the_first_champion_the_champion_again_on_the_host_too(ran: Ran) -> None:
    with ran.loop.ledger.read() as conn:
        champion = promotions.champion(conn, VARIANT)
    assert champion is not None
    assert champion.model_digest == ran.trained
    host = HostDirectory(ran.loop.directory.embedded_host("a"))
    assert ran.trained in host.current_model(VARIANT).read_text()


def test_a_fleet_command_is_in_the_history_with_its_user_and_a_dry_run_ran_nothing(ran: Ran) -> None:
    with ran.loop.ledger.read() as conn:
        told = [event.message for event in events.latest(conn, kind="fleet_command")]
    assert told == [
        "the command of dag_test succeeded on 1 of 1 hosts",
        f"dag_test runs a command on 1 host: a: {COMMAND}",
        "dag_test would run a command on 1 host: a: echo never",
    ]
