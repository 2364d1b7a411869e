"""A training run whose heavy part runs on a training host by SSH, and what comes of it on its way back to the hosts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from new_ledger import new_ledger
from ringrift_airflow.operators.distribute_model import DistributeModelOperator
from ringrift_airflow.operators.train_model import TrainModelOperator
from ringrift_loop.cluster.sync.cycle import sync_once
from ringrift_loop.config import load_config
from ringrift_loop.layout import HostDirectory
from ringrift_loop.ledger import jobs, models, promotions, training
from ringrift_loop.loop import Loop
from ringrift_loop.network.artifact import verify as verify_model
from ringrift_loop.selfplay.worker import Worker, WorkerOptions
from ringrift_loop.status.verify import verify
from ringrift_loop.training.claim import claim_for_run

pytestmark = pytest.mark.timeout(600)
VARIANT = "square8_2p"
CONFIG = {
    "variants": [VARIANT],
    "data_ingestion": {"min_games_per_sync": 1},
    "selfplay": {"simulations_full": 4, "simulations_fast": 2, "bootstrap_simulations": 8, "games_in_parallel": 8},
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
}


class TaskInstance(SimpleNamespace):
    """Keeps what is pushed, as the task's own does."""

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value


@pytest.fixture
def loop(
    ssh_server: Any, ssh_entry: Callable[..., str], run_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Loop:
    """A loop whose one host, reached by SSH, plays and trains; it has played some games."""
    server = ssh_server("a")
    (tmp_path / "hosts.yaml").write_text("standard_hosts:\n" + ssh_entry("a", server, "role: 'selfplay,training'"))
    (tmp_path / "loop.yaml").write_text(yaml.safe_dump(CONFIG))
    monkeypatch.setenv("RINGRIFT_HOSTS", str(tmp_path / "hosts.yaml"))
    monkeypatch.setenv("RINGRIFT_CONFIG", str(tmp_path / "loop.yaml"))
    new_ledger(f"sqlite:///{run_home / 'ledger.db'}")
    host = HostDirectory(tmp_path / "hosts" / "a")
    Worker(WorkerOptions(host, VARIANT, 0, games=24, host="a", run="first"), load_config().selfplay).run()
    return Loop.open()


@pytest.mark.parametrize("ssh_server", ["embedded"], indirect=True)
def test_a_candidate_comes_from_the_training_host_and_goes_to_the_hosts_as_champion(loop: Loop, tmp_path: Path) -> None:
    assert sync_once(loop).games_new == 24
    run_id = claim_for_run(loop, [VARIANT], key="run").run_id
    instance = TaskInstance(dag_id="d", run_id="manual__1", task_id="train", map_index=-1, pushed={})
    operator = TrainModelOperator(task_id="train", run_id=run_id, wait_s=60, poll_s=0.2, deferrable=False)

    report = operator.execute({"ti": instance})

    assert instance.pushed["host"] == "a"
    assert operator.multiple_outputs  # the DAG reads report["model_digest"], which is a key of its own in XCom
    verify_model(loop.directory.model(report["model_digest"]), report["model_digest"])
    with loop.ledger.read() as conn:
        run = training.get(conn, run_id)
        model = models.get(conn, report["model_digest"])
        (job,) = jobs.all_jobs(conn)
    assert run is not None and run.state == "succeeded"
    assert model is not None and model.training_run == run_id
    assert (job.host, job.state) == ("a", "succeeded")
    assert not loop.directory.training_bundle(run_id).exists()
    assert verify(loop, files=True) == []
    json.dumps(report)  # what Airflow keeps in XCom

    with loop.ledger.begin() as conn:
        promotions.promote(conn, VARIANT, report["model_digest"], reason="", elo_gain=None, games=0, at=loop.clock())
    sent = DistributeModelOperator(task_id="distribute", model=report["model_digest"]).execute({"ti": instance})
    host = HostDirectory(tmp_path / "hosts" / "a")
    assert sent["failed"] == {} and list(sent["reached"]) == ["a"]
    verify_model(host.model(report["model_digest"]), report["model_digest"])
    assert json.loads(host.current_model(VARIANT).read_bytes())["digest"] == report["model_digest"]
