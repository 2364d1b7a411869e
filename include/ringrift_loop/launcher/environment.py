"""The environment of every Airflow process that the launcher starts.

What never depends on the machine stands in `config/airflow.cfg`; here are paths, addresses, ports and secrets.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ringrift_loop.errors import DataError
from ringrift_loop.layout import HOME_VARIABLE, LEDGER_VARIABLE, RunDirectory
from ringrift_loop.project import Project

# In the environment of everything a launch starts, with the launch's random id: how leftovers are found.
LAUNCH_VARIABLE = "RINGRIFT_LAUNCH"
_FOR_SHELLS = ("AIRFLOW", "RINGRIFT")
_SECRET_NAMES = ("fernet_key", "jwt_secret", "api_secret_key")


@dataclass(frozen=True)
class Addresses:
    """Where the components listen; all on the local host."""

    port: int  # Airflow's API server and user interface
    metrics_port: int  # /metrics of the statsd bridge
    statsd_host: str
    statsd_port: int

    @property
    def url(self) -> str:
        """The address that a person opens."""
        return f"http://127.0.0.1:{self.port}"


def airflow_secrets(file: Path) -> dict[str, str]:
    """Airflow's keys, made once and kept in a file that only its owner can read.

    Raises:
        DataError: the file does not hold the three keys.
    """
    if not file.exists():
        made = {
            "fernet_key": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "jwt_secret": secrets.token_urlsafe(64),
            "api_secret_key": secrets.token_urlsafe(32),
        }
        _write_private(file, json.dumps(made))
    try:
        held = json.loads(file.read_text(encoding="utf-8"))
        return {name: str(held[name]) for name in _SECRET_NAMES}
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{file} does not hold the keys {', '.join(_SECRET_NAMES)}; delete it to have new ones made "
            "(people are logged out, stored connections have to be entered again)"
        ) from error


def write_shell_file(file: Path, environment: Mapping[str, str]) -> None:
    """Write what Airflow's own command line needs, and where it lies, for a person's shell; holds secrets, mode 600."""
    lines = [
        f"export {name}={shlex.quote(value)}"
        for name, value in sorted(environment.items())
        if name.startswith(_FOR_SHELLS) and name != LAUNCH_VARIABLE
    ]
    lines.append(f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"')
    _write_private(file, "\n".join(lines) + "\n")


def read_shell_file(file: Path) -> dict[str, str]:
    """The variables of a file that `write_shell_file` wrote; none where there is no file."""
    if not file.is_file():
        return {}
    words = shlex.split(file.read_text(encoding="utf-8"))  # a quoted value may have several lines
    return dict(word.split("=", 1) for word in words if word.startswith(_FOR_SHELLS) and "=" in word)


def shell_file(directory: RunDirectory) -> Path:
    """Where the variables lie."""
    return directory.airflow / "environment.sh"


def _write_private(file: Path, text: str) -> None:
    """Write a file that only its owner can read at any moment, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(".new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
    temporary.replace(file)


def component_environment(
    *,
    base: Mapping[str, str],
    project: Project,
    directory: RunDirectory,
    addresses: Addresses,
    launch_id: str,
) -> dict[str, str]:
    """The whole environment of a component: `base` with Airflow's and the loop's variables set."""
    keys = airflow_secrets(directory.airflow / "secrets.json")
    environment = {name: value for name, value in base.items() if not name.startswith("AIRFLOW_")}
    # What the person has set goes before the project's files.
    environment = project.loop_files() | environment
    environment |= {
        LAUNCH_VARIABLE: launch_id,
        HOME_VARIABLE: str(directory.root),
        LEDGER_VARIABLE: directory.ledger_url,
        "AIRFLOW_HOME": str(directory.airflow),
        "AIRFLOW_CONFIG": str(project.airflow_config),
        "AIRFLOW__CORE__DAGS_FOLDER": str(project.dags),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(project.plugins),
        "AIRFLOW__CORE__FERNET_KEY": keys["fernet_key"],
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{addresses.url}/execution/",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{directory.airflow / 'airflow.db'}",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(directory.airflow / "logs"),
        "AIRFLOW__API__BASE_URL": addresses.url,
        "AIRFLOW__API__PORT": str(addresses.port),
        "AIRFLOW__API__SECRET_KEY": keys["api_secret_key"],
        "AIRFLOW__API_AUTH__JWT_SECRET": keys["jwt_secret"],
        "AIRFLOW__METRICS__STATSD_HOST": addresses.statsd_host,
        "AIRFLOW__METRICS__STATSD_PORT": str(addresses.statsd_port),
        # Tasks fork and use several cores for moments only; more BLAS threads than cores slow self-play down.
        "OMP_NUM_THREADS": base.get("OMP_NUM_THREADS", "1"),
        "PYTHONUNBUFFERED": "1",
        # Airflow renames its processes; by default that overwrites their environment with it, and the mark above.
        "SPT_NOENV": "1",
    }
    return environment
