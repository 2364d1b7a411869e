"""The checkout or folder with `dags/`, `plugins/` and `config/`: what an installed package does not carry."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ringrift_loop.config import CONFIG_VARIABLE
from ringrift_loop.errors import ConfigError
from ringrift_loop.hosts.inventory import HOSTS_VARIABLE
from ringrift_loop.layout import Below


@dataclass(frozen=True)
class Project:
    """The folders that an installed package does not carry."""

    root: Path

    dags = Below("dags")
    """One file a DAG."""
    plugins = Below("plugins")
    """Holds the package `ringrift_airflow`; Airflow's own scan of it is switched off by `.airflowignore`."""
    airflow_config = Below("config", "airflow.cfg")
    """Airflow's settings that differ from its defaults."""
    pools = Below("config", "pools.json")
    """The pools that the DAGs' tasks run in."""

    def loop_files(self) -> dict[str, str]:
        """The variables that name the loop's own configuration, for files that are there."""
        files = {
            CONFIG_VARIABLE: self.root / "config" / "unified_loop.yaml",
            HOSTS_VARIABLE: self.root / "config" / "remote_hosts.yaml",
        }
        return {variable: str(file) for variable, file in files.items() if file.is_file()}

    @classmethod
    def find(cls, start: Path) -> Project:
        """The project at or above `start`, else the checkout that this package is imported from.

        Raises:
            ConfigError: neither holds the DAG files.
        """
        checkout = Path(__file__).resolve().parents[2]
        candidates = [start.resolve(), *start.resolve().parents, checkout]
        for folder in candidates:
            if (folder / "dags" / "ringrift_data_sync.py").is_file() and (folder / "config" / "airflow.cfg").is_file():
                return cls(folder)
        raise ConfigError(f"no dags/ringrift_data_sync.py at or above {start}: start it in the project's folder")
