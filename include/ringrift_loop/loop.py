"""What every stage is handed: configuration, hosts, run directory, ledger, metrics and a clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from ringrift_loop.config import LoopConfig, config_hash, load_effective
from ringrift_loop.hosts.inventory import Inventory, load_inventory
from ringrift_loop.json_value import JsonValue
from ringrift_loop.layout import RunDirectory
from ringrift_loop.ledger import events, run_directory
from ringrift_loop.ledger.database import Ledger
from ringrift_loop.ledger.migrate import check_current
from ringrift_loop.metrics.emit import Metrics


@dataclass(frozen=True)
class Loop:
    """An opened loop; cheap to make, one per process."""

    config: LoopConfig
    inventory: Inventory
    directory: RunDirectory
    ledger: Ledger
    metrics: Metrics
    clock: Callable[[], float] = time.time

    def record(
        self, conn: Connection, kind: str, message: str, *, variant: str | None = None, **data: JsonValue
    ) -> None:
        """Append a decision to the history, with the hash of the configuration that led to it.

        Args:
            conn: the transaction of what is decided.
            kind: a short word, such as `training`, `gate` or `promotion`.
            message: what a person reads.
            variant: what it is about.
            data: more for programs.
        """
        data["config_hash"] = config_hash(self.config)
        events.record(conn, kind, message, at=self.clock(), variant=variant, data=data)

    @classmethod
    def open(
        cls,
        *,
        config_path: Path | str | None = None,
        hosts_path: Path | str | None = None,
        directory: RunDirectory | None = None,
        ledger_url: str | None = None,
    ) -> Loop:
        """The loop that the arguments describe; what they leave out comes from the environment.

        `RINGRIFT_CONFIG`, `RINGRIFT_HOSTS`, `RINGRIFT_HOME` and `RINGRIFT_LEDGER_URL` name the rest. Migrates nothing.

        Raises:
            ConfigError: a configuration file is missing or wrong, or the ledger belongs to another run directory.
            LedgerError: the ledger's schema is not this version's; the message names the remedy.
        """
        effective = load_effective(config_path)
        directory = RunDirectory.from_environment() if directory is None else directory
        ledger = Ledger.open(ledger_url or directory.ledger_url)
        check_current(ledger)
        run_directory.check(ledger, directory)
        return cls(
            config=effective.config,
            inventory=load_inventory(hosts_path),
            directory=directory,
            ledger=ledger,
            metrics=Metrics.open(effective.config, directory.fleet),
        )
