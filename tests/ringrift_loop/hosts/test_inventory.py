"""The inventory file: the guide's keys, clear complaints with their place."""

from __future__ import annotations

from pathlib import Path

import pytest

from ringrift_loop.errors import ConfigError
from ringrift_loop.hosts.inventory import load_inventory, parse_inventory

PROJECT = Path(__file__).parents[3]


def test_the_guides_keys_are_read() -> None:
    text = """
standard_hosts:
  gpu_a:
    ssh_host: '192.0.2.7'
    ssh_user: 'ubuntu'
    role: 'training,hp_tuning,tournament'
    has_gpu: true
    gpu_type: 'H100'
"""
    host = parse_inventory(text, "hosts.yaml").hosts["gpu_a"]
    assert (host.transport, host.ssh_host, host.ssh_user, host.gpu_type) == ("ssh", "192.0.2.7", "ubuntu", "H100")
    assert host.roles == {"training", "hp_tuning", "tournament"}
    assert host.slots == 0  # not a self-play host


def test_slots_need_the_role_and_an_enabled_host() -> None:
    text = """
standard_hosts:
  plays: {transport: local, role: selfplay, max_workers: 3}
  trains: {transport: local, role: training, max_workers: 3}
  rests: {transport: local, role: selfplay, max_workers: 3, enabled: false}
"""
    inventory = parse_inventory(text, "hosts.yaml")
    assert [host.slots for host in inventory.hosts.values()] == [3, 0, 0]
    assert [host.name for host in inventory.with_role("selfplay")] == ["plays"]


def test_the_shipped_files_are_right_and_name_documentation_addresses_only() -> None:
    default = load_inventory(PROJECT / "config" / "remote_hosts.yaml")
    assert [(host.transport, host.slots) for host in default.enabled] == [("local", 1), ("local", 1)]
    example = load_inventory(PROJECT / "config" / "hosts.example.yaml")
    assert all(str(host.ssh_host).startswith("192.0.2.") for host in example.hosts.values())


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("standard_hosts:\n  a: {transport: local, rolle: x}", r"unknown key rolle, did you mean role\? \(h.yaml:2\)"),
        ("standard_hosts:\n  a: {transport: local, role: player}", r"role is a list of .*got \['player'\]"),
        ("standard_hosts:\n  a:\n    transport: local\n    max_workers: -1", r"from 0 to 256, got -1 \(h.yaml:4\)"),
        ("standard_hosts:\n  a: {transport: local, enabled: 'yes'}", "enabled must be true or false, got 'yes'"),
        ("standard_hosts:\n  a: {role: selfplay}", "needs an ssh_host, or `transport: local`"),
        ("standard_hosts:\n  a: {transport: local, ssh_host: x}", "takes no ssh_host"),
        ("standard_hosts:\n  ../a: {transport: local}", "a host's name must match"),
        ("standard_hosts:\n  a: {transport: local}\n  a: {transport: local}", "host a appears twice"),
        ("hosts:\n  a: {transport: local}", "unknown key hosts, did you mean standard_hosts"),
        ("standard_hosts: {}", "names no host"),
        ("- a", "must be a mapping"),
    ],
)
def test_a_wrong_file_is_refused_with_what_would_be_right(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        parse_inventory(text, "h.yaml")


def test_all_complaints_come_at_once() -> None:
    with pytest.raises(ConfigError) as error:
        parse_inventory("standard_hosts:\n  a: {x: 1}\n  b: {role: selfplay}", "h.yaml")
    assert len(str(error.value).splitlines()) == 2


def test_a_missing_file_says_how_to_name_another(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="RINGRIFT_HOSTS"):
        load_inventory(tmp_path / "none.yaml")


def test_the_keys_of_a_host_reached_by_ssh_are_read() -> None:
    text = """
standard_hosts:
  a:
    ssh_host: 192.0.2.7
    ssh_port: 2222
    ssh_key: ~/.ssh/fleet
    known_hosts: /etc/fleet/known_hosts
    remote_path: /opt/ringrift
    gpu_count: 8
    gpu_memory_gb: 80
    cpus: 96
    memory_gb: 1024.5
"""
    host = parse_inventory(text, "hosts.yaml").hosts["a"]
    assert (host.ssh_port, host.ssh_key, host.known_hosts) == (2222, "~/.ssh/fleet", "/etc/fleet/known_hosts")
    assert (host.gpu_count, host.has_gpu, host.gpu_memory_gb, host.cpus, host.memory_gb) == (8, True, 80, 96, 1024.5)
    assert (host.remote_root, host.accept_new_host_key, host.address) == ("ringrift", False, "192.0.2.7:2222")


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ("ssh_port: 0", r"ssh_port must be a whole number from 1 to 65535, got 0 \(h.yaml:2\)"),
        ("ssh_port: true", "ssh_port must be a whole number"),
        ("ssh_host: -oProxyCommand=x", "ssh_host must be a host name or an address"),
        ("ssh_host: root@h", "without user, port or spaces"),
        ("ssh_host: '192.0.2.7:2222'", "without user, port or spaces"),
        ("ssh_host: '[2001:db8::7]:2222'", "without user, port or spaces"),
        ("ssh_host: 'fe80::1%eth0 x'", "without user, port or spaces"),
        (f"ssh_host: {'a' * 64}", "without user, port or spaces"),
        ("ssh_user: 'a b'", "ssh_user must be a user name"),
        ("host_key: MD5:00", "host_key must be a fingerprint like SHA256:"),
        ("root: ~/ringrift", "root must be a path without ~ and .."),
        ("remote_path: /opt/../etc", "remote_path must be a path without"),
        ("memory_gb: .nan", "memory_gb must be a number of GiB above 0"),
        ("gpu_count: 2, has_gpu: false", "has_gpu: false and gpu_count: 2 contradict each other"),
        (f"host_key: 'SHA256:{'a' * 43}', accept_new_host_key: true", "leave out accept_new_host_key"),
        ("known_hosts: ''", "known_hosts must be text on one line"),
    ],
)
def test_a_wrong_key_of_an_ssh_host_is_refused_with_file_and_line(keys: str, complaint: str) -> None:
    host = keys if keys.startswith("ssh_host") else f"ssh_host: h, {keys}"
    with pytest.raises(ConfigError, match=complaint):
        parse_inventory(f"standard_hosts:\n  a: {{{host}}}", "h.yaml")


@pytest.mark.parametrize(
    ("written", "read", "shown"),
    [
        ("::1", "::1", "[::1]:22"),
        ("[2001:db8::7]", "2001:db8::7", "[2001:db8::7]:22"),
        ("fe80::1%eth0", "fe80::1%eth0", "[fe80::1%eth0]:22"),
        ("[fe80::1%2]", "fe80::1%2", "[fe80::1%2]:22"),
        ("gpu_1.example.", "gpu_1.example.", "gpu_1.example.:22"),
    ],
)
def test_an_ipv6_address_is_read_with_and_without_brackets(written: str, read: str, shown: str) -> None:
    text = f"standard_hosts:\n  a: {{ssh_host: '{written}', ssh_port: 22}}"
    host = parse_inventory(text, "h.yaml").hosts["a"]
    assert (host.ssh_host, host.address) == (read, shown)


def test_keys_of_ssh_do_not_belong_to_a_local_host() -> None:
    with pytest.raises(ConfigError, match=r"takes no ssh_key \(h.yaml:4\)"):
        parse_inventory("standard_hosts:\n  a:\n    transport: local\n    ssh_key: /k", "h.yaml")


def test_targets_of_a_host_are_read() -> None:
    (host,) = parse_inventory(
        "standard_hosts:\n  a: {transport: local, resource_targets: {cpu_max: 100}}\n", "f"
    ).enabled
    assert host.resource_targets == {"cpu_max": 100}


@pytest.mark.parametrize("targets", ["7", "{}", "{cpu: 70}", "{cpu_max: 101}", "{cpu_max: high}", "{pid: 1}"])
def test_targets_that_are_none_are_refused_with_their_place(targets: str) -> None:
    text = f"standard_hosts:\n  a: {{transport: local, resource_targets: {targets}}}\n"
    with pytest.raises(ConfigError, match=r"host a: resource_targets must be .*\(f:2\)"):
        parse_inventory(text, "f")
