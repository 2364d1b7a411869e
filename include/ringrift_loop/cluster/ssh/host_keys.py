"""Which host keys are accepted: the known ones, one fingerprint, or (as an explicit choice) a new one, once.

There is no way to switch the check off.
"""

from __future__ import annotations

import fcntl
import logging
from functools import lru_cache
from pathlib import Path

import asyncssh

from ringrift_loop.errors import ConfigError
from ringrift_loop.hosts.inventory import Host

_log = logging.getLogger(__name__)
_USER_FILE = "~/.ssh/known_hosts"
_SYSTEM_FILE = "/etc/ssh/ssh_known_hosts"
_SSH_PORT = 22


def known_hosts_of(host: Host) -> asyncssh.SSHKnownHosts:
    """The keys that are known for hosts like this one; none at all when the inventory names the one key.

    Raises:
        ConfigError: the file is missing though hosts that are not in it are refused, or it is malformed.
    """
    if host.host_key is not None:
        _fingerprint(host.host_key)  # a malformed one is told before anything is sent
        return asyncssh.SSHKnownHosts()
    if host.known_hosts is None:
        paths = [path for path in (known_hosts_file(host), Path(_SYSTEM_FILE)) if path.is_file()]
    else:
        paths = [known_hosts_file(host)]
        if not paths[0].is_file():
            if host.accept_new_host_key:
                return asyncssh.SSHKnownHosts()
            raise ConfigError(f"host {host.name}: the known_hosts file {paths[0]} does not exist")
    try:
        return _read(tuple((str(path), path.stat().st_mtime_ns) for path in paths))
    except (OSError, ValueError) as error:
        raise ConfigError(f"host {host.name}: {', '.join(map(str, paths))} cannot be read: {error}") from error


def known_hosts_file(host: Host) -> Path:
    """Where this host's key is looked up, and written down when it is new."""
    return Path(host.known_hosts or _USER_FILE).expanduser()


class HostKeyCheck(asyncssh.SSHClient):
    """Asked about a key that `known_hosts_of` does not hold for the address."""

    def __init__(self, host: Host, known: asyncssh.SSHKnownHosts) -> None:
        self._host, self.known = host, known
        self.refused: str | None = None
        """Fingerprint of the key that was not accepted."""

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """Whether the key is the one named in the inventory, or may be taken as new."""
        fingerprint = key.get_fingerprint()
        if self._host.host_key is not None:
            accepted = fingerprint == _fingerprint(self._host.host_key)
        elif self._host.accept_new_host_key and not any(self.known.match(host, addr, port)):
            self._write_down(host, port, key)
            accepted = True
        else:
            accepted = False
        self.refused = None if accepted else fingerprint
        return accepted

    def validate_host_ca_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """No certificate authority but those in the known-hosts files."""
        self.refused = key.get_fingerprint()
        return False

    def _write_down(self, host: str, port: int, key: asyncssh.SSHKey) -> None:
        name = host if port == _SSH_PORT else f"[{host}]:{port}"
        line = f"{name} {key.export_public_key('openssh').decode().strip()}\n"
        path = known_hosts_file(self._host)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(line)
        _log.warning("%s: key %s is new, accepted and written to %s", self._host.name, key.get_fingerprint(), path)


@lru_cache(maxsize=64)
def _read(files: tuple[tuple[str, int], ...]) -> asyncssh.SSHKnownHosts:
    """Parsed once for all hosts: with 1,000 of them a file of 1,000 lines would be parsed 1,000 times a cycle."""
    return asyncssh.read_known_hosts([name for name, _ in files])


@lru_cache(maxsize=4096)
def _fingerprint(host_key: str) -> str:
    """As asyncssh writes it: base64 without its padding."""
    if host_key.startswith("SHA256:"):
        return host_key.rstrip("=")
    try:
        return asyncssh.import_public_key(host_key).get_fingerprint()
    except asyncssh.KeyImportError as error:
        raise ConfigError(f"host_key {host_key[:60]!r} is no public key: {error}") from error
