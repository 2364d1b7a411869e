"""The hosts of the loop, with address and credentials from Airflow connections where the inventory names one.

`connections.py` says what a connection replaces.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from airflow.sdk import BaseHook

from ringrift_airflow.connections import apply_connection, with_connections
from ringrift_airflow.settings import hosts_path
from ringrift_loop.errors import ConfigError
from ringrift_loop.hosts.inventory import Host, Inventory, load_inventory


class ClusterHook(BaseHook):
    """Inventory and connections to `ringrift_loop.cluster` objects; makes no connection by itself.

    Args:
        hosts_file: the inventory; by default the one of the `[ringrift]` section or of the environment.
    """

    def __init__(self, hosts_file: str | Path | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.hosts_file = hosts_file

    def inventory(self) -> Inventory:
        """Every host, its connection applied.

        A host whose connection is missing or does not fit is there, and fails with that sentence when it is used.

        Raises:
            ConfigError: the file is wrong.
        """
        return with_connections(load_inventory(self.hosts_file or hosts_path()))

    def hosts(self, names: Sequence[str] | None = None, role: str | None = None) -> list[Host]:
        """The enabled hosts of some names, of a role, or all.

        Raises:
            ConfigError: as `inventory`; or a name is not there or not enabled, or no host is left.
        """
        inventory = load_inventory(self.hosts_file or hosts_path())
        chosen = inventory.enabled if role is None else inventory.with_role(role)
        if names is not None:
            known = {host.name: host for host in chosen}
            missing = [name for name in names if name not in known]
            if missing:
                among = f" with role {role}" if role else ""
                raise ConfigError(
                    f"no enabled host{among} is named {', '.join(missing)}; the hosts are {', '.join(known)}"
                )
            chosen = [known[name] for name in dict.fromkeys(names)]
        if not chosen:
            raise ConfigError(f"the inventory has no enabled host{f' with role {role}' if role else ''}")
        return [apply_connection(host) for host in chosen]
