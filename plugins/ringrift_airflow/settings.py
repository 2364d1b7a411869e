"""The one reader of Airflow's `[ringrift]` section; everything else gets library objects from here.

An option that is left empty is read from the environment by the library itself (`RINGRIFT_HOME`, `RINGRIFT_CONFIG` and
so on), so the embedded set-up and the hosts need no Airflow configuration.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from airflow.sdk import conf

from ringrift_loop.config import CONFIG_VARIABLE, EffectiveConfig, LoopConfig, load_config, load_effective
from ringrift_loop.layout import HOME_VARIABLE, LEDGER_VARIABLE, RunDirectory
from ringrift_loop.machine.giving_way import ROOM_VARIABLE
from ringrift_loop.resources.bands import cpu_band

if TYPE_CHECKING:
    from ringrift_loop.ledger.database import Ledger
    from ringrift_loop.loop import Loop
    from ringrift_loop.metrics.emit import Metrics

SECTION = "ringrift"
HOSTS_VARIABLE = "RINGRIFT_HOSTS"


def _option(name: str) -> str | None:
    return conf.get(SECTION, name, fallback="") or None


def loop_config() -> LoopConfig:
    """The loop's configuration; light enough for a DAG file (YAML and dataclasses, no numpy)."""
    return load_config(_option("config_file"))


def effective_config() -> EffectiveConfig:
    """The same with the origin of every value."""
    return load_effective(_option("config_file"))


def open_loop(*, with_credentials: bool = True) -> Loop:
    """The library's entry object, for the body of a task.

    Args:
        with_credentials: False where no host is contacted: Airflow's connections are left alone.

    Raises:
        ConfigError: the ledger belongs to another run directory, so another loop's; one that nobody has is ours now.
    """
    from ringrift_loop.ledger import run_directory
    from ringrift_loop.loop import Loop

    loop = Loop.open(
        config_path=_path("config_file"),
        hosts_path=hosts_path(),
        directory=loop_directory(),
        ledger_url=_option("ledger_url"),
    )
    run_directory.claim(loop.ledger, loop.directory, at=loop.clock())
    if not with_credentials or all(host.connection is None for host in loop.inventory.enabled):
        return loop
    from ringrift_airflow.connections import with_connections

    return replace(loop, inventory=with_connections(loop.inventory))


def open_ledger() -> Ledger:
    """The ledger alone, for what must work whatever the configuration and the inventory say."""
    from ringrift_loop.ledger.database import Ledger

    return Ledger.open(_option("ledger_url") or loop_directory().ledger_url)


def open_metrics() -> Metrics:
    """The emitter alone, for what sends metrics outside of a task."""
    from ringrift_loop.metrics.emit import Metrics

    return Metrics.open(loop_config(), loop_directory().fleet)


def hosts_path() -> Path | None:
    """The inventory that the section names; None leaves it to the environment."""
    return _path("hosts_file")


def loop_directory() -> RunDirectory:
    """The coordinator's folder."""
    home = _option("home")
    return RunDirectory(Path(home)) if home else RunDirectory.from_environment()


def child_environment() -> dict[str, str]:
    """The environment of a child process: this one without Airflow's variables and secrets, with the loop's set."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "_AIRFLOW"))}
    given = {
        HOME_VARIABLE: _option("home"),
        LEDGER_VARIABLE: _option("ledger_url"),
        CONFIG_VARIABLE: _option("config_file"),
        HOSTS_VARIABLE: _option("hosts_file"),
        ROOM_VARIABLE: str(cpu_band(loop_config().resource_targets).room),
    }
    return inherited | {name: value for name, value in given.items() if value is not None}


def match_logins() -> bytes | None:
    """How to log in at the hosts that play matches, where a connection says that; None when none does."""
    from ringrift_loop.hosts.inventory import load_inventory
    from ringrift_loop.tournament.remote.placement import ROLE

    hosts = [host for host in load_inventory(hosts_path()).with_role(ROLE) if host.connection is not None]
    if not hosts:
        return None
    from ringrift_airflow.connections import apply_connection
    from ringrift_loop.hosts.logins import logins_of

    return logins_of([apply_connection(host) for host in hosts])


def _path(name: str) -> Path | None:
    value = _option(name)
    return Path(value) if value else None
