"""Hosts in network namespaces: a switch, the coordinator and each host, joined by veth pairs; needs root.

No packet leaves them. Faults are the kernel's: a link goes down, packets are dropped at random, a rate is limited,
every process of a host is killed. netem is not used, kernels without it are common: late answers come from
`ssh_servers.CuttingProxy`.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

TOOLS = {"ip": "iproute2", "tc": "iproute2", "nft": "nftables", "nsenter": "util-linux"}
_CLONE_NEWNET = 0x40000000
_FOLDER = Path("/run/netns")


def missing() -> str | None:
    """Why no namespaces can be made here, or None."""
    if os.getuid() != 0:
        return "network namespaces need root"
    for tool, package in TOOLS.items():
        if shutil.which(tool) is None:
            return f"{tool} is not installed (Debian package {package})"
    name = f"rr{os.getpid()}probe"
    probe = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        return f"no network namespace can be made: {probe.stderr.strip()}"
    _run("ip", "netns", "del", name)
    return None


class Namespace:
    """One machine's network."""

    def __init__(self, name: str, address: str | None = None) -> None:
        self.name, self._address = name, address
        _run("ip", "netns", "add", name)
        self.run("ip", "link", "set", "lo", "up")

    @property
    def address(self) -> str:
        """Its address on the switch."""
        assert self._address is not None
        return self._address

    @property
    def prefix(self) -> list[str]:
        """Put before a command, it runs here; files and processes are everybody's."""
        return ["nsenter", f"--net={_FOLDER / self.name}"]

    def run(self, *command: str) -> str:
        """Run a command here; returns its output."""
        return _run(*self.prefix, *command)

    def call(self, function: Callable[..., T], *arguments: Any, **options: Any) -> T:
        """Call a function in a thread that lives here, and with it every thread and process that it starts."""
        outcome: list[Any] = []

        def inside() -> None:
            try:
                _enter(_FOLDER / self.name)
                outcome.extend((True, function(*arguments, **options)))
            except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
                outcome.extend((False, error))

        thread = threading.Thread(target=inside)
        thread.start()
        thread.join()
        if not outcome[0]:
            raise outcome[1]
        result: T = outcome[1]
        return result

    def kill(self) -> None:
        """End every process that was started here."""
        for pid in self.run("ip", "netns", "pids", self.name).split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)

    def lose(self, percent: int) -> None:
        """Drop so many of the arriving packets at random."""
        self.run("nft", "add table inet faults")
        self.run("nft", "add chain inet faults arriving { type filter hook input priority 0; }")
        self.run("nft", f"add rule inet faults arriving numgen random mod 100 < {percent} drop")

    def lose_nothing(self) -> None:
        """Let every packet arrive."""
        self.run("nft", "delete table inet faults")


class Network:
    """A switch with a coordinator and some hosts; `close` removes all of it."""

    def __init__(self, hosts: int) -> None:
        self._prefix = f"rr{os.getpid()}"
        self._made: list[Namespace] = []
        try:
            self.switch = self._add("switch", None)
            self.switch.run("ip", "link", "add", "bridge", "type", "bridge")
            self.switch.run("ip", "link", "set", "bridge", "up")
            self.coordinator = self._join("coordinator", "192.0.2.1")
            self.hosts = [self._join(f"host{number}", f"192.0.2.{10 + number}") for number in range(hosts)]
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Kill what still runs in the namespaces and remove them."""
        for namespace in self._made:
            namespace.kill()
            _run("ip", "netns", "del", namespace.name)
        self._made.clear()

    def link(self, host: Namespace, *, up: bool) -> None:
        """Connect a host to the switch, or cut it off without a word to either side."""
        self.switch.run("ip", "link", "set", self._port(host), "up" if up else "down")

    def limit(self, host: Namespace, rate: str) -> None:
        """Both directions of a host's line carry no more than, for example, "100kbit"."""
        shape = ("root", "tbf", "rate", rate, "burst", "4k", "latency", "1s")
        host.run("tc", "qdisc", "replace", "dev", "eth0", *shape)
        self.switch.run("tc", "qdisc", "replace", "dev", self._port(host), *shape)

    def unlimited(self, host: Namespace) -> None:
        """The line is as fast as it can be again."""
        host.run("tc", "qdisc", "del", "dev", "eth0", "root")
        self.switch.run("tc", "qdisc", "del", "dev", self._port(host), "root")

    def _add(self, name: str, address: str | None) -> Namespace:
        namespace = Namespace(f"{self._prefix}{name}", address)
        self._made.append(namespace)
        return namespace

    def _join(self, name: str, address: str) -> Namespace:
        one = self._add(name, address)
        pair = ("type", "veth", "peer", "name", self._port(one), "netns", self.switch.name)
        _run("ip", "link", "add", "name", "eth0", "netns", one.name, *pair)
        one.run("ip", "address", "add", f"{address}/24", "dev", "eth0")
        one.run("ip", "link", "set", "eth0", "up")
        self.switch.run("ip", "link", "set", self._port(one), "master", "bridge", "up")
        return one

    @staticmethod
    def _port(one: Namespace) -> str:
        return f"port{one.address.rpartition('.')[2]}"


def _enter(path: Path) -> None:
    """Move the calling thread into a namespace; Python 3.11 has no os.setns."""
    libc = ctypes.CDLL(None, use_errno=True)
    with path.open() as handle:
        if libc.setns(handle.fileno(), _CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed with {done.returncode}: {done.stderr.strip()}")
    return done.stdout
