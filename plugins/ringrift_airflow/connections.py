"""Address and login of hosts from Airflow connections, as the SSH provider's own hook reads them.

A host's key `connection` is the id of a connection of type `ssh`. What it says (host, port, login, password, and the
extras `key_file`, `private_key`, `private_key_passphrase`, `host_key` and `conn_timeout`) replaces what the inventory
says, so that a connection that works with `SSHOperator` works here. Host keys are still checked.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook

from ringrift_loop.errors import ConfigError
from ringrift_loop.hosts.entry import plain_address
from ringrift_loop.hosts.inventory import SSH, Credentials, Host, Inventory
from ringrift_loop.text import clean, without_secrets

if TYPE_CHECKING:
    from airflow.providers.ssh.hooks.ssh import SSHHook
    from airflow.sdk import Connection


def with_connections(inventory: Inventory) -> Inventory:
    """The inventory with the connections that its enabled hosts name; costs nothing when none does."""
    return Inventory({name: apply_connection(host) if host.enabled else host for name, host in inventory.hosts.items()})


def apply_connection(host: Host) -> Host:
    """The host as its connection says, or itself when it names none; `unusable` when the connection does not fit.

    One connection that is missing or wrong is the trouble of its host alone, whatever the caller does with the others.
    """
    if host.connection is None or host.transport != SSH:
        return host
    try:
        return _merged(host, BaseHook.get_connection(host.connection))
    except Exception as error:  # noqa: BLE001 - what secrets backends, the provider and paramiko raise has no common root
        said = clean(without_secrets(str(error))) or type(error).__name__
        return replace(host, unusable=f"host {host.name}: connection {host.connection}: {said}")


def _merged(host: Host, connection: Connection) -> Host:
    if connection.conn_type not in ("ssh", "sftp"):
        raise ConfigError(f"it must be of type ssh, got {connection.conn_type!r}")
    extra = connection.extra_dejson
    private_key, passphrase = extra.get("private_key"), extra.get("private_key_passphrase")
    # A password or a key of the connection takes the place of the inventory's key file.
    hook = _provider_hook(host, connection, None if private_key or connection.password else host.ssh_key)
    if hook.no_host_key_check or hook.allow_host_key_change:
        name = "no_host_key_check" if hook.no_host_key_check else "allow_host_key_change"
        raise ConfigError(f"it sets {name}, but host keys are always checked; give host_key instead")
    address = plain_address(hook.remote_host)
    if address is None:
        raise ConfigError(f"its host must be a host name or an address, got {hook.remote_host!r}")
    password = hook.password.strip() if hook.password else None
    given = Credentials(password, private_key, passphrase) if private_key or password or passphrase else None
    return replace(
        host,
        ssh_host=address,
        ssh_port=hook.port,
        ssh_user=hook.username,
        ssh_key=hook.key_file,
        host_key=f"{hook.host_key.get_name()} {hook.host_key.get_base64()}" if hook.host_key else host.host_key,
        connect_limit_s=hook.conn_timeout or host.connect_limit_s,
        credentials=given,
    )


def _provider_hook(host: Host, connection: Connection, key_file: str | None) -> SSHHook:
    """The connection as the provider reads it; the inventory says what the connection leaves open."""
    # Imported here: paramiko takes a quarter of a second, which only a host with a connection is worth.
    from airflow.providers.ssh.hooks.ssh import SSHHook

    class Hook(SSHHook):
        @classmethod
        def get_connection(cls, conn_id: str) -> Connection:
            return connection  # asked for once, not twice

    return Hook(
        host.connection,
        remote_host=connection.host or host.ssh_host or "",
        key_file=connection.extra_dejson.get("key_file") or key_file,
        port=connection.port or host.ssh_port,
        username=connection.login or host.ssh_user,
    )
