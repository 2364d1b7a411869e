"""Which host keys are accepted: the known ones, one fingerprint, or (as an explicit choice) a new one, once.

There is no way to switch the check off.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import asyncssh

from ringrift_loop.errors import ConfigError
from ringrift_loop.hosts.inventory import Host
from ringrift_loop.machine.locks import locked
from ringrift_loop.text import clean

_log = logging.getLogger(__name__)
_USER_FILE = "~/.ssh/known_hosts"
_SYSTEM_FILE = "/etc/ssh/ssh_known_hosts"
_SSH_PORT = 22
# Signature algorithms by kind of key, in the order in which OpenSSH prefers the kinds.
_RSA = "rsa-sha2-512,rsa-sha2-256,ssh-rsa"
_KINDS = ("ssh-ed25519", "ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521", _RSA)


def known_hosts_of(host: Host) -> asyncssh.SSHKnownHosts:
    """The keys that are known for hosts like this one; none at all when the inventory names the one key.

    Raises:
        ConfigError: the file is missing though hosts that are not in it are refused, or it cannot be read.
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
    except OSError as error:
        raise ConfigError(f"host {host.name}: {', '.join(map(str, paths))} cannot be read: {error}") from error


def algorithms(host: Host, known: asyncssh.SSHKnownHosts) -> Sequence[str | tuple[()]]:
    """What to ask the host for, one connection after the other until its key is accepted.

    A host shows one key, of the first kind on our list that it has: the kinds of the known keys come first, the others
    after them, as OpenSSH does it. A fingerprint does not tell its kind, so a refused one is left out the next time.
    """
    if host.host_key is not None:
        if host.host_key.startswith("SHA256:"):
            return [",".join(_KINDS[first:]) for first in range(len(_KINDS))]
        return [_first(host.host_key.split()[0])]
    port = None if host.ssh_port == _SSH_PORT else host.ssh_port
    keys, authorities, *_ = known.match(host.ssh_host or "", "", port)
    if authorities:
        return [()]  # asyncssh's choice: certificates first
    if keys:
        return [_first(*(key.get_algorithm() for key in keys))]
    return [_first(), ()]  # asyncssh knows more than the name: the address, and another name from ~/.ssh/config


def _first(*kinds: str) -> str:
    wanted = [_RSA if kind == "ssh-rsa" else kind for kind in kinds]
    return ",".join(dict.fromkeys(",".join([*wanted, *_KINDS]).split(",")))


def known_hosts_file(host: Host) -> Path:
    """Where this host's key is looked up, and written down when it is new."""
    return Path(host.known_hosts or _USER_FILE).expanduser()


class HostKeyCheck(asyncssh.SSHClient):
    """Asked about a key that `known_hosts_of` does not hold for the address."""

    def __init__(self, host: Host, known: asyncssh.SSHKnownHosts) -> None:
        self._host, self.known = host, known
        self.refused: list[str] = []
        """Fingerprints of the keys that were not accepted."""

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
        if not accepted and fingerprint not in self.refused:
            self.refused.append(fingerprint)
        return accepted

    def validate_host_ca_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """No certificate authority but those in the known-hosts files."""
        self.refused.append(key.get_fingerprint())
        return False

    def _write_down(self, host: str, port: int, key: asyncssh.SSHKey) -> None:
        name = host if port == _SSH_PORT else f"[{host}]:{port}"
        line = f"{name} {key.export_public_key('openssh').decode().strip()}\n"
        path = known_hosts_file(self._host)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(path), path.open("a+", encoding="utf-8", errors="surrogateescape") as file:
            file.seek(0)
            is_cut = file.read()[-1:] not in ("", "\n")  # its last line has no end
            file.write(f"\n{line}" if is_cut else line)
        _log.warning("%s: key %s is new, accepted and written to %s", self._host.name, key.get_fingerprint(), path)


@lru_cache(maxsize=64)
def _read(files: tuple[tuple[str, int], ...]) -> asyncssh.SSHKnownHosts:
    """Parsed once for all hosts: with 1,000 of them a file of 1,000 lines would be parsed 1,000 times a cycle.

    A line that cannot be read is left out, as OpenSSH does: the others still say which keys are right.
    """
    known = asyncssh.SSHKnownHosts()
    for name, _ in files:
        for number, line in enumerate(Path(name).read_bytes().splitlines(), 1):
            try:
                known.load(line.decode())
            except ValueError as error:
                _log.warning("%s, line %d is ignored: %s", name, number, clean(str(error)))
    return known


@lru_cache(maxsize=4096)
def _fingerprint(host_key: str) -> str:
    """As asyncssh writes it: base64 without its padding."""
    if host_key.startswith("SHA256:"):
        return host_key.rstrip("=")
    try:
        return asyncssh.import_public_key(host_key).get_fingerprint()
    except asyncssh.KeyImportError as error:
        raise ConfigError(f"host_key {host_key[:60]!r} is not a public key: {error}") from error
