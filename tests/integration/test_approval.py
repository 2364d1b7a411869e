"""A promotion that a person has to approve, from the page to the pointer: Airflow's own API server and scheduler."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from api_server import Server, own_environment, serving
from browser import CHROMIUM, NO_CHROMIUM, chromium
from model_history import DIGESTS, VARIANT, fill_history
from other_programs import end
from ringrift_loop.ledger import promotions

PROJECT = Path(__file__).resolve().parents[2]
# Three task processes, one after the other; a busy machine takes its time.
pytestmark = [
    pytest.mark.timeout(420),
    pytest.mark.system,
    pytest.mark.skipif(CHROMIUM is None, reason=NO_CHROMIUM),
]
_PATIENCE_S = 150.0
INVENTORY = "standard_hosts:\n  local_a: {transport: local, role: selfplay}\n"
REQUIRE = {"RINGRIFT__PROMOTION__REQUIRE_APPROVAL": "true"}


@pytest.fixture
def airflow(tmp_path: Path) -> Iterator[Server]:
    """An Airflow with the DAG ringrift_promote and no other, over the history of six models."""
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "ringrift_promote.py").symlink_to(PROJECT / "dags" / "ringrift_promote.py")
    folder = {"AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path / "dags")}
    with serving(tmp_path, INVENTORY, {**REQUIRE, **folder, "KEEP_DAGS": "yes", "APPS": "all"}) as server:
        with server.ledger.begin() as conn:
            fill_history(conn, time.time())
        for name, pool in json.loads((PROJECT / "config" / "pools.json").read_text()).items():
            answer = server.client.post("/api/v2/pools", json={"name": name, **pool}, headers=server.headers("boss"))
            assert answer.status_code == 201, answer.text
        url = {"AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{server.url}/execution/"}
        log = (tmp_path / "scheduler.log").open("w")
        command = [sys.executable, "-m", "airflow", "scheduler"]
        with subprocess.Popen(
            command,
            env={**os.environ, **own_environment(tmp_path), **REQUIRE, **folder, **url},
            stdout=log,
            stderr=log,
            cwd=tmp_path,
        ) as scheduler:
            try:
                yield server
            finally:
                end(scheduler)
                log.close()


def _until(what: str, look: Callable[[], Any], home: Path) -> Any:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.3)
    raise AssertionError(f"{what} did not come: {(home / 'scheduler.log').read_text()[-6000:]}")


def _approve_in_the_browser(server: Server, run_id: str, *, why: str) -> None:
    """What a person does on Airflow's page of the task."""
    with chromium() as browser:
        context = browser.new_context(viewport={"width": 1280, "height": 860})
        context.add_cookies([{"name": "_token", "value": server.token("boss"), "url": server.url}])
        page = context.new_page()
        page.goto(f"{server.url}/dags/ringrift_promote/runs/{run_id}/tasks/approve/required_actions")
        page.get_by_text("Make generation 6").first.wait_for()
        page.locator("#element_why").fill(why)
        page.get_by_role("button", name="Approve", exact=True).click()
        page.get_by_text("Awaiting Input").first.wait_for(state="hidden")


def test_a_promotion_waits_for_a_persons_yes_and_then_happens(airflow: Server) -> None:
    boss = airflow.headers("boss")
    wish = {"model": DIGESTS[5], "reason": "it beats me as well"}
    started = airflow.client.post("/ringrift/api/models/promote", json=wish, headers=boss).json()
    run = f"/api/v2/dags/ringrift_promote/dagRuns/{started['run_id']}"

    def state(task: str) -> str | None:
        found: str | None = airflow.client.get(f"{run}/taskInstances/{task}", headers=boss).json()["state"]
        return found

    _until("the question", lambda: state("approve") == "awaiting_input", airflow.home)
    question = f"{run}/taskInstances/approve/-1/hitlDetails"
    asked = airflow.client.get(question, headers=boss).json()
    assert asked["subject"] == f"Make generation 6 ({DIGESTS[5][:12]}) the champion of {VARIANT}?"
    assert "+27.5 Elo after 400 games" in asked["body"]
    shown = airflow.get(f"/ringrift/api/models?config={VARIANT}").json()
    assert shown["question"]["run"] == f"ringrift_promote/{started['run_id']}"
    assert shown["champion"] == DIGESTS[2]

    answer = {"chosen_options": ["Approve"], "params_input": {"why": "strong"}}
    assert airflow.client.patch(question, json=answer, headers=airflow.headers("watcher")).status_code == 403
    assert state("approve") == "awaiting_input"
    _approve_in_the_browser(airflow, started["run_id"], why="strong")

    _until("the promotion", lambda: state("promote") == "success", airflow.home)
    with airflow.ledger.read() as conn:
        champion = promotions.champion(conn, VARIANT)
        (promoted,) = promotions.of_model(conn, DIGESTS[5])
    assert champion is not None and champion.model_digest == DIGESTS[5]
    assert promoted.reason.endswith("by hand, approved by boss: strong (boss: it beats me as well)")
