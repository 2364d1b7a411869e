"""A real API server of Airflow's with a login, over a run directory of the test's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from new_ledger import new_ledger
from other_programs import end
from ringrift_loop.ledger.database import Ledger

PASSWORDS = {"watcher": "to look", "boss": "to do"}
_PROGRAM = """
import os
import socket
import uvicorn
from airflow.api_fastapi.app import create_app
from airflow.utils.db import initdb

initdb()
if "KEEP_DAGS" in os.environ:  # as the DAG processor does it, once
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db

    manager = DagBundlesManager()
    manager.sync_bundles_to_db()
    for bundle in manager.get_all_dag_bundles():
        bag = BundleDagBag(bundle.path, bundle_path=bundle.path, bundle_name=bundle.name)
        assert not bag.import_errors, bag.import_errors
        sync_bag_to_db(bag, bundle.name, bundle_version=None)
app = create_app(os.environ.get("APPS", "core"))
listening = socket.create_server(("127.0.0.1", 0))
print("PORT", listening.getsockname()[1], flush=True)
os.dup2(2, 1)  # nobody reads on: a line for each request would fill the pipe, and the server would stand still
uvicorn.Server(uvicorn.Config(app, log_level="warning")).run([listening])
"""


@dataclass(frozen=True)
class Server:
    """One that answers; `watcher` may look, `boss` may change things."""

    client: httpx.Client
    home: Path

    @property
    def url(self) -> str:
        return str(self.client.base_url).rstrip("/")

    def token(self, user: str) -> str:
        answer = self.client.post("/auth/token", json={"username": user, "password": PASSWORDS[user]})
        assert answer.status_code == 201, answer.text
        token: str = answer.json()["access_token"]
        return token

    def headers(self, user: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(user)}"}

    def get(self, path: str, user: str = "watcher") -> httpx.Response:
        return self.client.get(path, headers=self.headers(user))

    @property
    def ledger(self) -> Ledger:
        return Ledger.open(f"sqlite:///{self.home / 'run' / 'ledger.db'}")


def own_environment(home: Path) -> dict[str, str]:
    """What every process of this Airflow has in its environment."""
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "watcher:viewer,boss:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
        "AIRFLOW__API_AUTH__JWT_SECRET": "a secret of this test, longer than the sixty-four bytes it wants" * 2,
        "RINGRIFT_HOME": str(home / "run"),
        "RINGRIFT_HOSTS": str(home / "hosts.yaml"),
    }


@contextmanager
def serving(home: Path, inventory: str, environment: Mapping[str, str] | None = None) -> Iterator[Server]:
    """A server over `home` with this inventory, and an empty ledger unless there is one already.

    With `KEEP_DAGS` in its environment it knows the DAGs of its folder; `APPS` says which of Airflow's apps it has.
    """
    (home / "hosts.yaml").write_text(inventory)
    (home / "passwords.json").write_text(json.dumps(PASSWORDS))
    new_ledger(f"sqlite:///{home / 'run' / 'ledger.db'}")
    log = (home / "server.log").open("w")
    command = [sys.executable, "-c", _PROGRAM]
    with subprocess.Popen(
        command,
        env={**os.environ, **own_environment(home), **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        cwd=home,
    ) as process:
        try:
            assert process.stdout is not None
            told = next((line for line in process.stdout if line.startswith("PORT ")), "")
            assert told, (home / "server.log").read_text()[-4000:]
            url = f"http://127.0.0.1:{told.split()[1]}"
            with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
                yield Server(client, home)
        finally:
            end(process)
            log.close()
