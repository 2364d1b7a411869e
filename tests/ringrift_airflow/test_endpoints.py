"""The endpoints through a real API server of Airflow's, with a login: one server for all cases."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from api_server import PASSWORDS, Server, serving
from ringrift_loop.ledger import curriculum, hosts, models, promotions, ratings, state, workers

PATHS = (
    "/ringrift/health",
    "/ringrift/status",
    "/ringrift/elo/table",
    "/ringrift/nodes/table",
    "/ringrift/api/overview",
    "/ringrift/openapi.json",
)
DIGEST = "ab" * 32
EVIL = "no answer\x1b[31m <script>alert(1)</script>\x00"
INVENTORY = """
standard_hosts:
  local_a: {transport: local, role: "selfplay,training"}
  local_b: {transport: local, role: selfplay}
  far: {ssh_host: 127.0.0.1, role: selfplay, connection: not_there, enabled: false}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("endpoints"), INVENTORY) as server:
        yield server


@pytest.fixture(scope="module")
def filled(server: Server) -> Server:
    """A champion with a rating, a host that answers and one that does not, and what it said."""
    import time

    now = time.time()
    with server.ledger.begin() as conn:
        state.put(conn, state.STARTED_AT, now - 60, at=now)
        state.put(conn, state.ALIVE_AT, now, at=now)
        state.count_cycle(conn, at=now)
        curriculum.replace(conn, {"square8_2p": 1.0}, at=now)
        hosts.ensure(conn, ["local_a", "local_b"])
        hosts.succeeded(conn, "local_a", at=now)
        for _ in range(3):
            hosts.failed(conn, "local_b", EVIL, at=now, poll_s=30, max_backoff_s=600)
        models.add(conn, DIGEST, "square8_2p", parent_digest=None, training_run=None, manifest={}, at=now)
        promotions.promote(conn, "square8_2p", DIGEST, reason="first", elo_gain=None, games=0, at=now)
        workers.assign(conn, "local_a", 0, at=now)
        play = {"model": DIGEST, "generation": 1, "games_per_hour": 90.0, "games": 9, "computed_s": 1.0}
        beat = {"state": "playing", "variant": "square8_2p", "variants": {"square8_2p": play}}
        workers.report(conn, "local_a", 0, beat, at=now)
        model = ratings.RatingRow(
            "square8_2p", f"{DIGEST}|gumbel16,considered=4", 320.0, 25.0, 10, now, wins=6, draws=1
        )
        anchor = ratings.RatingRow("square8_2p", "random", 0.0, 0.0, 10, now, wins=3, draws=1)
        ratings.replace(conn, "square8_2p", [model, anchor], keep_history_of=[])
    return server


@pytest.mark.parametrize("path", PATHS)
def test_nothing_is_told_without_a_login(server: Server, path: str) -> None:
    assert server.client.get(path).status_code == 401
    assert server.client.get(path, headers={"Authorization": "Bearer forged"}).status_code == 403
    assert server.client.get(path, headers={"Cookie": "_token=forged"}).status_code in (401, 403)


@pytest.mark.parametrize("user", PASSWORDS)
@pytest.mark.parametrize("path", PATHS)
def test_viewers_read_everything(filled: Server, path: str, user: str) -> None:
    answer = filled.get(path, user)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_nothing_here_changes_anything(server: Server, path: str, method: str) -> None:
    assert server.client.request(method, path, headers=server.headers("boss"), json={}).status_code == 405


def test_every_route_of_the_contract_needs_a_login(server: Server) -> None:
    contract = server.get("/ringrift/openapi.json").json()
    assert {f"/ringrift{path}" for path in contract["paths"]} >= set(PATHS) - {"/ringrift/openapi.json"}
    for path, operations in contract["paths"].items():
        for method, operation in operations.items():
            assert operation["security"], path
            asked = f"/ringrift{re.sub('{[^}]*}', 'x', path)}"
            assert server.client.request(method, asked, json={}).status_code == 401, (method, path)
    columns = set(contract["components"]["schemas"]["EloRow"]["properties"])
    assert columns >= {"Rank", "Model", "Elo", "WinRate", "Games", "Wins", "Losses", "Draws", "Config"}


def test_the_elo_table_is_the_cluster_dashboards(filled: Server) -> None:
    rows = filled.get("/ringrift/elo/table").json()
    assert [(row["Rank"], row["Elo"], row["Wins"], row["Losses"], row["Draws"]) for row in rows] == [
        (1, 320.0, 6, 3, 1),
        (2, 0.0, 3, 6, 1),
    ]
    assert rows[0]["Config"] == "square8_2p"
    assert rows[0]["WinRate"] == 0.6
    assert all(not isinstance(cell, (dict, list)) for row in rows for cell in row.values())


def test_the_elo_table_can_be_narrowed(filled: Server) -> None:
    trained = filled.get("/ringrift/elo/table?source=trained").json()
    assert [row["Digest"] for row in trained] == [DIGEST]
    assert [row["Model"] for row in filled.get("/ringrift/elo/table?source=baseline").json()] == ["random"]
    assert filled.get("/ringrift/elo/table?config=hex8_2p").json() == []
    assert len(filled.get("/ringrift/elo/table?config=square8_2p").json()) == 2
    refused = filled.get("/ringrift/elo/table?config=chess")
    assert refused.status_code == 422
    assert refused.json()["detail"].startswith("config must be one of square8_2p, ")
    assert filled.get("/ringrift/elo/table?source=guessed").status_code == 422


def test_the_nodes_table_tells_each_host_in_plain_text(filled: Server) -> None:
    rows = {row["Node"]: row for row in filled.get("/ringrift/nodes/table").json()}
    assert {name: row["Status"] for name, row in rows.items()} == {
        "local_a": "online",
        "local_b": "failing",
        "far": "disabled",
    }
    assert rows["local_a"]["GamesPerHour"] == 90.0
    assert (rows["local_a"]["CPU"], rows["local_a"]["LastError"]) == (None, None)
    assert rows["local_b"]["LastError"].startswith("no answer?[31m ")
    assert all(text.isprintable() for row in rows.values() for text in row.values() if isinstance(text, str))


def test_the_status_is_what_the_command_prints(filled: Server) -> None:
    document = filled.get("/ringrift/status").json()
    assert document["runs"] is True
    assert document["variants"][0]["champion"] == DIGEST
    assert (document["hosts_active"], document["hosts_failed"]) == (1, 1)


def test_health_is_503_once_a_part_is_unhealthy(filled: Server) -> None:
    healthy = filled.get("/ringrift/health")
    assert (healthy.status_code, healthy.json()["status"]) == (200, "healthy")
    assert set(healthy.json()["components"]) == {"collector", "evaluator", "training", "promoter", "curriculum"}
    with filled.ledger.begin() as conn:
        alive_at = state.get_time(conn, state.ALIVE_AT)
        state.put(conn, state.ALIVE_AT, 1000.0, at=1000.0)
        started_at = state.get_time(conn, state.STARTED_AT)
        state.put(conn, state.STARTED_AT, 900.0, at=1000.0)
    try:
        gone = filled.get("/ringrift/health")
    finally:
        with filled.ledger.begin() as conn:
            state.put(conn, state.ALIVE_AT, alive_at, at=1000.0)
            state.put(conn, state.STARTED_AT, started_at, at=1000.0)
    assert (gone.status_code, gone.json()["status"], gone.json()["running"]) == (503, "unhealthy", False)


def test_a_ledger_that_cannot_be_read_is_told_without_a_traceback(filled: Server) -> None:
    ledger = filled.home / "run" / "ledger.db"
    aside = ledger.with_name("aside")
    ledger.rename(aside)
    try:
        answer = filled.get("/ringrift/status")
    finally:
        ledger.unlink(missing_ok=True)
        aside.rename(ledger)
    assert answer.status_code == 503
    assert "ringrift-loop ledger migrate" in answer.json()["detail"]
