"""The endpoints of the pages Models and Hosts through a real API server, with a login and the DAGs that they start."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from api_server import Server, serving
from model_history import DIGESTS, VARIANT, fill_history
from ringrift_loop.layout import RunDirectory
from ringrift_loop.ledger import events, jobs, promotions, state, utilization
from ringrift_loop.ledger.jobs import Placement
from ringrift_loop.ledger.utilization import SampleRow
from ringrift_loop.machine.bounded_log import append_lines

PROJECT = Path(__file__).resolve().parents[2]
INVENTORY = """
standard_hosts:
  local_a: {transport: local, role: "selfplay,training"}
  local_b: {transport: local, role: selfplay}
"""
GETS = (
    "/ringrift/api/variants",
    f"/ringrift/api/models?config={VARIANT}",
    f"/ringrift/api/models/losses?config={VARIANT}",
    f"/ringrift/api/models/refusals?config={VARIANT}",
    f"/ringrift/api/models/matchups?config={VARIANT}",
    f"/ringrift/api/models/{DIGESTS[3]}",
    "/ringrift/api/games/04020000000000000000000000000000/lineage",
    "/ringrift/api/hosts",
    "/ringrift/api/hosts/load",
    "/ringrift/api/hosts/local_a/workers",
    "/ringrift/api/jobs/train-1/log",
)
POSTS = {
    "/ringrift/api/models/promote": {"model": DIGESTS[5], "reason": "it beats me as well"},
    "/ringrift/api/models/roll_back": {"variant": VARIANT, "reason": "it stalls"},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("model-endpoints")
    (home / "dags").mkdir()
    for name in ("ringrift_promote.py", "ringrift_rollback.py"):
        (home / "dags" / name).symlink_to(PROJECT / "dags" / name)
    environment = {
        "KEEP_DAGS": "yes",
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
    }
    with serving(home, INVENTORY, environment) as server:
        with server.ledger.begin() as conn:
            now = time.time()
            fill_history(conn, now)
            state.note_alive(conn, at=now, silence_s=300)
            utilization.add(conn, SampleRow("local_a", now - 5.0, "m1", 30.0, 75.0, 40.0, 5.0, 50.0))
            jobs.place(conn, "train-1", Placement("d", "training", "local_a", [], 900.0), at=now)
        append_lines(RunDirectory(home / "run").job_log("train-1"), ["step 100", "<script>alert(1)</script>"])
        yield server


def _requests(server: Server) -> list[dict[str, object]]:
    with server.ledger.read() as conn:
        return [{"message": event.message, **event.data} for event in events.latest(conn, kind="request")]


@pytest.mark.parametrize("path", GETS)
def test_viewers_read_and_strangers_do_not(server: Server, path: str) -> None:
    assert server.client.get(path).status_code == 401
    answer = server.get(path, "watcher")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("path", POSTS)
def test_a_change_needs_the_right_and_a_reason(server: Server, path: str) -> None:
    wish = POSTS[path]
    before = _requests(server)
    assert server.client.post(path, json=wish).status_code == 401
    assert server.client.post(path, json=wish, headers=server.headers("watcher")).status_code == 403
    for reason in ("", "  ", "a", "x" * 501):
        refused = server.client.post(path, json={**wish, "reason": reason}, headers=server.headers("boss"))
        assert refused.status_code == 422, reason
    assert _requests(server) == before


def test_a_promotion_starts_the_dag_under_the_users_name_and_is_in_the_history(server: Server) -> None:
    answer = server.client.post(
        "/ringrift/api/models/promote", json=POSTS["/ringrift/api/models/promote"], headers=server.headers("boss")
    )
    assert answer.status_code == 200, answer.text
    started = answer.json()
    run = server.get(f"/api/v2/dags/{started['dag_id']}/dagRuns/{started['run_id']}", "boss").json()
    assert started["dag_id"] == "ringrift_promote"
    assert run["conf"] == {"model": DIGESTS[5], "variant": VARIANT, "reason": "it beats me as well"}
    assert (run["triggering_user_name"], run["note"], run["state"]) == ("boss", "it beats me as well", "queued")
    (told,) = [each for each in _requests(server) if each["run_id"] == started["run_id"]]
    assert (told["user"], told["why"]) == ("boss", "it beats me as well")
    assert told["message"] == (
        f"boss asks for the promotion of {DIGESTS[5][:12]}, generation 6 of {VARIANT}: it beats me as well"
    )
    with server.ledger.read() as conn:  # the DAG decides, not the page
        assert promotions.of_model(conn, DIGESTS[5]) == []


def test_a_rollback_starts_the_dag_with_the_reason(server: Server) -> None:
    answer = server.client.post(
        "/ringrift/api/models/roll_back", json=POSTS["/ringrift/api/models/roll_back"], headers=server.headers("boss")
    )
    assert answer.status_code == 200, answer.text
    started = answer.json()
    run = server.get(f"/api/v2/dags/{started['dag_id']}/dagRuns/{started['run_id']}", "boss").json()
    assert (started["dag_id"], run["conf"]) == ("ringrift_rollback", {"variant": VARIANT, "reason": "it stalls"})
    (told,) = [each for each in _requests(server) if each["run_id"] == started["run_id"]]
    assert f"the rollback of {VARIANT} from {DIGESTS[2][:12]} to {DIGESTS[0][:12]}: it stalls" in str(told["message"])


def test_what_cannot_be_done_is_said_before_a_dag_is_started(server: Server) -> None:
    before = _requests(server)
    headers = server.headers("boss")

    def asked(path: str, **wish: str) -> tuple[int, str]:
        answer = server.client.post(f"/ringrift/api/models/{path}", json={"reason": "just so", **wish}, headers=headers)
        return answer.status_code, str(answer.json()["detail"])

    assert asked("promote", model="9" * 64) == (404, "no model 999999999999 is registered")
    assert asked("promote", model=DIGESTS[2]) == (409, f"{DIGESTS[2][:12]} is the champion of {VARIANT} already")
    assert asked("promote", model="../etc")[0] == 422
    assert asked("roll_back", variant="hex8_2p") == (
        409,
        "hex8_2p has had 0 champions; there is none to go back to",
    )
    assert asked("roll_back", variant="chess")[0] == 422
    assert _requests(server) == before


def test_a_paused_dag_is_not_started(server: Server) -> None:
    headers = server.headers("boss")
    server.client.patch("/api/v2/dags/ringrift_promote", json={"is_paused": True}, headers=headers).raise_for_status()
    try:
        answer = server.client.post(
            "/ringrift/api/models/promote", json=POSTS["/ringrift/api/models/promote"], headers=headers
        )
    finally:
        server.client.patch("/api/v2/dags/ringrift_promote", json={"is_paused": False}, headers=headers)
    assert (answer.status_code, answer.json()["detail"]) == (
        409,
        "the DAG ringrift_promote is paused: switch it on in Airflow, then ask again",
    )


def test_the_models_come_with_state_rating_and_verdicts(server: Server) -> None:
    view = server.get(f"/ringrift/api/models?config={VARIANT}&most=2").json()
    assert [line["generation"] for line in view["models"]] == [6, 5, 3]
    assert (view["count"], view["champion"], view["approval_required"]) == (6, DIGESTS[2], False)
    assert [choice for choice in server.get("/ringrift/api/variants").json() if choice["models"]] == [
        {"variant": VARIANT, "models": 6, "champion_generation": 4}
    ]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/ringrift/api/models?config=chess", 422),
        ("/ringrift/api/models", 422),
        (f"/ringrift/api/models?config={VARIANT}&most=1000000", 422),
        (f"/ringrift/api/models/{'9' * 64}", 404),
        ("/ringrift/api/models/..%2f..%2fledger", 404),
        ("/ringrift/api/games/nothing/lineage", 404),
        ("/ringrift/api/hosts/nowhere/workers", 404),
        ("/ringrift/api/jobs/..%2f..%2fledger.db/log", 404),
        ("/ringrift/api/jobs/.hidden/log", 404),
    ],
)
def test_a_wrong_question_is_answered_with_a_sentence(server: Server, path: str, status: int) -> None:
    answer = server.get(path)
    assert answer.status_code == status
    assert answer.json()["detail"]


def test_a_jobs_log_is_sent_once(server: Server) -> None:
    tail = server.get("/ringrift/api/jobs/train-1/log").json()
    assert tail["text"] == "step 100\n<script>alert(1)</script>\n"
    again = server.get(f"/ringrift/api/jobs/train-1/log?after={tail['token']}").json()
    assert (again["text"], again["token"]) == (None, tail["token"])
