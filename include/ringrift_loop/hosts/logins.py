"""Logins of hosts on their way from one process to another: what an Airflow connection says, for a child process.

They hold passwords and keys, so they travel in memory and are never shown.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ringrift_loop.checked_json import Document, File, line, parse
from ringrift_loop.errors import ConfigError
from ringrift_loop.hosts.inventory import Credentials, Host, Inventory


class Login(Document, frozen=True):
    """What replaces the inventory's words about one host; the fields are those of `Host` and `Credentials`."""

    ssh_host: str | None
    ssh_port: int | None
    ssh_user: str | None
    ssh_key: str | None
    host_key: str | None
    connect_limit_s: float
    unusable: str | None
    password: str | None
    private_key: str | None
    passphrase: str | None


class Logins(File, frozen=True):
    """By the host's name."""

    hosts: dict[str, Login]


def logins_of(hosts: list[Host]) -> bytes:
    """The logins of hosts, as `with_logins` reads them."""
    return line(Logins({host.name: _login(host) for host in hosts}))


def with_logins(inventory: Inventory, path: Path) -> Inventory:
    """The inventory with the logins in a file.

    Raises:
        ConfigError: it cannot be read, or names a host that the inventory does not have.
        DataError: it is malformed.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"the logins {path} cannot be read: {error.strerror or error}") from error
    given = parse(raw, Logins, "the logins of hosts").hosts
    strangers = given.keys() - inventory.hosts.keys()
    if strangers:
        raise ConfigError(f"the logins name {', '.join(sorted(strangers))}, which the inventory does not have")
    hosts = {name: _apply(host, given[name]) if name in given else host for name, host in inventory.hosts.items()}
    return Inventory(hosts)


def _login(host: Host) -> Login:
    secret = host.credentials or Credentials()
    return Login(
        host.ssh_host,
        host.ssh_port,
        host.ssh_user,
        host.ssh_key,
        host.host_key,
        host.connect_limit_s,
        host.unusable,
        secret.password,
        secret.private_key,
        secret.passphrase,
    )


def _apply(host: Host, login: Login) -> Host:
    secret = Credentials(login.password, login.private_key, login.passphrase)
    return replace(
        host,
        ssh_host=login.ssh_host,
        ssh_port=login.ssh_port,
        ssh_user=login.ssh_user,
        ssh_key=login.ssh_key,
        host_key=login.host_key,
        connect_limit_s=login.connect_limit_s,
        unusable=login.unusable,
        credentials=None if secret == Credentials() else secret,
    )
