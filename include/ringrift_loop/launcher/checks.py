"""What must be true before anything is started; every failure is one sentence that says what to do."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import stat
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from ringrift_loop.errors import ConfigError

OLDEST_PYTHON = (3, 11)
TOO_NEW_PYTHON = (3, 14)
# The environment's own files, a day of games and logs; training windows stay below this on the small boards.
MIN_FREE_BYTES = 2 * 1024**3


@dataclass(frozen=True)
class Port:
    """A port that a component is going to bind."""

    number: int
    purpose: str
    remedy: str
    datagram: bool = False
    host: str = "127.0.0.1"

    @property
    def name(self) -> str:
        """Such as `UDP port 8125 on 127.0.0.1`."""
        return f"{'UDP' if self.datagram else 'TCP'} port {self.number} on {self.host}"


def check_python(version: tuple[int, int] = sys.version_info[:2]) -> None:
    """Raise when this Python is not one that Airflow 3.3 and the loop support."""
    if not OLDEST_PYTHON <= version < TOO_NEW_PYTHON:
        raise ConfigError(
            f"Python {version[0]}.{version[1]} is not supported: the loop needs 3.11, 3.12 or 3.13; "
            "recreate the environment with one of them (make clean, then make run)"
        )


def check_packages() -> None:
    """Raise when the packages of the `airflow` and `train` extras are not installed."""
    missing = [name for name in ("airflow", "torch", "onnx") if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"{', '.join(missing)} cannot be imported: install the project with its extras, "
            "`pip install -c constraints.txt -e '.[airflow,train]'`, or run `make run`"
        )


def check_writable(folder: Path) -> None:
    """Raise when the run directory cannot be made or written; afterwards its owner alone can look into it."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not folder.stat().st_mode & stat.S_ISVTX:  # not a place for everybody, such as /tmp
            folder.chmod(0o700)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(
            f"the run directory {folder} cannot be written ({error.strerror}); "
            "choose another with --home or the variable RINGRIFT_HOME"
        ) from error


def check_disk(folder: Path, min_free_bytes: int = MIN_FREE_BYTES) -> None:
    """Raise when the disk of the run directory is almost full."""
    free = shutil.disk_usage(folder).free
    if free < min_free_bytes:
        raise ConfigError(
            f"the disk of {folder} has {free / 1024**3:.1f} GiB free and the loop needs "
            f"{min_free_bytes / 1024**3:.1f} GiB; free some space or choose another disk with --home"
        )


def metrics_ports(metrics_port: int, statsd_host: str, statsd_port: int) -> list[Port]:
    """The ports of the metrics bridge."""
    in_file = "in config/unified_loop.yaml"
    return [
        Port(metrics_port, "/metrics", f"change metrics_port {in_file}"),
        Port(statsd_port, "StatsD", f"change statsd_port {in_file}", datagram=True, host=statsd_host),
    ]


def is_of_this_machine(host: str) -> bool:
    """Whether a program here can listen under this IPv4 address, or under this name's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, 0))
        except OSError:  # an address elsewhere, or a name without one
            return False
    return True


def check_port(port: Port) -> None:
    """Raise when somebody else has the port."""
    kind = socket.SOCK_DGRAM if port.datagram else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as probe:
        if not port.datagram:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((port.host, port.number))
        except OSError as error:
            raise ConfigError(
                f"{port.name}, needed for {port.purpose}, cannot be used ({os.strerror(error.errno or 0)}); "
                f"{port.remedy}"
            ) from error


def check_collisions(ports: Sequence[Port]) -> None:
    """Raise when two components want the same port."""
    for one, other in combinations(ports, 2):
        if (one.number, one.datagram) == (other.number, other.datagram):
            raise ConfigError(f"{other.name} is wanted for {one.purpose} and for {other.purpose}; {other.remedy}")


def check_machine(run_root: Path, ports: list[Port]) -> None:
    """All checks, in the order in which their failures are easiest to understand."""
    check_python()
    check_packages()
    check_writable(run_root)
    check_disk(run_root)
    check_collisions(ports)
    for port in ports:
        check_port(port)
