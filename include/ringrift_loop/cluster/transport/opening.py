"""The way to a host of the inventory, whatever lies in between."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from ringrift_loop.cluster.transport.local import LocalTransport
from ringrift_loop.cluster.transport.protocol import Transport
from ringrift_loop.hosts.inventory import LOCAL, Host
from ringrift_loop.layout import HostDirectory, RunDirectory

HOSTS_AT_ONCE = 64  # more were no faster with 200 hosts
Transports: TypeAlias = Callable[[Host, RunDirectory], Transport]


def open_transport(host: Host, directory: RunDirectory) -> Transport:
    """The way to a host; nothing is connected before it is used."""
    if host.transport == LOCAL:
        return LocalTransport(local_directory(host, directory))
    # Imported here: a loop on one machine needs no SSH, and asyncssh takes 0.2 s CPU.
    from ringrift_loop.cluster.ssh.connection import SSHHost
    from ringrift_loop.cluster.transport.remote import SSHTransport

    return SSHTransport(SSHHost(host))


def local_directory(host: Host, directory: RunDirectory) -> HostDirectory:
    """The root folder of a host with transport `local`."""
    return HostDirectory(directory.embedded_host(host.name) if host.root is None else Path(host.root).resolve())
