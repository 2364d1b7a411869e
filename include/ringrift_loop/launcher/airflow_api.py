"""The few questions the launcher asks Airflow, over its public REST API.

The launcher does not import Airflow: that costs 150 MB and ties it to Airflow's database.
"""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ringrift_loop.errors import HostUnreachable

_TIMEOUT_S = 10.0
COMPONENTS = ("metadatabase", "scheduler", "dag_processor", "triggerer")


@dataclass(frozen=True)
class QueuedTask:
    """A task instance that was handed to the executor and has not started."""

    dag_id: str
    task_id: str
    queued_at: float  # seconds since the epoch


class AirflowApi:
    """A client of one API server of this machine; asks it directly, whatever proxy the environment names.

    Args:
        url: the server's address without a trailing slash.
        user: who logs in; nobody where the page has no login.
        password: of that user.
    """

    def __init__(self, url: str, user: str | None = None, password: str = "") -> None:
        self._url = url
        self._login = None if user is None else {"username": user, "password": password}
        self._direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self._token: str | None = None

    def health(self) -> dict[str, str]:
        """The status word of each component; an unreachable server has none.

        Raises:
            HostUnreachable: the server does not answer, or not as Airflow would.
        """
        answer = self._get("/api/v2/monitor/health", with_token=False)
        return {name: str((answer.get(name) or {}).get("status")) for name in COMPONENTS}

    def queued_tasks(self) -> list[QueuedTask]:
        """Tasks that wait for an executor's worker process, in no order."""
        answer = self._get("/api/v2/dags/~/dagRuns/~/taskInstances?state=queued&limit=50")
        return [
            QueuedTask(
                dag_id=row["dag_id"],
                task_id=row["task_id"],
                queued_at=datetime.fromisoformat(row["queued_when"]).timestamp(),
            )
            for row in answer.get("task_instances", [])
            if row.get("queued_when")
        ]

    def paused_dags(self) -> list[str]:
        """Ids of the loop's DAGs that a person has paused."""
        answer = self._get("/api/v2/dags?tags=ringrift&paused=true&limit=100")
        return sorted(row["dag_id"] for row in answer.get("dags", []))

    def import_errors(self) -> dict[str, str]:
        """DAG files that do not parse, with the last line of what was wrong."""
        answer = self._get("/api/v2/importErrors?limit=50")
        return {row["filename"]: row["stack_trace"].strip().splitlines()[-1] for row in answer.get("import_errors", [])}

    def _get(self, path: str, *, with_token: bool = True) -> dict[str, Any]:
        headers = {"Accept": "application/json"}
        if with_token:
            self._token = self._token or self._new_token()
            headers["Authorization"] = f"Bearer {self._token}"
        try:
            return self._read(path, headers)
        except HostUnreachable:
            self._token = None  # tokens end after a day: the next question asks for a new one
            raise

    def _new_token(self) -> str:
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        return str(self._read("/auth/token", headers, self._login)["access_token"])

    def _read(self, path: str, headers: dict[str, str], body: dict[str, str] | None = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, headers)
        try:
            with self._direct.open(request, timeout=_TIMEOUT_S) as answer:
                document = json.load(answer)
        except (OSError, ValueError, RecursionError, http.client.HTTPException) as error:
            if isinstance(error, urllib.error.HTTPError):
                error.close()
            raise HostUnreachable(f"Airflow's API server at {self._url} does not answer {path}: {error}") from error
        if not isinstance(document, dict):
            raise HostUnreachable(f"{self._url}{path} answered {type(document).__name__}, not a JSON object")
        return document
