from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from ringrift_loop.errors import ConfigError, DataError
from ringrift_loop.launcher.environment import (
    Addresses,
    Project,
    airflow_secrets,
    component_environment,
    read_shell_file,
    write_shell_file,
)
from ringrift_loop.layout import RunDirectory

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


def test_a_folder_outside_the_project_falls_back_to_the_checkout(tmp_path: Path) -> None:
    assert Project.find(tmp_path) == PROJECT


def test_a_missing_project_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ringrift_loop.launcher.environment as module

    monkeypatch.setattr(module, "__file__", str(tmp_path / "a" / "b" / "c" / "environment.py"))
    with pytest.raises(ConfigError, match="start it in the project's folder"):
        Project.find(tmp_path)
