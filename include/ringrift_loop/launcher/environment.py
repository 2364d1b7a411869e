"""The environment of every Airflow process that the launcher starts.

What never depends on the machine stands in `config/airflow.cfg`; here are paths, addresses, ports and secrets.
"""

from __future__ import annotations

import base64
import json
import secrets
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ringrift_loop.errors import DataError
from ringrift_loop.layout import HOME_VARIABLE, LEDGER_VARIABLE, RunDirectory, sqlite_url
from ringrift_loop.machine.files import write_json, write_whole
from ringrift_loop.project import Project

# In the environment of everything a launch starts, with the launch's random id: how leftovers are found.
LAUNCH_VARIABLE = "RINGRIFT_LAUNCH"
_FOR_SHELLS = ("AIRFLOW", "RINGRIFT", "LC_ALL", "NO_PROXY", "no_proxy")
# A person's own connections and variables; every other AIRFLOW_ variable is of another Airflow.
_KEPT_OF_AIRFLOW = ("AIRFLOW_CONN_", "AIRFLOW_VAR_")
_LOOPBACK = ("127.0.0.1", "localhost")
# Settings that another Airflow or another loop has left in the shell would hold beside the ones that follow.
_FORGET = r"""for ringrift_name in $(env | sed -nE 's/^((AIRFLOW__|RINGRIFT_)[A-Za-z0-9_]*)=.*/\1/p'); do
  unset "$ringrift_name"
done
unset ringrift_name"""
ADMIN = "admin"
_SECRET_NAMES = ("fernet_key", "jwt_secret", "api_secret_key")


@dataclass(frozen=True)
class Addresses:
    """Where the components listen; all on this machine."""

    port: int  # Airflow's API server and user interface
    metrics_port: int  # /metrics of the statsd bridge
    statsd_host: str
    statsd_port: int
    has_bridge: bool = True  # False: the packets go to another machine

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
        write_json(file, made)
    try:
        held = json.loads(file.read_text(encoding="utf-8"))
        return {name: str(held[name]) for name in _SECRET_NAMES}
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{file} does not hold the keys {', '.join(_SECRET_NAMES)}; delete it to have new ones made "
            "(people are logged out, stored connections have to be entered again)"
        ) from error


def page_password(file: Path) -> tuple[str, bool]:
    """The password of the page's user `admin`, and whether it was made just now.

    Raises:
        DataError: the file does not hold it.
    """
    made = not file.exists()
    if made:
        write_json(file, {ADMIN: secrets.token_urlsafe(12)})
    try:
        return str(json.loads(file.read_bytes())[ADMIN]), made
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file} holds no password of {ADMIN}; delete it to have a new one made") from error


def write_shell_file(file: Path, environment: Mapping[str, str]) -> None:
    """Write what Airflow's own command line needs, and where it lies, for a person's shell; holds secrets, mode 600."""
    lines = [_FORGET]
    lines += [
        f"export {name}={shlex.quote(value)}"
        for name, value in sorted(environment.items())
        if name.startswith(_FOR_SHELLS) and name != LAUNCH_VARIABLE
    ]
    lines.append(f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"')
    write_whole(file, "\n".join([*lines, ""]).encode())


def read_shell_file(file: Path) -> dict[str, str]:
    """The variables of a file that `write_shell_file` wrote; none where there is no file."""
    if not file.is_file():
        return {}
    words = shlex.split(file.read_text(encoding="utf-8"))  # a quoted value may have several lines
    return dict(word.split("=", 1) for word in words if word.startswith(_FOR_SHELLS) and "=" in word)


def shell_file(directory: RunDirectory) -> Path:
    """Where the variables lie."""
    return directory.airflow / "environment.sh"


def password_file(directory: RunDirectory) -> Path:
    """Where the page's password lies, once there is a login; in the format of Airflow's simple auth manager."""
    return directory.airflow / "passwords.json"


def component_environment(
    *,
    base: Mapping[str, str],
    project: Project,
    directory: RunDirectory,
    addresses: Addresses,
    launch_id: str,
    login: bool = False,
) -> dict[str, str]:
    """The whole environment of a component: `base` with Airflow's and the loop's variables set.

    Args:
        base: the environment of whoever starts it.
        project: the DAG files and Airflow's settings.
        directory: the run directory.
        addresses: where the components listen.
        launch_id: the mark of everything that this launch starts.
        login: whether the page asks for the password in `password_file`.
    """
    keys = airflow_secrets(directory.airflow / "secrets.json")
    environment = {
        name: value
        for name, value in base.items()
        if not name.startswith("AIRFLOW_") or name.startswith(_KEPT_OF_AIRFLOW)
    }
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
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": str(not login),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(password_file(directory)),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{ADMIN}:admin",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": sqlite_url(directory.airflow / "airflow.db"),
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
    # The components talk to each other on this machine; a proxy would look for them on its own.
    direct = base.get("no_proxy") or base.get("NO_PROXY", "")
    if direct != "*":
        direct = ",".join(dict.fromkeys([*filter(None, direct.split(",")), *_LOOPBACK]))
    return environment | {"no_proxy": direct, "NO_PROXY": direct}
