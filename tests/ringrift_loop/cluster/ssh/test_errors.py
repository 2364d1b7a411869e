"""Sentences about connections; what a server says in them is printable."""

from __future__ import annotations

import asyncssh
import pytest

from ringrift_loop.cluster.ssh.errors import connect_error, sftp_error
from ringrift_loop.hosts.inventory import SSH, Host

HOST = Host("a", SSH, frozenset(), ssh_host="h", ssh_port=22)
SAID = "no\x1b[2J\x00\nfile"


@pytest.mark.parametrize(
    "error",
    [
        sftp_error(HOST, asyncssh.SFTPFailure(SAID), "the transfer"),
        connect_error(HOST, asyncssh.DisconnectError(2, SAID)),
        connect_error(HOST, asyncssh.PermissionDenied(SAID)),
        connect_error(HOST, asyncssh.ChannelOpenError(2, SAID)),
    ],
)
def test_what_a_server_says_is_printable(error: Exception) -> None:
    assert "no?[2J??file" in str(error)
    assert str(error).isprintable()
