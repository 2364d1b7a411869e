"""Fixtures for everything that talks SSH: the same tests run against asyncssh's server and against OpenSSH."""

from __future__ import annotations

import gc
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import ssh_servers
from ringrift_loop.hosts.inventory import Host, parse_inventory

KINDS = [
    "embedded",
    pytest.param(
        "openssh",
        marks=[
            pytest.mark.system,
            pytest.mark.skipif(not ssh_servers.SSHD.exists(), reason="the Debian package openssh-server is missing"),
        ],
    ),
]


@pytest.fixture
def ssh_thread() -> Iterator[ssh_servers.LoopThread]:
    thread = ssh_servers.LoopThread()
    yield thread
    thread.close()


@pytest.fixture(params=KINDS)
def ssh_server(
    request: pytest.FixtureRequest, tmp_path: Path, ssh_thread: ssh_servers.LoopThread
) -> Iterator[Callable[..., Any]]:
    """Start a server: `ssh_server("a")`. Its files lie in `<tmp_path>/hosts/a`; options are those of its class."""
    keys = ssh_servers.Keys(tmp_path / "keys")
    started: list[Any] = []

    def start(name: str, **options: Any) -> Any:
        if request.param == "embedded":
            server: Any = ssh_servers.EmbeddedServer(tmp_path / "hosts" / name, keys, ssh_thread, **options)
        else:
            # An address of 127/8 for each process and server, so that runs side by side do not meet.
            address = f"127.{1 + os.getpid() % 250}.{1 + os.getpid() // 250 % 250}.{1 + len(started)}"
            server = ssh_servers.OpenSSHServer(tmp_path / "sshd" / name, keys, address, **options)
        started.append(server)
        return server.start()

    yield start
    for server in started:
        server.stop()
    _let_go_of_a_failed_test()


def _let_go_of_a_failed_test() -> None:
    """Collect the connections that a failed test left open, or their warnings would fail the test after it."""
    failed = getattr(sys, "last_traceback", None)
    if failed is None:
        return
    traceback.clear_frames(failed)
    for frame, _ in traceback.walk_tb(failed):
        frame.f_locals.copy()  # looking renews Python 3.11's copy of them, which the report was made of
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def ssh_entry(tmp_path: Path) -> Callable[..., str]:
    """A server's entry in an inventory; `extra` is more YAML, such as `max_workers: 2`."""

    def entry(name: str, server: Any, extra: str = "max_workers: 1", key: str | None = None) -> str:
        host_key = f", host_key: '{server.fingerprint if key is None else key}'" if key != "" else ""
        return (
            f"  {name}: {{ssh_host: {server.address}, ssh_port: {server.port}, ssh_user: {ssh_servers.user()}, "
            f"ssh_key: {tmp_path}/keys/id, root: {tmp_path}/hosts/{name}{host_key}, {extra}}}\n"
        )

    return entry


@pytest.fixture
def ssh_host(ssh_entry: Callable[..., str]) -> Callable[..., Host]:
    """A server as a host of the inventory."""

    def host(name: str, server: Any, extra: str = "max_workers: 1", key: str | None = None) -> Host:
        text = "standard_hosts:\n" + ssh_entry(name, server, extra, key)
        return parse_inventory(text, "hosts.yaml").hosts[name]

    return host
