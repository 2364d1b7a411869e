from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ringrift_airflow.hooks.cluster import ClusterHook
from ringrift_loop.cluster.ssh.fan_out import fan_out
from ringrift_loop.errors import ConfigError

INVENTORY = """
standard_hosts:
  here: {transport: local, role: 'selfplay,training'}
  a: {ssh_host: 192.0.2.1, ssh_user: nobody, ssh_key: /k, role: selfplay, connection: fleet_a}
  off: {ssh_host: 192.0.2.2, connection: missing, enabled: false}
"""


@pytest.fixture
def hook(tmp_path: Path) -> ClusterHook:
    (tmp_path / "hosts.yaml").write_text(INVENTORY)
    return ClusterHook(str(tmp_path / "hosts.yaml"))


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def set_connection(conn_type: str = "ssh", **fields: Any) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_FLEET_A", json.dumps({"conn_type": conn_type, **fields}))

    return set_connection


def test_a_connection_replaces_address_and_credentials_of_its_host_only(
    hook: ClusterHook, connect: Callable[..., None]
) -> None:
    connect(host="198.51.100.7", port=2200, login="ringrift", password="secret", extra={"host_key": "AAAAB3Nz"})

    hosts = hook.inventory().hosts

    a = hosts["a"]
    assert (a.ssh_host, a.ssh_port, a.ssh_user, a.ssh_key) == ("198.51.100.7", 2200, "ringrift", None)
    assert a.host_key == "ssh-rsa AAAAB3Nz"
    assert a.credentials is not None
    assert a.credentials.password == "secret"
    assert "secret" not in repr(hosts)
    assert hosts["here"].credentials is hosts["off"].credentials is None


def test_what_a_connection_leaves_out_stays_as_in_the_inventory(
    hook: ClusterHook, connect: Callable[..., None]
) -> None:
    connect(login="other")

    host = hook.inventory().hosts["a"]

    assert (host.ssh_host, host.ssh_user, host.ssh_key, host.credentials) == ("192.0.2.1", "other", "/k", None)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"conn_type": "http"}, "must be of type ssh, got 'http'"),
        ({"extra": {"no_host_key_check": "true"}}, "sets no_host_key_check, but host keys are always checked"),
    ],
)
def test_a_connection_that_does_not_fit_is_refused(
    hook: ClusterHook, connect: Callable[..., None], fields: dict[str, Any], complaint: str
) -> None:
    connect(**fields)

    with pytest.raises(ConfigError, match=complaint):
        hook.inventory()


def test_hosts_are_chosen_by_name_and_role_and_a_wrong_choice_is_told(
    hook: ClusterHook, connect: Callable[..., None]
) -> None:
    connect()

    assert [host.name for host in hook.hosts()] == ["here", "a"]
    assert [host.name for host in hook.hosts(role="training")] == ["here"]
    assert [host.name for host in hook.hosts(["a", "a"])] == ["a"]
    with pytest.raises(ConfigError, match="no enabled host is named off; there are here, a"):
        hook.hosts(["off"])
    with pytest.raises(ConfigError, match="no enabled host with role tournament"):
        hook.hosts(role="tournament")


def test_the_key_of_a_connection_opens_a_real_server(
    ssh_server: Any, ssh_entry: Callable[..., str], tmp_path: Path, connect: Callable[..., None]
) -> None:
    server = ssh_server("a")
    text = "standard_hosts:\n" + ssh_entry("a", server, "connection: fleet_a").replace("keys/id", "keys/none")
    (tmp_path / "hosts.yaml").write_text(text)
    connect(extra={"private_key": (tmp_path / "keys" / "id").read_text()})

    report = fan_out(ClusterHook(str(tmp_path / "hosts.yaml")).hosts(), "echo in")

    assert [result.stdout for result in report.results] == ["in\n"]
