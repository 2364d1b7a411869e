"""`docker-compose.yaml` as it is, in namespaces instead of containers: to the first champion, then through kill -9.

First the start of a new run as it is shipped, with champions. The loop itself begins from nothing (FRESH=1), so that a
training, a gate and a promotion are seen: no candidate of these small networks could ever beat a shipped champion.

A quarter of an hour, so not part of `make test`: `make test-stack` runs it and prints the table of what was killed.
What differs from containers is listed in docs/5-operations.md.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import re
import secrets
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import containers
from ringrift_loop.champions.shipped import shipped_cards
from ringrift_loop.cli.entry import main
from ringrift_loop.config.loader import load_config
from ringrift_loop.errors import HostUnreachable
from ringrift_loop.launcher.airflow_api import COMPONENTS, AirflowApi

PROJECT = Path(__file__).resolve().parents[2]
VARIANT = "square8_2p"
pytestmark = [pytest.mark.system, pytest.mark.stack, pytest.mark.timeout(2400)]

# Networks that are trained in seconds, and gates that they pass: how the parts work together is the question.
SMALL = {
    "VARIANTS": f"[{VARIANT}]",
    "DATA_INGESTION__MIN_GAMES_PER_SYNC": "1",
    "DATA_INGESTION__POLL_INTERVAL_SECONDS": "10",
    "SELFPLAY__SIMULATIONS_FULL": "4",
    "SELFPLAY__SIMULATIONS_FAST": "2",
    "SELFPLAY__BOOTSTRAP_SIMULATIONS": "8",
    "SELFPLAY__GAMES_IN_PARALLEL": "8",
    "SELFPLAY__SEGMENT_SECONDS": "5",
    "TRAINING__TRIGGER_THRESHOLD_GAMES": "60",
    "TRAINING__MIN_INTERVAL_SECONDS": "60",
    "TRAINING__WINDOW_ROWS_MIN": "1000",
    "TRAINING__SAMPLES_PER_ROW": "1.0",
    "TRAINING__BATCH_SIZE": "64",
    "TRAINING__WARMUP_STEPS": "5",
    "TRAINING__BLOCKS": "1",
    "TRAINING__CHANNELS": "8",
    "TRAINING__THREADS": "1",
    "EVALUATION__SIMULATIONS": "1",
    "EVALUATION__SHADOW_GAMES_PER_CONFIG": "2",
    "REGRESSION__GAMES": "2",
    "REGRESSION__TIMEOUT_SECONDS": "3600",
    "REGRESSION__HARD_BLOCK": "false",
    "PROMOTION__COOLDOWN_SECONDS": "0",
    "RESOURCE_TARGETS__CPU_MAX": "100",
}


def given(folder: Path) -> dict[str, str]:
    """What a person writes into `.env`, as config/docker/env.example says."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key"], check=True)
    words = ("POSTGRES", "LEDGER", "REDIS", "GRAFANA_ADMIN", "AIRFLOW_ADMIN")
    return {f"{word}_PASSWORD": secrets.token_hex(24) for word in words} | {
        "AIRFLOW_JWT_SECRET": secrets.token_hex(48),
        "AIRFLOW_API_SECRET_KEY": secrets.token_hex(24),
        "AIRFLOW_FERNET_KEY": base64.urlsafe_b64encode(os.urandom(32)).decode(),
        "SSH_PRIVATE_KEY": (folder / "key").read_text(),
        "SSH_PUBLIC_KEY": (folder / "key.pub").read_text().strip(),
    }


@dataclass
class Running:
    """The stack that is up, and how it is asked."""

    stack: containers.Stack
    env: dict[str, str]

    @property
    def page(self) -> str:
        return f"http://{self.stack.address('airflow-api-server')}:8080"

    def sql(self, query: str, database: str = "airflow", user: str = "airflow") -> list[list[str]]:
        """The rows of a query; none while the server is away."""
        asked = self.stack["postgres"].run(
            *("psql", "--username", user, "--dbname", database, "--no-align", "--tuples-only", "--command", query)
        )
        return [line.split("|") for line in asked.stdout.splitlines()] if asked.returncode == 0 else []

    def ledger(self, query: str) -> list[list[str]]:
        return self.sql(query, "ringrift", "ringrift")

    def games(self) -> int:
        rows = self.ledger("select count(*) from games")
        return int(rows[0][0]) if rows else -1

    def get(self, address: str, token: str | None = None) -> tuple[int, str]:
        """Status and text of a page, over the stack's network and no proxy."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}

        def ask() -> tuple[int, str]:
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            try:
                with opener.open(urllib.request.Request(address, headers=headers), timeout=20) as answer:
                    return answer.status, answer.read().decode()
            except urllib.error.HTTPError as refused:
                with refused:
                    return refused.code, refused.read().decode()
            except (OSError, http.client.HTTPException) as error:
                return 0, str(error)

        return self.stack.call(ask)

    def logs(self) -> str:
        """The ends of the logs, for a failure's report."""
        files = sorted((self.stack.folder / "logs").iterdir())
        return "\n".join(f"== {file.name}\n{file.read_text(errors='replace')[-2500:]}" for file in files)

    def until(self, what: str, condition: Callable[[], Any], limit_s: float) -> Any:
        """The first true answer.

        Raises:
            AssertionError: none came in time.
        """
        give_up_at = time.monotonic() + limit_s
        while not (answer := condition()):
            assert time.monotonic() < give_up_at, f"not within {limit_s:.0f} s: {what}\n{self.logs()}"
            time.sleep(1)
        return answer

    def succeeded_since(self, at: datetime) -> float | None:
        """Seconds after `at` at which the first task that started since then had succeeded."""
        rows = self.sql(
            "select extract(epoch from min(end_date)) from task_instance "
            f"where state = 'success' and start_date > '{at.isoformat()}'"
        )
        return float(rows[0][0]) - at.timestamp() if rows and rows[0][0] else None


@contextlib.contextmanager
def made(overrides: dict[str, str], **more: str) -> Iterator[Running]:
    """The stack, not started, with more variables in `.env`; everything is gone afterwards."""
    if (reason := containers.missing()) is not None:
        pytest.skip(reason)
    for program, package in {
        "redis-server": "redis-server",
        "prometheus": "prometheus",
        "prometheus-alertmanager": "prometheus-alertmanager",
        "sshd": "openssh-server",
    }.items():
        if shutil.which(program, path="/usr/sbin:/usr/bin") is None:
            pytest.skip(f"the Debian package {package} is missing")
    pytest.importorskip("airflow.providers.celery", reason="pip install -c constraints.txt -e '.[production]'")
    folder = Path(tempfile.mkdtemp(prefix="ringrift-stack-"))
    env = given(folder) | more
    stack = containers.Stack(PROJECT, folder, env, overrides)
    try:
        yield Running(stack, env)
    finally:
        stack.close()
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with made({f"RINGRIFT__{name}": value for name, value in SMALL.items()}, FRESH="1") as running:
        running.stack.up()
        yield running


def test_a_new_run_begins_with_the_shipped_champions() -> None:
    with made({}) as new:
        new.stack.up("postgres", "airflow-init")
        said = new.stack.completed("airflow-init")
        # By the digest of its card: here it may play in eight bits, under another one.
        champions = new.ledger(
            "select p.variant, m.manifest::json -> 'imported' -> 'card' ->> 'digest' from promotions p"
            " join models m on m.digest = p.model_digest where p.status = 'promoted'"
        )
    variants = load_config(PROJECT / "config" / "unified_loop.yaml").variants
    shipped = {name: card.digest for name, card in shipped_cards().items() if name in variants}
    assert shipped and dict(champions) == shipped, said


def test_everything_starts_and_is_healthy(running: Running) -> None:
    def health() -> dict[str, Any]:
        status, text = running.get(f"{running.page}/api/v2/monitor/health")
        return json.loads(text) if status == 200 else {}

    running.until(
        "all components are healthy",
        lambda: all((health().get(name) or {}).get("status") == "healthy" for name in COMPONENTS),
        180,
    )
    assert running.stack.left_out == ["grafana"]
    celery = running.stack["airflow-worker-1"].run(
        *("celery", "--app", "airflow.providers.celery.executors.celery_executor.app", "inspect", "ping", "--json")
    )
    workers = {f"celery@{running.stack[name].hostname}" for name in ("airflow-worker-1", "airflow-worker-2")}
    assert set(json.loads(celery.stdout.splitlines()[-1])) == workers, celery.stdout + celery.stderr


def test_who_has_not_logged_in_sees_nothing(running: Running) -> None:
    pages = ("/api/v2/dags", "/api/v2/connections", "/ringrift/status", "/ringrift/elo/table")
    assert {page: running.get(running.page + page)[0] for page in pages} == dict.fromkeys(pages, 401)
    wrong = AirflowApi(running.page, "admin", "not the password")
    right = AirflowApi(running.page, "admin", running.env["AIRFLOW_ADMIN_PASSWORD"])
    with pytest.raises(HostUnreachable, match="401"):
        running.stack.call(wrong.paused_dags)
    assert running.stack.call(right.paused_dags) == []
    assert running.stack.call(right.import_errors) == {}


def test_the_loop_gets_to_its_first_champion(running: Running) -> None:
    began = time.monotonic()
    reached = {}
    for what, query in {
        "first games": "select 1 from games limit 1",
        "first training": "select 1 from training_runs limit 1",
        "first champion": "select 1 from promotions where status = 'promoted' limit 1",
    }.items():
        running.until(what, lambda query=query: running.ledger(query), 900)
        reached[what] = time.monotonic() - began
    hosts = {row[0] for row in running.ledger("select distinct host from games")}
    assert '"choice": "none", "imported": []' in running.stack.completed("airflow-init")
    trained = "select 1 from promotions join models on models.digest = model_digest where training_run is not null"
    assert running.ledger(trained)
    assert hosts == {"host-a", "host-b"}
    print("\nafter everything was up: " + ", ".join(f"{what} {after:.0f} s" for what, after in reached.items()))


@dataclass(frozen=True)
class Killed:
    """A line of the table."""

    what: str
    started_again_s: float
    task_s: float
    games_s: float
    games_lost: int
    trained: bool


TABLE: list[Killed] = []


@pytest.mark.parametrize("name", ["airflow-worker-1", "redis", "postgres", "airflow-triggerer"])
def test_after_kill_9_tasks_run_again_and_nothing_is_lost(running: Running, name: str) -> None:
    before = running.games()
    container = running.stack[name]
    starts, at = container.starts, datetime.now(UTC)
    busy = running.sql(
        f"select task_id from task_instance where state = 'running' and hostname = '{container.hostname}'"
    )

    container.kill()

    running.until(f"{name} is started again", lambda: container.starts > starts, 60)
    started_again_s = time.time() - at.timestamp()
    task_s = running.until(f"a task ran after {name}", lambda: running.succeeded_since(at), 400)
    after = running.until(f"new games after {name}", lambda: max(0, running.games() - before), 400)
    games_s = time.time() - at.timestamp()
    running.until(
        "the killed worker's tasks are settled", lambda: running.sql("select 1") and not stuck(running, at), 400
    )
    TABLE.append(Killed(name, started_again_s, task_s, games_s, min(0, after), bool(busy)))


def stuck(running: Running, at: datetime) -> bool:
    """Whether a task that ran or waited at that time is still said to."""
    return bool(
        running.sql(
            "select 1 from task_instance where state in ('running', 'queued') "
            f"and coalesce(start_date, queued_dttm) < '{at.isoformat()}' and task_id <> 'train'"
        )
    )


def test_trainings_go_on_after_all_that(running: Running) -> None:
    query = "select count(*) from promotions where status in ('promoted', 'rejected')"
    before = int(running.ledger(query)[0][0])
    running.until("one more candidate is judged", lambda: int((running.ledger(query) or [["0"]])[0][0]) > before, 900)


def test_a_second_loop_on_the_ledger_is_refused(running: Running) -> None:
    worker = running.stack["airflow-worker-2"]
    other = worker.run("env", "RINGRIFT_HOME=/tmp/other", "ringrift-loop", "ledger", "migrate")
    assert other.returncode == 2
    assert "the ledger belongs to the run directory /var/lib/ringrift" in other.stderr
    assert "Traceback" not in other.stderr


def test_prometheus_has_the_loops_metrics_and_rules(running: Running) -> None:
    prometheus = f"http://{running.stack.address('prometheus')}:9090/api/v1"

    def value(query: str) -> str | None:
        found = json.loads(running.get(f"{prometheus}/query?query={query}")[1])["data"]["result"]
        return found[0]["value"][1] if found else None

    running.until("the bridge is scraped", lambda: value("up{job=%22ringrift-loop%22}") == "1", 60)
    running.until("hosts are counted", lambda: value("ringrift_hosts_active") == "2", 120)
    rules = json.loads(running.get(f"{prometheus}/rules")[1])["data"]["groups"]
    assert {group["name"] for group in rules} >= {"ringrift-loop", "ringrift-utilization"}
    managers = json.loads(running.get(f"{prometheus}/alertmanagers")[1])["data"]["activeAlertmanagers"]
    assert [manager["url"] for manager in managers] == ["http://alertmanager:9093/api/v2/alerts"]


def test_the_dashboards_are_drawn_and_only_what_waits_for_something_is_empty(running: Running, tmp_path: Path) -> None:
    prometheus = f"http://{running.stack.address('prometheus')}:9090"
    assert running.stack.call(main, ["monitoring", "draw", str(tmp_path), "--prometheus", prometheus]) == 0
    empty = set()
    for picture in sorted(tmp_path.iterdir()):
        text = picture.read_text(encoding="utf-8")
        assert ">No data<" not in text, picture
        empty |= set(re.findall(r">(Empty until [^<]*)<", text))
    print(f"\n{tmp_path} has the pictures; {'; '.join(sorted(empty))}")


def test_the_audit_has_nothing_to_complain_about(running: Running) -> None:
    audit = running.stack["airflow-worker-2"].run("ringrift-loop", "ledger", "verify", "--hosts", "--files")
    assert audit.stdout.strip() == "nothing to complain about", audit.stdout + audit.stderr
    failed = running.sql("select dag_id, task_id, count(*) from task_instance where state = 'failed' group by 1, 2")
    print(f"\n{running.games()} games; tasks that failed: {failed}")
    for row in TABLE:
        print(
            f"| {row.what}{', in a task' if row.trained else ''} | {row.started_again_s:.1f} s | {row.task_s:.0f} s "
            f"| {row.games_s:.0f} s | {row.games_lost} |"
        )
