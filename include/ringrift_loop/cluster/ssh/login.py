"""What opens a host's login: a key from a file, ssh-agent or an Airflow connection, or a password.

A key that the inventory names is the only one that is tried, as with OpenSSH's IdentitiesOnly: a server ends the login
after a few wrong ones. When it has a passphrase, ssh-agent signs with it. Identity files of ~/.ssh/config that are
missing or cannot be read are passed over, as `ssh` does.
"""

from __future__ import annotations

import getpass
import os
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import asyncssh
from asyncssh.config import SSHClientConfig, SSHConfig

from ringrift_loop.errors import ConfigError
from ringrift_loop.hosts.inventory import Credentials, Host


def login_options(host: Host) -> dict[str, Any]:
    """asyncssh's options for the login; what is not given here comes from ssh-agent, ~/.ssh and its config.

    Raises:
        ConfigError: the key cannot be read, or needs a passphrase and its public half is not to be found.
    """
    given = host.credentials or Credentials()
    options: dict[str, Any] = {} if given.password is None else {"password": given.password}
    if given.private_key is not None:
        key = _import_key(host, given.private_key, given.passphrase)
        return options | {"client_keys": [key], "agent_path": None}
    if host.ssh_key is not None:
        return options | _named_key(host, given.passphrase)
    if given.password is not None:
        options["preferred_auth"] = "password,keyboard-interactive,publickey"
    return options | _configured_keys(host)


def opened_with(host: Host) -> str:
    """What `login_options` opens the login with, for a person who reads that it was refused."""
    given = host.credentials or Credentials()
    if given.private_key is not None or (given.password is not None and host.ssh_key is None):
        return f"the {'password' if given.private_key is None else 'key'} of connection {host.connection}"
    if host.ssh_key is None:
        return "the keys of ssh-agent and ~/.ssh"
    locked = "agent_identities" in _named_key(host, given.passphrase)
    return f"the key {host.ssh_key}" + (", which has a passphrase: is it in ssh-agent (ssh-add -L)?" if locked else "")


def given_key(host: Host) -> str | None:
    """The private key that credentials bring along or unlock, in OpenSSH's form and without passphrase; else None.

    Raises:
        ConfigError: it cannot be read.
    """
    given = host.credentials or Credentials()
    if given.private_key is not None:
        key = _import_key(host, given.private_key, given.passphrase)
    elif given.passphrase is not None and host.ssh_key is not None:
        key = _import_key(host, _named_file(host)[1], given.passphrase)
    else:
        return None
    exported: bytes = key.export_private_key("openssh")
    return exported.decode("ascii")


def _named_file(host: Host) -> tuple[Path, str]:
    path = Path(str(host.ssh_key)).expanduser()
    try:
        return path, _key_text(str(path), path.stat().st_mtime_ns)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"host {host.name}: the ssh_key {path} cannot be read: {error}") from error


def _named_key(host: Host, passphrase: str | None) -> dict[str, Any]:
    path, text = _named_file(host)
    public = None if passphrase is not None else _public_half(path, text)
    if public is None:
        key = _import_key(host, text, passphrase, hint=f"; put {path.name}.pub beside it for ssh-agent")
        certificate = path.with_name(f"{path.name}-cert.pub")
        return {"client_keys": [(key, str(certificate)) if certificate.is_file() else key], "agent_path": None}
    # An empty iterator: no key of a file. An empty list would stand for those of ~/.ssh.
    return {"client_keys": iter(()), "agent_identities": [public]}


def _public_half(path: Path, text: str) -> asyncssh.SSHKey | None:
    """The public key of a private one that only ssh-agent can use; None when the file's own key can be used."""
    try:
        _imported(text, None)
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError):
        return _shown_key(path)
    return None


def _shown_key(path: Path) -> asyncssh.SSHKey | None:
    """The public key beside a private one, or in its file; None when there is none."""
    for source in (path.with_name(f"{path.name}.pub"), path):
        try:
            return asyncssh.read_public_key(str(source))
        except (OSError, asyncssh.KeyImportError):
            continue
    return None


def _configured_keys(host: Host) -> dict[str, Any]:
    """Of the identity files in ~/.ssh/config those that can be used; asyncssh would insist on all of them."""
    config = _ssh_config(host)
    files = None if config is None else config.get("IdentityFile")
    if config is None or files is None:
        return {}
    keys, shown = [], []
    for path in (Path(file).expanduser() for file in cast("list[str]", files)):
        try:
            _imported(_key_text(str(path), path.stat().st_mtime_ns), None)
            keys.append(str(path))
        except (OSError, ValueError):  # without its passphrase it is for ssh-agent alone
            shown.append(_shown_key(path))
    options: dict[str, Any] = {"client_keys": keys or iter(())}
    if config.get("IdentitiesOnly"):
        for_agent = [key for key in shown if key is not None]
        options |= {"agent_identities": for_agent} if for_agent else {"agent_path": None}
    return options


def _ssh_config(host: Host) -> SSHConfig | None:
    """What ~/.ssh/config says of the host; None when there is none, or asyncssh will say what is wrong with it."""
    path = Path("~/.ssh/config").expanduser()
    if not os.access(path, os.R_OK):
        return None
    about = (getpass.getuser(), host.ssh_user or (), host.ssh_host, host.ssh_port or ())
    try:
        return SSHClientConfig.load(None, [path], False, False, False, *about)
    except (OSError, ValueError):
        return None


@lru_cache(maxsize=64)
def _key_text(path: str, _changed_ns: int) -> str:
    return Path(path).read_text(encoding="ascii")


def _import_key(host: Host, text: str, passphrase: str | None, hint: str = "") -> asyncssh.SSHKey:
    """The key; the errors say nothing of its content. The hint is for a key with a passphrase that is not given."""
    try:
        return _imported(text, passphrase)
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
        locked = passphrase is None and str(error).startswith("Passphrase")
        raise ConfigError(
            f"host {host.name}: its private key cannot be read: {error}{hint if locked else ''}"
        ) from error


@lru_cache(maxsize=64)
def _imported(text: str, passphrase: str | None) -> asyncssh.SSHKey:
    return asyncssh.import_private_key(text, passphrase)
