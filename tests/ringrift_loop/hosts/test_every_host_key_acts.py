"""Every key of a host in the inventory, and every role, decides something, or is for people and said to be so.

A new key gets an entry in `CASES`: two entries of a host that differ in it, what they lead to, and the function that
asks what acts on it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import asyncssh
import pytest

from ringrift_loop.cluster.agent.gpus import Gpu
from ringrift_loop.cluster.agent.probe import HostFacts
from ringrift_loop.cluster.jobs.placement import JobRequest, Offer, _fitting
from ringrift_loop.cluster.selfplay.supervise import all_slots
from ringrift_loop.cluster.ssh import commands
from ringrift_loop.cluster.ssh.connection import _options
from ringrift_loop.cluster.ssh.host_keys import HostKeyCheck, algorithms, known_hosts_file, known_hosts_of
from ringrift_loop.cluster.ssh.login import login_options
from ringrift_loop.cluster.transport.opening import local_directory, open_transport
from ringrift_loop.config import LoopConfig
from ringrift_loop.config.reference import reference_page
from ringrift_loop.deployment.plan import PRIMARY, chosen_hosts
from ringrift_loop.doctor.hosts import _cpus, _memory
from ringrift_loop.errors import ConfigError
from ringrift_loop.hosts.entry import _KEYS
from ringrift_loop.hosts.inventory import FOR_PEOPLE, ROLES, Host, Inventory, parse_inventory
from ringrift_loop.loop import Loop
from ringrift_loop.resources import rebalance as resources
from ringrift_loop.status.fleet import read_fleet
from ringrift_loop.tournament.remote.placement import match_hosts
from ringrift_loop.training.remote.placement import training_job

SSH = {"ssh_host": "192.0.2.1"}
LOCAL = {"transport": "local"}
FACTS = HostFacts(
    version=None, python=None, clock=None, disk_free_bytes=None, disk_free_inodes=None, memory_total_bytes=64 << 30,
    memory_available_bytes=60 << 30, load=None, cpus=8, gpus=None, gpu_problem=None, rsync=None, write_problem=None,
)  # fmt: skip

Observe = Callable[[Host, Loop], object]


def _inventory(entry: dict[str, object]) -> Inventory:
    text = ", ".join(f"{key}: {_yaml(value)}" for key, value in entry.items())
    return parse_inventory(f"standard_hosts:\n  a: {{{text}}}\n", "hosts.yaml")


def _yaml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {item}" for key, item in value.items()) + "}"
    return str(value).lower() if isinstance(value, bool) else f"'{value}'" if isinstance(value, str) else str(value)


def _option(name: str) -> Observe:
    return lambda host, loop: _options(host, HostKeyCheck(host, asyncssh.SSHKnownHosts())).get(name)


def _way(host: Host, loop: Loop) -> str:
    return type(open_transport(host, loop.directory)).__name__


def _has_own_key(host: Host, loop: Loop) -> bool:
    return "client_keys" in login_options(host)


def _asked_for(host: Host, loop: Loop) -> str:
    return str(algorithms(host, asyncssh.SSHKnownHosts())[0]).split(",")[0]


def _takes_a_new_key(host: Host, loop: Loop) -> bool:
    try:
        known_hosts_of(host)
    except ConfigError:
        return False
    return True


def _connected(host: Host, loop: Loop) -> str | None:
    from ringrift_airflow.connections import apply_connection

    return apply_connection(host).ssh_user


def _gpus_of_a_training(host: Host, loop: Loop) -> int | None:
    job = training_job(loop.inventory, LoopConfig())
    return None if job is None else job.gpus


def _is_primary(host: Host, loop: Loop) -> bool:
    try:
        return bool(chosen_hosts(loop.inventory, PRIMARY))
    except ConfigError:
        return False


def _plays_matches(host: Host, loop: Loop) -> bool:
    return bool(match_hosts(loop.inventory))


def _slots(host: Host, loop: Loop) -> int:
    return len(all_slots(loop))


def _fits_a_job_of_40_gib(host: Host, loop: Loop) -> bool:
    request = JobRequest("j", ("x",), "training", 60.0, gpus=1, gpu_memory_gb=40.0)
    return bool(
        _fitting(Offer(host, (Gpu(0, 80 << 10, 79 << 10, "x"),)), request, set(), LoopConfig().resource_targets)
    )


def _cpu_limit(host: Host, loop: Loop) -> float:
    return resources.targets_of(loop.config, loop.inventory, ["a"]).cpu_max


def _shown(host: Host, loop: Loop) -> tuple[str, ...]:
    with loop.ledger.read() as conn:
        (view,) = read_fleet(conn, loop.config, loop.inventory, now=1.0)
    return view.for_people


# By key: two entries of a host, what each leads to, and who is asked.
CASES: dict[str, tuple[Observe, tuple[dict[str, object], object], tuple[dict[str, object], object]]] = {
    "transport": (_way, (LOCAL, "LocalTransport"), ({**SSH, "transport": "ssh"}, "SSHTransport")),
    "ssh_host": (_option("host"), (SSH, "192.0.2.1"), ({"ssh_host": "[2001:db8::1]"}, "2001:db8::1")),
    "ssh_port": (_option("port"), (SSH, None), ({**SSH, "ssh_port": 2222}, 2222)),
    "ssh_user": (_option("username"), (SSH, None), ({**SSH, "ssh_user": "loop"}, "loop")),
    "ssh_key": (_has_own_key, (SSH, False), ({**SSH, "ssh_key": "~/key"}, True)),
    "known_hosts": (
        lambda host, loop: known_hosts_file(host).name,
        (SSH, "known_hosts"),
        ({**SSH, "known_hosts": "/etc/keys"}, "keys"),
    ),
    "host_key": (
        _asked_for,
        (SSH, "ssh-ed25519"),
        ({**SSH, "host_key": "ecdsa-sha2-nistp256 AAAA"}, "ecdsa-sha2-nistp256"),
    ),
    "accept_new_host_key": (
        _takes_a_new_key,
        ({**SSH, "known_hosts": "/none"}, False),
        ({**SSH, "known_hosts": "/none", "accept_new_host_key": True}, True),
    ),
    "connection": (_connected, (SSH, None), ({**SSH, "connection": "fleet"}, "from_airflow")),
    "remote_path": (
        lambda host, loop: commands.action(host, "report")[0],
        (SSH, "ringrift-loop"),
        ({**SSH, "remote_path": "/opt/loop"}, "/opt/loop/venv/bin/ringrift-loop"),
    ),
    "role": (_slots, ({**LOCAL, "role": "selfplay"}, 1), ({**LOCAL, "role": "training"}, 0)),
    "max_workers": (_slots, (LOCAL, 1), ({**LOCAL, "max_workers": 3}, 3)),
    "enabled": (_slots, (LOCAL, 1), ({**LOCAL, "enabled": False}, 0)),
    "root": (
        lambda host, loop: local_directory(host, loop.directory).root.name,
        (LOCAL, "a"),
        ({**LOCAL, "root": "/srv/there"}, "there"),
    ),
    "has_gpu": (
        _gpus_of_a_training,
        ({**SSH, "role": "training"}, 0),
        ({**SSH, "role": "training", "has_gpu": True}, 1),
    ),
    "gpu_count": (
        _gpus_of_a_training,
        ({**SSH, "role": "training", "has_gpu": True}, 1),
        ({**SSH, "role": "training", "gpu_count": 4}, 4),
    ),
    "gpu_memory_gb": (
        _fits_a_job_of_40_gib,
        ({**SSH, "gpu_count": 1, "gpu_memory_gb": 24}, False),
        ({**SSH, "gpu_count": 1, "gpu_memory_gb": 80}, True),
    ),
    "resource_targets": (_cpu_limit, (LOCAL, 80.0), ({**LOCAL, "resource_targets": {"cpu_max": 85}}, 85)),
    "gpu_type": (_shown, (LOCAL, ()), ({**LOCAL, "gpu_type": "H100"}, ("gpu_type H100",))),
    "cpus": (
        lambda host, loop: next(_cpus(host, FACTS)).right.split(" for")[0],
        ({**LOCAL, "cpus": 8}, "8 cores"),
        ({**LOCAL, "cpus": 16}, "16 cores"),
    ),
    "memory_gb": (
        lambda host, loop: next(_memory(host, FACTS, "")).right,
        (LOCAL, "some memory free"),
        ({**LOCAL, "memory_gb": 480}, "480 GiB in the inventory"),
    ),
}
ROLE_CASES: dict[str, tuple[Observe, object]] = {
    "selfplay": (_slots, 1),
    "training": (_gpus_of_a_training, 0),
    "tournament": (_plays_matches, True),
    "hp_tuning": (_is_primary, True),
}


@pytest.fixture
def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home with a key in it and no configuration of SSH, and a connection of Airflow's."""
    monkeypatch.setenv("HOME", str(tmp_path))
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(tmp_path / "key"))
    monkeypatch.setenv("AIRFLOW_CONN_FLEET", "ssh://from_airflow:secret@192.0.2.9")


def test_every_key_and_role_has_a_case() -> None:
    wanted = {*_KEYS, *(field.name for field in fields(Host))} - NOT_IN_A_FILE
    assert not wanted ^ CASES.keys(), (
        f"keys of a host without a case, or cases without a key: {sorted(wanted ^ CASES.keys())}; CASES in this file "
        "has an entry for each, with two entries of a host and a function that asks what acts on the key"
    )
    assert ROLE_CASES.keys() == ROLES


# The name is the entry itself, `roles` are the key `role`, and what a connection says stands in no file.
NOT_IN_A_FILE = {"name", "roles", "connect_limit_s", "unusable", "credentials"}


@pytest.mark.usefixtures("prepared")
@pytest.mark.parametrize("key", CASES)
def test_a_key_changes_what_is_done_or_shown(key: str, open_loop: Callable[..., Loop]) -> None:
    observe, (first, leads_to), (second, to_another) = CASES[key]
    loop = open_loop()
    seen = []
    for entry in (first, second):
        inventory = _inventory(entry)
        seen.append(observe(inventory.hosts["a"], replace(loop, inventory=inventory)))
    assert seen == [leads_to, to_another]
    assert leads_to != to_another


@pytest.mark.parametrize("role", sorted(ROLES))
def test_a_role_decides_what_another_does_not(role: str, open_loop: Callable[..., Loop]) -> None:
    observe, with_it = ROLE_CASES[role]
    loop = open_loop()

    def seen(own: str) -> object:
        inventory = _inventory({**SSH, "role": own})
        return observe(inventory.hosts["a"], replace(loop, inventory=inventory))

    assert seen(role) == with_it
    assert seen("training" if role == "selfplay" else "selfplay") != with_it


@pytest.mark.parametrize("key", FOR_PEOPLE)
def test_a_key_for_people_is_shown_and_said_to_decide_nothing(key: str, open_loop: Callable[..., Loop]) -> None:
    value: object = "H100" if key == "gpu_type" else 7
    loop = replace(open_loop(), inventory=_inventory({**LOCAL, key: value}))
    assert _shown(loop.inventory.hosts["a"], loop) == (f"{key} {value}",)
    (row,) = re.findall(rf"^\| `{key}` \|.*$", reference_page(), re.MULTILINE)
    assert "for people" in row and "nothing is decided by" in row
