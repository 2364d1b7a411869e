"""The launcher's questions to Airflow, to a server that answers as Airflow's does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from ringrift_loop.errors import HostUnreachable
from ringrift_loop.launcher.airflow_api import AirflowApi

LOGIN = {"username": "admin", "password": "right"}


class Airflow(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/auth/token":
            self.answer(403, {})
        elif self.path.startswith("/api/v2/dags") and self.headers["Authorization"] != "Bearer a-token":
            self.answer(401, {})
        else:
            self.answer(200, {"scheduler": {"status": "healthy"}, "dags": [{"dag_id": "paused"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer(*((201, {"access_token": "a-token"}) if body == LOGIN else (401, {})))

    def answer(self, status: int, document: dict[str, object]) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(document).encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Airflow) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_no_proxy_is_asked(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.delenv("no_proxy", raising=False)
    assert AirflowApi(url).health()["scheduler"] == "healthy"


def test_where_there_is_a_login_the_launcher_logs_in(url: str) -> None:
    assert AirflowApi(url, "admin", "right").paused_dags() == ["paused"]
    for wrong in (AirflowApi(url), AirflowApi(url, "admin", "wrong")):
        with pytest.raises(HostUnreachable, match="/auth/token"):
            wrong.paused_dags()
