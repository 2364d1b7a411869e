from __future__ import annotations

from pathlib import Path

import pytest

from new_ledger import new_ledger
from ringrift_airflow import settings
from ringrift_loop.cluster.sync.cycle import sync_once
from ringrift_loop.errors import ConfigError


def test_jobs_get_neither_airflows_settings_nor_its_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "secret")
    monkeypatch.setenv("_AIRFLOW__AS_LIBRARY", "1")
    environment = settings.child_environment()
    assert not [name for name in environment if "AIRFLOW" in name]
    assert environment["PATH"]


def test_jobs_are_told_how_much_of_the_machine_they_leave_to_strangers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RINGRIFT__RESOURCE_TARGETS__CPU_TARGET", "66")
    assert settings.child_environment()["RINGRIFT_CPU_ROOM"] == "66.0"
    monkeypatch.setenv("RINGRIFT__RESOURCE_TARGETS__CPU_MAX", "100")
    monkeypatch.setenv("RINGRIFT__RESOURCE_TARGETS__CPU_CRITICAL", "100")
    assert settings.child_environment()["RINGRIFT_CPU_ROOM"] == "100.0"


def test_an_option_of_airflow_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RINGRIFT_HOME", "/from/the/environment")
    monkeypatch.setenv("AIRFLOW__RINGRIFT__HOME", str(tmp_path))
    new_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    assert settings.child_environment()["RINGRIFT_HOME"] == str(tmp_path)
    assert settings.open_loop().directory.root == tmp_path


def test_an_empty_option_leaves_it_to_the_environment(run_home: Path) -> None:
    new_ledger(f"sqlite:///{run_home / 'ledger.db'}")
    assert settings.open_loop().directory.root == run_home.resolve()


def test_a_task_of_a_second_airflow_on_a_ledger_is_refused_even_with_an_empty_run_directory(
    run_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{run_home / 'ledger.db'}"
    new_ledger(url)
    for _ in range(2):
        settings.open_loop()
    monkeypatch.setenv("RINGRIFT_HOME", str(tmp_path / "other"))
    monkeypatch.setenv("RINGRIFT_LEDGER_URL", url)
    with pytest.raises(ConfigError, match="belongs to the run directory"):
        settings.open_loop()


def test_one_connection_that_is_missing_does_not_stop_the_other_hosts(
    run_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_ledger(f"sqlite:///{run_home / 'ledger.db'}")
    text = "standard_hosts:\n  a: {ssh_host: 192.0.2.1, connection: missing}\n  here: {transport: local}\n"
    (tmp_path / "hosts.yaml").write_text(text)
    monkeypatch.setenv("RINGRIFT_HOSTS", str(tmp_path / "hosts.yaml"))

    result = sync_once(settings.open_loop())

    assert [(host.host, host.error) for host in result.failed] == [
        ("a", "ConfigError: host a: connection missing: The conn_id `missing` isn't defined")
    ]
