from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from airflow.providers.ssh.hooks.ssh import SSHHook

import ssh_servers
from ringrift_airflow.hooks.cluster import ClusterHook
from ringrift_loop.cluster.ssh.fan_out import FAILED, OK, fan_out
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
    key = asyncssh.generate_private_key("ssh-ed25519").export_public_key("openssh").decode().strip()
    connect(
        host="198.51.100.7",
        port=2200,
        login="ringrift",
        password="secret",
        extra={"host_key": key, "conn_timeout": 7},
    )

    hosts = hook.inventory().hosts

    a = hosts["a"]
    assert (a.ssh_host, a.ssh_port, a.ssh_user, a.ssh_key) == ("198.51.100.7", 2200, "ringrift", None)
    assert (a.host_key, a.connect_limit_s) == (key, 7)
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
    assert (host.unusable, host.connect_limit_s) == (None, 15)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"conn_type": "http"}, "it must be of type ssh, got 'http'"),
        ({"extra": {"no_host_key_check": "true"}}, "it sets no_host_key_check, but host keys are always checked"),
        ({"extra": {"allow_host_key_change": "true"}}, "it sets allow_host_key_change"),
        ({"extra": {"host_key": "ssh-dss AAAA"}}, "DSA/DSS host keys are not supported"),
        ({"extra": {"private_key": "-----BEGIN\nnonsense"}}, "Private key provided cannot be read"),
        ({"extra": {"conn_timeout": "soon"}}, "invalid literal for int()"),
        ({"host": "-oProxyCommand=touch"}, "its host must be a host name or an address, got '-oProxyCommand=touch'"),
    ],
)
def test_a_connection_that_does_not_fit_is_the_trouble_of_its_host_alone(
    hook: ClusterHook, connect: Callable[..., None], fields: dict[str, Any], complaint: str
) -> None:
    connect(**fields)

    here, a = hook.hosts()

    assert (a.unusable or "").startswith(f"host a: connection fleet_a: {complaint}")
    report = fan_out([here, a], "echo in", min_success=1)
    assert [result.status for result in report.results] == [OK, FAILED]
    assert report.results[1].error == a.unusable


def test_hosts_are_chosen_by_name_and_role_and_a_wrong_choice_is_told(
    hook: ClusterHook, connect: Callable[..., None]
) -> None:
    connect()

    assert [host.name for host in hook.hosts()] == ["here", "a"]
    assert [host.name for host in hook.hosts(role="training")] == ["here"]
    assert [host.name for host in hook.hosts(["a", "a"])] == ["a"]
    with pytest.raises(ConfigError, match="no enabled host is named off; the hosts are here, a"):
        hook.hosts(["off"])
    with pytest.raises(ConfigError, match="no enabled host with role tournament"):
        hook.hosts(role="tournament")


def test_a_connection_that_is_not_there_is_the_trouble_of_its_host_alone(hook: ClusterHook) -> None:
    here, a = hook.hosts()
    assert here.unusable is None
    assert a.unusable == "host a: connection fleet_a: The conn_id `fleet_a` isn't defined"


@pytest.mark.parametrize("kind", ["private_key", "private_key_passphrase", "key_file"])
def test_a_connection_that_works_with_the_providers_hook_works_here(
    ssh_server: Any,
    ssh_entry: Callable[..., str],
    tmp_path: Path,
    connect: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    server = ssh_server("a")
    text = "standard_hosts:\n" + ssh_entry("a", server, "connection: fleet_a", key="").replace("keys/id", "keys/none")
    (tmp_path / "hosts.yaml").write_text(text)
    path = tmp_path / "keys" / "id"
    key = asyncssh.read_private_key(str(path))
    login = {
        "private_key": {"private_key": key.export_private_key("openssh").decode()},
        "private_key_passphrase": {
            "private_key": key.export_private_key("openssh", "a phrase", rounds=16, ignore_few_rounds=True).decode(),
            "private_key_passphrase": "a phrase",
        },
        "key_file": {"key_file": str(path)},
    }[kind]
    # The host has an Ed25519 and an ECDSA key as well.
    rsa = ssh_servers.common_keys()[0].export_public_key("openssh").decode().split()[1]
    extra = {"host_key": rsa, "conn_timeout": 10, **login}
    connect(host=server.address, port=server.port, login=ssh_servers.user(), extra=extra)

    provider = SSHHook("fleet_a", conn_retry_attempts=1)
    with provider.get_conn() as client:
        said = client.exec_command("echo in")[1].read()
    report = fan_out(ClusterHook(str(tmp_path / "hosts.yaml")).hosts(), "echo in")

    assert [result.stdout for result in report.results] == ["in\n"] == [said.decode()]
