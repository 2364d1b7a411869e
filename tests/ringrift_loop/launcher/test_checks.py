from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest

from ringrift_loop.errors import ConfigError
from ringrift_loop.launcher.checks import (
    Port,
    check_collisions,
    check_disk,
    check_packages,
    check_port,
    check_python,
    check_writable,
    is_of_this_machine,
    metrics_ports,
)


@pytest.mark.parametrize("version", [(3, 10), (3, 14)])
def test_a_python_that_does_not_fit_is_refused_with_those_that_do(version: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match=r"Python 3\.1[04] is not supported: the loop needs 3\.11, 3\.12 or 3\.13"):
        check_python(version)


@pytest.mark.parametrize("version", [(3, 11), (3, 13)])
def test_supported_pythons_pass(version: tuple[int, int]) -> None:
    check_python(version)


def test_packages_of_this_environment_pass() -> None:
    check_packages()


@pytest.mark.parametrize(("kind", "datagram"), [(socket.SOCK_STREAM, False), (socket.SOCK_DGRAM, True)])
def test_a_taken_port_is_named_with_its_purpose_and_what_to_do(kind: int, datagram: bool) -> None:
    with socket.socket(socket.AF_INET, kind) as other:
        other.bind(("127.0.0.1", 0))
        if not datagram:
            other.listen()
        number = other.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"port {number} .* needed for the web page, .*in use.*; use --port"):
            check_port(Port(number, "the web page", "use --port", datagram=datagram))
    check_port(Port(number, "the web page", "use --port", datagram=datagram))


def test_a_port_that_two_components_want_is_refused_with_both() -> None:
    page, metrics = Port(9102, "the web page", "use --port"), Port(9102, "/metrics", "change metrics_port")
    statsd = Port(9102, "StatsD", "change statsd_port", datagram=True)
    check_collisions([page, statsd])
    said = "TCP port 9102 on 127.0.0.1 is wanted for the web page and for /metrics; change metrics_port"
    with pytest.raises(ConfigError, match=said):
        check_collisions([page, statsd, metrics])


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("127.0.0.1", True),
        ("localhost", True),
        ("0.0.0.0", True),
        ("192.0.2.1", False),
        ("no-such-host.invalid", False),
    ],
)
def test_an_address_of_this_machine_is_told_from_others(host: str, here: bool) -> None:
    assert is_of_this_machine(host) == here


def test_the_bridge_wants_its_packets_port_where_they_are_sent() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.2", 0))
        number = other.getsockname()[1]
        check_port(metrics_ports(1024, "127.0.0.1", number)[1])
        with pytest.raises(ConfigError, match=rf"UDP port {number} on 127\.0\.0\.2, needed for StatsD"):
            check_port(metrics_ports(1024, "127.0.0.2", number)[1])


def test_a_full_disk_is_refused_with_both_figures(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has [\d.]+ GiB free and the loop needs 1048576\.0 GiB"):
        check_disk(tmp_path, min_free_bytes=2**50)


def test_a_run_directory_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"cannot be written \(.*\); choose another with --home"):
        check_writable(tmp_path / "file" / "run")


def test_a_run_directory_is_for_its_owner_alone_and_a_folder_for_everybody_stays_one(tmp_path: Path) -> None:
    for name, before, after in (("run", 0o755, 0o700), ("tmp", 0o1777, 0o1777)):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(before)
        check_writable(tmp_path / name)
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == after
