"""What went wrong on the way to a host, as one of the loop's errors with a sentence for a person.

Every connection problem is a `HostUnreachable`, with subclasses for a wrong host key and a refused login; what the host
answered to a file request is a `RemoteJobFailed`. Errors of this machine's own files pass through unchanged.
"""

from __future__ import annotations

import asyncssh

from ringrift_loop.cluster.ssh.host_keys import known_hosts_file
from ringrift_loop.errors import HostKeyRefused, HostUnreachable, LoginRefused, RemoteJobFailed
from ringrift_loop.hosts.inventory import Host
from ringrift_loop.text import clean


def connect_error(host: Host, error: Exception, refused_key: str | None = None) -> HostUnreachable:
    """Why a connection could not be made.

    Args:
        host: where to.
        error: what asyncssh or the socket raised.
        refused_key: fingerprint of the key that the host showed, when it was not accepted.
    """
    where = f"{host.name} ({host.address})"
    if isinstance(error, asyncssh.HostKeyNotVerifiable) or _no_common_host_key(error):
        return HostKeyRefused(f"{where}: {_key_sentence(host, error, refused_key)}")
    if isinstance(error, asyncssh.PermissionDenied):
        with_key = f"the key {host.ssh_key}" if host.ssh_key else "the keys of ssh-agent and ~/.ssh"
        if host.credentials is not None:
            with_key = f"the credentials of connection {host.connection}"
        user = host.ssh_user or "the local user's name"
        return LoginRefused(f"{where} refuses the login as {user} with {with_key}: {clean(error.reason)}")
    if isinstance(error, ConnectionRefusedError):
        return HostUnreachable(f"{where}: nothing listens on the port, or a firewall refuses; is sshd running?")
    if isinstance(error, TimeoutError):
        return HostUnreachable(f"{where} did not answer in time: it is off, cut off, or overloaded")
    if isinstance(error, asyncssh.ChannelOpenError):
        return HostUnreachable(
            f"{where} opens no further session ({clean(error.reason)}); see MaxSessions in its sshd_config"
        )
    if isinstance(error, asyncssh.Error):
        return HostUnreachable(f"{where}: the connection broke: {clean(error.reason)}")
    return HostUnreachable(f"{where}: {error}")


def lost(host: Host, doing: str) -> HostUnreachable:
    """The connection died while something ran."""
    return HostUnreachable(f"{host.name} ({host.address}): the connection was lost during {doing}")


def sftp_error(host: Host, error: asyncssh.SFTPError, doing: str) -> HostUnreachable | RemoteJobFailed:
    """What a file request came to."""
    if isinstance(error, (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection)):
        return lost(host, doing)
    return RemoteJobFailed(f"{host.name}: {doing} failed: {clean(error.reason) or type(error).__name__}")


def _no_common_host_key(error: Exception) -> bool:
    """A known host of which only keys of other kinds are known offers none that is acceptable."""
    return isinstance(error, asyncssh.KeyExchangeFailed) and "host key" in str(error).lower()


def _key_sentence(host: Host, error: Exception, refused_key: str | None) -> str:
    shown = f"it shows {refused_key}" if refused_key else str(error)
    if host.host_key is not None:
        return f"the host key is not the host_key of the inventory ({host.host_key[:80]}): {shown}"
    return (
        f"the host key is not the one in {known_hosts_file(host)}, or none is known: {shown}. Compare it with "
        "`ssh-keygen -lf` on the host itself, then replace the line; ssh-keyscan alone proves nothing"
    )
