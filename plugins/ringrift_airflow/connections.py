"""Address and credentials of hosts from Airflow connections.

A host's key `connection` is the id of a connection of type `ssh`. Its host, port, login and password, and its extras
`key_file`, `private_key`, `private_key_passphrase` and `host_key`, replace what the inventory says.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook

from ringrift_loop.errors import ConfigError
from ringrift_loop.hosts.inventory import SSH, Credentials, Host, Inventory

if TYPE_CHECKING:
    from airflow.sdk import Connection

# Extras of the SSH provider that would switch a check off, or that nothing here obeys.
_REFUSED_EXTRAS = ("no_host_key_check", "allow_host_key_change")


def with_connections(inventory: Inventory) -> Inventory:
    """The inventory with the connections that its enabled hosts name; costs nothing when none does."""
    return Inventory({name: apply_connection(host) if host.enabled else host for name, host in inventory.hosts.items()})


def apply_connection(host: Host) -> Host:
    """The host as its connection says, or itself when it names none."""
    if host.connection is None or host.transport != SSH:
        return host
    connection = BaseHook.get_connection(host.connection)
    if connection.conn_type not in ("ssh", "sftp"):
        raise ConfigError(
            f"host {host.name}: connection {host.connection} must be of type ssh, got {connection.conn_type!r}"
        )
    return _merged(host, connection)


def _merged(host: Host, connection: Connection) -> Host:
    extra = connection.extra_dejson
    for name in _REFUSED_EXTRAS:
        if str(extra.get(name, "false")).lower() not in ("false", "none", ""):
            raise ConfigError(
                f"host {host.name}: connection {host.connection} sets {name}, but host keys are always checked; "
                "give host_key instead"
            )
    private_key, password = extra.get("private_key"), connection.password
    passphrase = extra.get("private_key_passphrase")
    given = Credentials(password, private_key, passphrase) if private_key or password or passphrase else None
    key = extra.get("host_key")
    return replace(
        host,
        ssh_host=connection.host or host.ssh_host,
        ssh_port=connection.port or host.ssh_port,
        ssh_user=connection.login or host.ssh_user,
        # A password or a key of the connection takes the place of the inventory's key file.
        ssh_key=extra.get("key_file") or (None if private_key or password else host.ssh_key),
        host_key=_host_key(key) if key else host.host_key,
        credentials=given,
    )


def _host_key(text: str) -> str:
    """As the SSH provider takes it: a public key with or without its type in front (then RSA)."""
    return text if " " in text.strip() or text.startswith("SHA256:") else f"ssh-rsa {text.strip()}"
