"""The hosts of `config/remote_hosts.yaml`: names, addresses, roles, worker slots.

The keys are the deployment guide's (`standard_hosts`, `ssh_host`, `ssh_user`, `role`, `has_gpu`, `gpu_type`) and more
(`entry.py` reads one host's). A host with transport `local` lives on this machine in a root folder of its own;
`cluster/transport/` reaches hosts.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from ringrift_loop.config.source import entries, read_mapping
from ringrift_loop.errors import ConfigError
from ringrift_loop.hosts.entry import FOR_PEOPLE, LOCAL, MAX_SLOTS, ROLES, SELFPLAY, SSH, read_entry
from ringrift_loop.layout import LEDGER_NAME, checked_name

HOSTS_VARIABLE = "RINGRIFT_HOSTS"
DEFAULT_PATH = Path("config/remote_hosts.yaml")

__all__ = [
    "DEFAULT_PATH",
    "FOR_PEOPLE",
    "HOSTS_VARIABLE",
    "LOCAL",
    "MAX_SLOTS",
    "ROLES",
    "SELFPLAY",
    "SSH",
    "Credentials",
    "Host",
    "Inventory",
    "load_inventory",
    "parse_inventory",
]

DEFAULT_REMOTE_ROOT = "ringrift"  # in the home of the user who logs in


@dataclass(frozen=True)
class Credentials:
    """What opens a login and stands in no file of ours: handed in by a caller, such as an Airflow connection."""

    password: str | None = field(default=None, repr=False)
    private_key: str | None = field(default=None, repr=False)  # in PEM or OpenSSH form
    passphrase: str | None = field(default=None, repr=False)  # of the private key, here or in `ssh_key`


@dataclass(frozen=True)
class Host:
    """One machine that works for the loop."""

    name: str
    transport: str  # LOCAL or SSH
    roles: frozenset[str]
    max_workers: int = 1  # self-play slots
    enabled: bool = True
    has_gpu: bool = False
    gpu_type: str | None = None
    gpu_count: int = 0
    gpu_memory_gb: float | None = None  # of one GPU, GiB
    cpus: int | None = None  # its cores
    memory_gb: float | None = None  # its memory, GiB
    resource_targets: Mapping[str, float] = field(default_factory=dict)  # that replace the loop's on its machine
    ssh_host: str | None = None
    ssh_port: int | None = None  # None: as ~/.ssh/config says, else 22
    ssh_user: str | None = None
    ssh_key: str | None = None  # file with the private key; None: ssh-agent and the files of ~/.ssh
    known_hosts: str | None = None  # file with host keys; None: ~/.ssh/known_hosts and /etc/ssh/ssh_known_hosts
    host_key: str | None = None  # the only key that is accepted: `SHA256:...` or a public key
    accept_new_host_key: bool = False  # a host without a known key is trusted once and written down
    connection: str | None = None  # Airflow connection whose address and credentials replace these
    connect_limit_s: float = 15.0  # until the login is done; a connection may say otherwise
    unusable: str | None = None  # why that connection cannot be used; the host then fails with this sentence
    remote_path: str | None = None  # where the program is installed: <remote_path>/venv/bin/ringrift-loop
    root: str | None = None  # data folder on the host; None: run directory's `hosts/<name>`, by SSH `~/ringrift`
    credentials: Credentials | None = field(default=None, repr=False)

    @property
    def slots(self) -> int:
        """Self-play workers that this host may run; 0 without the role or when it is not enabled."""
        return self.max_workers if self.enabled and SELFPLAY in self.roles else 0

    @property
    def remote_root(self) -> str:
        """The data folder on a host reached by SSH; a relative one lies in the home of the user who logs in."""
        return self.root or DEFAULT_REMOTE_ROOT

    @property
    def address(self) -> str:
        """User, host and port for messages."""
        user = f"{self.ssh_user}@" if self.ssh_user else ""
        place = f"[{self.ssh_host}]" if self.ssh_port and ":" in (self.ssh_host or "") else self.ssh_host
        return f"{user}{place}" + (f":{self.ssh_port}" if self.ssh_port else "")


@dataclass(frozen=True)
class Inventory:
    """Every host, in the order of the file."""

    hosts: Mapping[str, Host]

    @property
    def enabled(self) -> list[Host]:
        """The hosts that take part."""
        return [host for host in self.hosts.values() if host.enabled]

    def with_role(self, role: str) -> list[Host]:
        """The enabled hosts that have a role."""
        return [host for host in self.enabled if role in host.roles]


def load_inventory(path: Path | str | None = None, environment: Mapping[str, str] | None = None) -> Inventory:
    """The hosts named in a file.

    Args:
        path: the YAML file; by default the one `RINGRIFT_HOSTS` names, else `config/remote_hosts.yaml` of the current
            folder.
        environment: variables to read; by default the process's own.

    Raises:
        ConfigError: the file is missing or wrong; one line for each complaint, with its place.
    """
    environment = os.environ if environment is None else environment
    file = Path(path or environment.get(HOSTS_VARIABLE) or DEFAULT_PATH)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the inventory {file} cannot be read: {error}; name another with {HOSTS_VARIABLE} or --hosts"
        ) from error
    return parse_inventory(text, str(file))


def parse_inventory(text: str, name: str) -> Inventory:
    """The inventory that a YAML text describes; `name` stands in the complaints.

    Raises:
        ConfigError: one line for each complaint.
    """
    root = read_mapping(text, name)
    complaints: list[str] = []
    hosts: dict[str, Host] = {}
    for key, node, place in entries(root, name) if root is not None else ():
        if key != "standard_hosts":
            complaints.append(f"unknown key {key}, did you mean standard_hosts? ({place})")
        elif not isinstance(node, yaml.MappingNode):
            complaints.append(f"standard_hosts must be a mapping of names to hosts ({place})")
        else:
            _read_hosts(node, name, hosts, complaints)
    if not hosts and not complaints:
        complaints.append(f"standard_hosts names no host ({name})")
    if complaints:
        raise ConfigError("\n".join(complaints))
    return Inventory(hosts)


def _read_hosts(node: yaml.MappingNode, file: str, hosts: dict[str, Host], complaints: list[str]) -> None:
    for name, value, place in entries(node, file):
        try:
            if name in hosts:
                raise ConfigError(f"host {name} appears twice ({place})")
            if not isinstance(value, yaml.MappingNode):
                raise ConfigError(f"host {name} must be a mapping of keys ({place})")
            fields = read_entry(checked_name(name, "a host's name", LEDGER_NAME), value, file)
            hosts[name] = Host(name=name, **fields)  # type: ignore[arg-type]
        except ConfigError as error:
            complaints.append(str(error))
