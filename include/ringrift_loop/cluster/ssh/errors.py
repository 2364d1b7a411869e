"""What went wrong on the way to a host, as one of the loop's errors with a sentence for a person.

Every connection problem is a `HostUnreachable`, with subclasses for a wrong host key and a refused login; what the host
answered to a file request is a `RemoteJobFailed`. Errors of this machine's own files pass through unchanged. Texts of
the host are cleaned before they stand in a sentence.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence

import asyncssh

from ringrift_loop.cluster.ssh.host_keys import known_hosts_file
from ringrift_loop.cluster.ssh.login import opened_with
from ringrift_loop.errors import DataError, HostKeyRefused, HostUnreachable, LoginRefused, RemoteJobFailed
from ringrift_loop.hosts.inventory import Host
from ringrift_loop.text import clean

_NO_SESSION = "open failed"  # OpenSSH's words for a session beyond MaxSessions
_TOO_MANY_KEYS = "Too many authentication failures"  # OpenSSH's words; it ends the connection then


def connect_error(host: Host, error: Exception, refused_keys: Sequence[str] = ()) -> HostUnreachable:
    """Why a connection could not be made.

    Args:
        host: where to.
        error: what asyncssh or the socket raised.
        refused_keys: fingerprints of the keys that the host showed, when none was accepted.
    """
    where = f"{host.name} ({host.address})"
    said = clean(error.reason if isinstance(error, asyncssh.Error) else str(error)) or type(error).__name__
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        return HostKeyRefused(f"{where}: {_key_sentence(host, said, refused_keys)}")
    if isinstance(error, asyncssh.PermissionDenied) or _TOO_MANY_KEYS in said:
        user = host.ssh_user or "the local user's name"
        return LoginRefused(f"{where} refuses the login as {user} with {opened_with(host)}: {said}")
    if _is_refused(error):
        refused = HostUnreachable(f"{where}: nothing listens on the port, or a firewall refuses")
        refused.advice = "start sshd there, or correct ssh_port in the inventory"
        return refused
    if isinstance(error, socket.gaierror):
        unknown = HostUnreachable(f"{where}: the name has no address: {said}")
        unknown.advice = "correct ssh_host in the inventory, or the name service"
        return unknown
    if isinstance(error, TimeoutError):
        return HostUnreachable(f"{where} did not answer in time: it is off, cut off, or overloaded")
    if isinstance(error, asyncssh.ChannelOpenError):
        known = "; see MaxSessions in its sshd_config" if said == _NO_SESSION else ""
        return HostUnreachable(f"{where} opens no further session ({said}){known}")
    if isinstance(error, asyncssh.Error):
        return HostUnreachable(f"{where}: the connection broke: {said}")
    return HostUnreachable(f"{where}: {said}")


def lost(host: Host, doing: str) -> HostUnreachable:
    """The connection died while something ran."""
    return HostUnreachable(f"{host.name} ({host.address}): the connection was lost during {doing}")


def silent(host: Host, doing: str, seconds: float) -> HostUnreachable:
    """The connection lives, but a file request was not answered for so long."""
    hangs = HostUnreachable(f"{host.name} ({host.address}) answered nothing for {seconds:g} s during {doing}")
    hangs.advice = "look at the host's disk: its sshd lives, but what reads and writes files stands still"
    return hangs


def sftp_error(host: Host, error: asyncssh.SFTPError, doing: str) -> HostUnreachable | RemoteJobFailed | DataError:
    """What a file request came to."""
    if isinstance(error, (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection)):
        return lost(host, doing)
    if isinstance(error, asyncssh.SFTPBadMessage):
        return malformed(host, error, doing)
    return RemoteJobFailed(f"{host.name}: {doing} failed: {clean(error.reason) or type(error).__name__}")


def malformed(host: Host, error: Exception, doing: str) -> DataError:
    """The host's side of the protocol is not what the protocol allows."""
    said = clean(str(error))
    return DataError(f"{host.name}: the answer to {doing} is malformed: {type(error).__name__}{said and f': {said}'}")


def _is_refused(error: Exception) -> bool:
    """Also when a name has several addresses, of which asyncio joins the errors in one text."""
    numbers = str(error).count("[Errno ")
    refused = str(error).count(f"[Errno {errno.ECONNREFUSED}]")
    return isinstance(error, ConnectionRefusedError) or (isinstance(error, OSError) and 0 < refused == numbers)


def _key_sentence(host: Host, said: str, refused_keys: Sequence[str]) -> str:
    shown = f"it shows {', '.join(refused_keys)}" if refused_keys else said
    if host.host_key is not None:
        return f"the host key is not the host_key of the inventory ({host.host_key[:80]}): {shown}"
    return (
        f"the host key is not the one in {known_hosts_file(host)}, or none is known: {shown}. Compare it with "
        "`ssh-keygen -lf` on the host itself, then replace the line; ssh-keyscan alone proves nothing"
    )
