"""What every DAG makes of the `conf` that a person gives, through Airflow's own ways of making a run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

WHY = {"reason": "a test"}
ACCEPTED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "the guide's word": ({"config": "hex8_2p", **WHY}, {"variant": "hex8_2p", **WHY}),
    "our own word": ({"variant": "hex8_2p", **WHY}, {"variant": "hex8_2p", **WHY}),
    "both, alike": ({"variant": "hex8_2p", "config": "hex8_2p", **WHY}, {"variant": "hex8_2p", **WHY}),
}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "nothing chosen": (WHY, "ringrift_rollback: variant must be chosen, one of square8_2p, hex8_2p"),
    "a slip": (
        {"varient": "hex8_2p", **WHY},
        "ringrift_rollback: unknown key 'varient', did you mean 'variant'?",
    ),
    "a stranger": (
        {"variant": "hex8_2p", "x": 1, **WHY},
        "ringrift_rollback: unknown key 'x'; the keys are variant, reason",
    ),
    "two words that differ": (
        {"variant": "hex8_2p", "config": "square8_2p", **WHY},
        "ringrift_rollback: variant is given twice, as 'hex8_2p' and as 'square8_2p'",
    ),
    "no such variant": ({"config": "chess", **WHY}, "Invalid input for param variant: 'chess' is not one of"),
}

# One process for all, as an Airflow of its own. Nothing runs: the runs stay queued.
DRIVER = """
import contextlib, io, json, sys
from pathlib import Path
from airflow.api_fastapi.app import create_app
from airflow.cli.cli_parser import get_parser
from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.models.dagrun import DagRun
from airflow.models.serialized_dag import SerializedDagModel
from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
from airflow.settings import Session
from airflow.utils.db import initdb
from fastapi.testclient import TestClient
from sqlalchemy import select

initdb()
DagBundlesManager().sync_bundles_to_db()
folder = Path(sys.argv[1])
bag = DagBag(str(folder), bundle_path=folder, bundle_name="dags-folder", collect_dags=False)
bag.collect_dags(str(folder))
sync_bag_to_db(bag, "dags-folder", None)
parser = get_parser()
client = TestClient(create_app("core"), base_url="http://127.0.0.1")
client.headers["Authorization"] = "Bearer " + client.get("/auth/token").json()["access_token"]

def by_command_line(dag_id, conf):
    arguments = parser.parse_args(["dags", "trigger", dag_id, "--conf", json.dumps(conf), "--output", "json"])
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        arguments.func(arguments)
    return json.loads(told.getvalue().splitlines()[-1])[0]["dag_run_id"]

def by_api(dag_id, conf):
    answer = client.post(f"/api/v2/dags/{dag_id}/dagRuns", json={"conf": conf, "logical_date": None})
    if answer.status_code != 200:
        raise ValueError(answer.json()["detail"])
    return answer.json()["dag_run_id"]

for dag_id, conf in json.loads(sys.argv[2]):
    for way in (by_command_line, by_api):
        try:
            run_id = way(dag_id, conf)
            with Session() as session:
                found = session.scalar(select(DagRun.conf).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id))
        except Exception as error:
            Session.rollback()
            found = str(error)
        with Session() as session:
            runs = len(session.scalars(select(DagRun.id).where(DagRun.dag_id == dag_id)).all())
        print("RESULT " + json.dumps([way.__name__, dag_id, conf, found, runs]), flush=True)
"""
Told = dict[tuple[str, str], list[tuple[Any, int]]]


def _nonsense(dag_id: str) -> dict[str, Any]:
    """What the form wants, and a key that no form has."""
    wanted = {
        "ringrift_promote": {"model": "a" * 64, "config": "hex8_2p"},
        "ringrift_rollback": {"reason": "a test"},
        "ringrift_fleet_command": {"command": "true"},
    }
    return {"nonsense": 1, **wanted.get(dag_id, {})}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, project: Path, dags: dict[str, Any]) -> Told:
    """By DAG and `conf` as text: what each way of making a run gave, and how many runs there were then."""
    home = tmp_path_factory.mktemp("airflow")
    cases: list[tuple[str, Any]] = [(dag_id, _nonsense(dag_id)) for dag_id in dags]
    cases += [("ringrift_rollback", given) for given, _ in REFUSED.values()]
    cases += [("ringrift_rollback", given) for given, _ in ACCEPTED.values()]
    cases += [("ringrift_promote", {"model": "a" * 64 + "\n", "config": "hex8_2p"})]
    cases += [("ringrift_training", {"config": "square8_2p"}), ("ringrift_training", {})]
    environment = os.environ | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__API_AUTH__JWT_SECRET": "a secret of this test, longer than the sixty-four bytes it wants" * 2,
    }
    command = [sys.executable, "-c", DRIVER, str(project / "dags"), json.dumps(cases)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-4000:] + done.stdout[-2000:]
    found: Told = {}
    for line in done.stdout.splitlines():
        if line.startswith("RESULT "):
            _way, dag_id, conf, answer, runs = json.loads(line.removeprefix("RESULT "))
            found.setdefault((dag_id, json.dumps(conf)), []).append((answer, runs))
    return found


def test_no_dag_makes_a_run_with_a_key_that_it_does_not_know(told: Told, dags: dict[str, Any]) -> None:
    assert dags
    for dag_id in dags:
        answers = told[dag_id, json.dumps(_nonsense(dag_id))]
        assert len(answers) == 2
        for answer, runs in answers:
            assert str(answer).startswith(f"{dag_id}: unknown key 'nonsense'; "), answer
            assert runs == 0


@pytest.mark.parametrize("case", REFUSED)
def test_a_rollback_is_refused_unless_it_says_what_it_is_about(told: Told, case: str) -> None:
    given, sentence = REFUSED[case]
    for answer, runs in told["ringrift_rollback", json.dumps(given)]:
        assert str(answer).startswith(sentence)
        assert runs == 0


@pytest.mark.parametrize("case", ACCEPTED)
def test_config_is_another_word_for_variant(told: Told, case: str) -> None:
    given, conf = ACCEPTED[case]
    assert [answer for answer, _ in told["ringrift_rollback", json.dumps(given)]] == [conf, conf]


def test_a_training_by_hand_names_its_variant(told: Told) -> None:
    assert [answer for answer, _ in told["ringrift_training", '{"config": "square8_2p"}']] == [
        {"variant": "square8_2p"}
    ] * 2
    for answer, _ in told["ringrift_training", "{}"]:
        assert str(answer).startswith("ringrift_training: variant must be chosen, one of")


def test_a_digest_with_a_line_end_is_none(told: Told) -> None:
    for answer, runs in told["ringrift_promote", json.dumps({"model": "a" * 64 + "\n", "config": "hex8_2p"})]:
        assert str(answer).startswith("Invalid input for param model:")
        assert runs == 0


def test_nothing_that_a_person_starts_has_a_variant_chosen_beforehand(dags: dict[str, Any]) -> None:
    chosen = {dag_id: dag.params["variant"] for dag_id, dag in dags.items() if "variant" in dag.params}
    assert chosen == dict.fromkeys(
        ("ringrift_promote", "ringrift_regression_gate", "ringrift_rollback", "ringrift_training")
    )
