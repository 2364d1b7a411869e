from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ringrift_airflow.operators.ssh_fan_out import SSHFanOutOperator
from ringrift_loop.errors import ConfigError, RemoteJobFailed


class TaskInstance:
    """Keeps what is pushed, as the task's own does."""

    def __init__(self) -> None:
        self.pushed: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value


@pytest.fixture
def inventory(ssh_server: Any, ssh_entry: Callable[..., str], tmp_path: Path) -> str:
    """Two hosts that work and one that is down."""
    servers = {name: ssh_server(name) for name in "abc"}
    text = "standard_hosts:\n" + "".join(ssh_entry(name, server) for name, server in servers.items())
    servers["c"].stop()
    (tmp_path / "hosts.yaml").write_text(text)
    return str(tmp_path / "hosts.yaml")


def execute(inventory: str, **options: Any) -> tuple[Any, dict[str, Any]]:
    instance = TaskInstance()
    operator = SSHFanOutOperator(task_id="fan_out", hosts_file=inventory, **options)
    return operator, {"ti": instance}


def test_a_partial_failure_is_told_apart_and_every_host_is_in_log_and_xcom(
    inventory: str, capsys: pytest.CaptureFixture[str]
) -> None:
    operator, context = execute(inventory, command="echo well", min_success="2", limit_s="20")

    record = operator.execute(context)

    assert (record["outcome"], record["succeeded"], record["failed"]) == ("partial", ["a", "b"], ["c"])
    assert [result["status"] for result in record["results"]] == ["ok", "ok", "unreachable"]
    assert record["results"][0]["stdout"] == "well\n"
    logged = capsys.readouterr().out
    assert "2 of 3 hosts succeeded, 2 were needed\nhost  status" in logged
    assert "partial failure, tolerated by min_success: c" in logged


def test_too_few_successes_fail_the_task_and_the_results_are_kept(inventory: str) -> None:
    operator, context = execute(inventory, command="true")

    with pytest.raises(RemoteJobFailed, match="2 of 3 hosts succeeded, 3 were needed; failed: c"):
        operator.execute(context)
    assert context["ti"].pushed["report"]["outcome"] == "too few"


def test_hosts_come_from_a_rendered_text_or_a_list(inventory: str) -> None:
    for hosts in ("a, b", ["a", "b"]):
        operator, context = execute(inventory, command=["true"], hosts=hosts)
        assert operator.execute(context)["outcome"] == "all"


def test_templates_are_rendered_in_command_and_numbers() -> None:
    operator = SSHFanOutOperator(task_id="f", command="echo {{ params.word }}", min_success="{{ params.enough }}")
    operator.render_template_fields({"params": {"word": "hi", "enough": 0.5}})

    assert (operator.command, operator.min_success) == ("echo hi", "0.5")


def test_a_number_that_is_none_is_refused_when_it_runs(inventory: str) -> None:
    operator, context = execute(inventory, command="true", limit_s="soon")

    with pytest.raises(ConfigError, match="limit_s must be a number, got 'soon'"):
        operator.execute(context)


@pytest.mark.system
@pytest.mark.skipif(not shutil.which("rsync"), reason="the Debian package rsync is missing")
def test_a_folder_goes_to_the_hosts_by_rsync(inventory: str, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "file").write_text("content")
    target = str(tmp_path / "target")
    (tmp_path / "target").mkdir()  # all three hosts are this machine: two that make it at once, one fails
    operator, context = execute(
        inventory, rsync_source="{{ params.source }}", rsync_target=target, min_success=2, limit_s="20"
    )
    operator.render_template_fields({"params": {"source": str(tmp_path / "source")}})

    record = operator.execute(context)

    assert (record["outcome"], record["failed"]) == ("partial", ["c"])
    assert (tmp_path / "target" / "file").read_text() == "content"


@pytest.mark.parametrize("options", [{}, {"rsync_source": "/a"}, {"command": "true", "rsync_target": "/b"}])
def test_a_command_and_rsync_are_alternatives(inventory: str, options: dict[str, str]) -> None:
    operator, context = execute(inventory, **options)
    with pytest.raises(ConfigError, match="give either command, or rsync_source and rsync_target"):
        operator.execute(context)
