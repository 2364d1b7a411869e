from __future__ import annotations

import shlex
import shutil
import stat
import sys
from pathlib import Path

import pytest

from ringrift_loop.errors import DataError
from ringrift_loop.launcher.environment import (
    Addresses,
    airflow_secrets,
    component_environment,
    page_password,
    read_shell_file,
    write_shell_file,
)
from ringrift_loop.layout import RunDirectory
from ringrift_loop.project import Project

PROJECT = Project.find(Path(__file__))
ADDRESSES = Addresses(port=8081, metrics_port=9103, statsd_host="127.0.0.1", statsd_port=8126)


def made(base: dict[str, str], root: Path) -> dict[str, str]:
    return component_environment(
        base=base, project=PROJECT, directory=RunDirectory(root), addresses=ADDRESSES, launch_id="abc"
    )


def test_secrets_are_made_once_and_only_their_owner_can_read_them(tmp_path: Path) -> None:
    file = tmp_path / "airflow" / "secrets.json"
    first = airflow_secrets(file)
    assert airflow_secrets(file) == first
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert airflow_secrets(tmp_path / "other.json") != first


def test_airflow_accepts_the_fernet_key(tmp_path: Path) -> None:
    from cryptography.fernet import Fernet

    key = Fernet(airflow_secrets(tmp_path / "secrets.json")["fernet_key"].encode())
    assert key.decrypt(key.encrypt(b"password")) == b"password"


def test_damaged_secrets_are_refused_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "secrets.json").write_text("{}")
    with pytest.raises(DataError, match="delete it to have new ones made"):
        airflow_secrets(tmp_path / "secrets.json")


def test_a_persons_own_airflow_does_not_leak_in(tmp_path: Path) -> None:
    base = {"AIRFLOW_HOME": "/elsewhere", "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor", "PATH": "/bin"}
    environment = made(base, tmp_path)
    assert environment["AIRFLOW_HOME"] == str(tmp_path / "airflow")
    assert "AIRFLOW__CORE__EXECUTOR" not in environment
    assert environment["PATH"] == "/bin"


def test_airflows_command_line_gets_its_settings_from_a_file_that_only_its_owner_can_read(tmp_path: Path) -> None:
    import subprocess

    file = tmp_path / "environment.sh"
    write_shell_file(file, made({}, tmp_path / "with a blank") | {"PATH": "/bin"})
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    shell = ("sh", "-c", f'. "{file}"; printf %s "$AIRFLOW_HOME:${{RINGRIFT_LAUNCH:-none}}:$(command -v airflow)"')
    printed = subprocess.run(shell, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=True).stdout
    assert printed == f"{tmp_path / 'with a blank' / 'airflow'}:none:{Path(sys.executable).parent / 'airflow'}"
    assert "PATH" not in read_shell_file(file)


def sourced(file: Path, base: dict[str, str], shell: str) -> dict[str, str]:
    """The environment of a shell with `base` that has sourced the file."""
    import subprocess

    line = f". {shlex.quote(str(file))}; env -0"
    shown = subprocess.run((shell, "-c", line), env=base, capture_output=True, text=True, check=True).stdout
    return dict(each.split("=", 1) for each in shown.split("\0") if each)


@pytest.mark.parametrize("shell", ["sh", "bash", "zsh"])
def test_a_shell_with_another_airflow_gets_this_ones_settings_and_no_others(tmp_path: Path, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    file = tmp_path / "it's here" / "environment.sh"
    ours = {name: value for name, value in made({}, tmp_path).items() if name.startswith(("AIRFLOW", "RINGRIFT"))}
    write_shell_file(file, ours)
    other = {
        "PATH": "/usr/bin:/bin",
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD": "echo sqlite:////another.db",
        "AIRFLOW__X__Y": "of two lines\nAIRFLOW__A;exit=1",
        "RINGRIFT__MIN_GAMES": "7",
        "AIRFLOW_CONN_GPU_BOX": "ssh://me@192.0.2.7",
    }
    found = sourced(file, other, shell)
    seen = {name: value for name, value in found.items() if name.startswith(("AIRFLOW", "RINGRIFT", "ringrift"))}
    del ours["RINGRIFT_LAUNCH"]
    assert seen == ours | {"AIRFLOW_CONN_GPU_BOX": "ssh://me@192.0.2.7"}
    assert read_shell_file(file) == ours


def test_connections_and_variables_of_the_shell_reach_the_components(tmp_path: Path) -> None:
    own = {"AIRFLOW_CONN_GPU_BOX": "ssh://me@192.0.2.7", "AIRFLOW_VAR_TEAM": "blue"}
    environment = made(own | {"AIRFLOW__CORE__EXECUTOR": "CeleryExecutor", "AIRFLOW_UID": "5"}, tmp_path)
    assert own.items() <= environment.items()
    assert not {"AIRFLOW__CORE__EXECUTOR", "AIRFLOW_UID"} & environment.keys()


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, "127.0.0.1,localhost"),
        ({"no_proxy": "x.org"}, "x.org,127.0.0.1,localhost"),
        ({"NO_PROXY": "127.0.0.1,localhost"}, "127.0.0.1,localhost"),
        ({"NO_PROXY": "*"}, "*"),
    ],
)
def test_a_proxy_is_not_asked_for_what_runs_on_this_machine(tmp_path: Path, given: dict[str, str], wanted: str) -> None:
    environment = made({"http_proxy": "http://proxy.example:3128"} | given, tmp_path)
    assert environment["no_proxy"] == environment["NO_PROXY"] == wanted
    assert environment["http_proxy"] == "http://proxy.example:3128"


def test_databases_lie_in_the_run_directory_whatever_it_is_called(tmp_path: Path) -> None:
    from sqlalchemy.engine import make_url

    root = tmp_path / "50% of it?"
    environment = made({}, root)
    assert make_url(environment["RINGRIFT_LEDGER_URL"]).database == str(root / "ledger.db")
    assert make_url(environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]).database == str(root / "airflow" / "airflow.db")


def test_the_page_asks_for_a_password_only_when_that_is_wanted(tmp_path: Path) -> None:
    assert made({}, tmp_path)["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS"] == "True"
    environment = component_environment(
        base={}, project=PROJECT, directory=RunDirectory(tmp_path), addresses=ADDRESSES, launch_id="abc", login=True
    )
    assert environment["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS"] == "False"
    file = Path(environment["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"])
    password, is_new = page_password(file)
    assert is_new and len(password) >= 16
    assert page_password(file) == (password, False)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.write_text("{}")
    with pytest.raises(DataError, match="delete it to have a new one made"):
        page_password(file)


def test_what_a_person_has_set_for_the_loop_goes_before_the_projects_files(tmp_path: Path) -> None:
    assert made({}, tmp_path)["RINGRIFT_CONFIG"] == str(PROJECT.root / "config" / "unified_loop.yaml")
    assert made({"RINGRIFT_CONFIG": "/mine.yaml"}, tmp_path)["RINGRIFT_CONFIG"] == "/mine.yaml"


def test_everything_listens_on_this_machine_alone(tmp_path: Path) -> None:
    import configparser

    parser = configparser.ConfigParser(interpolation=None)
    parser.read(PROJECT.airflow_config)
    assert parser["api"]["host"] == "127.0.0.1"
    assert made({}, tmp_path)["AIRFLOW__API__BASE_URL"] == "http://127.0.0.1:8081"


def test_every_option_of_airflow_cfg_exists_and_differs_from_airflows_default() -> None:
    import configparser
    from importlib.util import find_spec

    import yaml

    airflow = find_spec("airflow")  # not imported: that takes seconds
    assert airflow is not None and airflow.origin is not None
    options = Path(airflow.origin).parent / "config_templates" / "config.yml"
    known = yaml.load(options.read_text(), Loader=yaml.CSafeLoader)
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(PROJECT.airflow_config)
    same = []
    for section in parser.sections():
        for option, value in parser[section].items():
            default = known[section]["options"][option]["default"]
            if str(default).lower() == value.lower():
                same.append(f"{section}.{option}")
    # Named because docker-compose.yaml overrides one and the memory of a small machine hangs on the other.
    assert same == ["core.executor", "api.workers"]
