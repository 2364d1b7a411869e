"""The deployment's task: the form's values reach the library, and a host that failed fails the task with its record."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from new_ledger import new_ledger
from ringrift_airflow.dag_pages import load_dags
from ringrift_airflow.tasks import deploy
from ringrift_loop.errors import RemoteJobFailed

PROJECT = Path(__file__).parents[3]
DEFAULTS: dict[str, Any] = {
    "scope": "all",
    "hosts": [],
    "install_systemd": False,
    "restart": False,
    "dry_run": True,
    "hot_reload": True,
}


@pytest.fixture
def hosts(run_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The inventory's file, for a loop with an empty ledger."""
    new_ledger(f"sqlite:///{run_home / 'ledger.db'}")
    file = tmp_path / "hosts.yaml"
    monkeypatch.setenv("RINGRIFT_HOSTS", str(file))
    return file


def test_the_form_changes_nothing_by_default_and_its_values_keep_their_types() -> None:
    dag = load_dags(PROJECT / "dags")["ringrift_deploy"]
    assert {name: dag.params[name] for name in dag.params} == DEFAULTS
    task = dag.get_task("deploy_hosts")
    asked = DEFAULTS | {"scope": "selfplay", "hosts": ["a", "b"], "dry_run": False}
    task.render_template_fields({"params": asked})
    assert task.op_kwargs == asked


def test_a_dry_run_returns_the_plan(hosts: Path) -> None:
    hosts.write_text("standard_hosts: {a: {transport: local, role: 'selfplay,training'}}\n")
    report = deploy.deploy_hosts.function(**DEFAULTS)
    assert report == {"dry_run": True, "plan": ["a: this machine's own installation"], "failed": [], "results": []}


def test_a_host_that_failed_fails_the_task_and_leaves_the_record(hosts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nothing listens there
        port = taken.getsockname()[1]
        entry = f"{{ssh_host: 127.0.0.1, ssh_port: {port}, remote_path: /opt/ringrift}}"
        hosts.write_text(f"standard_hosts: {{a: {entry}, b: {{transport: local}}}}\n")
        pushed: dict[str, Any] = {}

        class Instance:
            def xcom_push(self, key: str, value: Any) -> None:
                pushed[key] = value

        monkeypatch.setattr(deploy, "get_current_context", lambda: {"ti": Instance()})
        with pytest.raises(RemoteJobFailed, match="failed: a; the others are done"):
            deploy.deploy_hosts.function(**DEFAULTS | {"dry_run": False})
    assert pushed["report"]["failed"] == ["a"]
    assert pushed["report"]["results"][0]["status"] == "unreachable"
