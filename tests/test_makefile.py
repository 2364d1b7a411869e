"""What `make` takes along from the shell, and what it does not."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]


def made_by(**shell: str) -> dict[str, str]:
    """The environment of a command that make runs."""
    command = ["make", "--silent", "--eval", "shown: ; @env -0", "shown"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "PIP_"))}
    done = subprocess.run(command, cwd=PROJECT, env=kept | shell, capture_output=True, text=True, check=True)
    return dict(each.split("=", 1) for each in done.stdout.split("\0") if each)


@pytest.mark.parametrize("shell", [{"LC_ALL": "C"}, {"LC_ALL": "POSIX"}, {"LANG": "C"}, {"LC_CTYPE": "no_SUCH"}])
def test_a_locale_that_knows_no_umlauts_is_replaced(shell: dict[str, str]) -> None:
    assert made_by(**shell)["LC_ALL"] == "C.UTF-8"


def test_a_locale_that_knows_them_stays() -> None:
    assert "LC_ALL" not in made_by(LANG="C.UTF-8")


def test_pip_installs_into_the_environment_whatever_its_settings_say() -> None:
    assert made_by(PIP_USER="1")["PIP_USER"] == "0"


@pytest.mark.parametrize(("known", "expected"), [(True, "chromium-headless-shell"), (False, "chromium")])
def test_chromium_is_installed_where_its_shell_is_no_package(tmp_path: Path, known: bool, expected: str) -> None:
    commands = {
        "id": "echo 0",
        "dpkg-query": "exit 1",
        "apt-cache": f"exit {0 if known else 1}",
        "apt-get": f'[ "$1" = install ] && echo "$@" >> {tmp_path}/installed; exit 0',
    }
    for name, body in commands.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{body}\n")
        (tmp_path / name).chmod(0o755)
    needed = "DEBIAN_PACKAGES=jq chromium-headless-shell"
    done = subprocess.run(
        ["make", "--silent", "debian-packages", needed],
        cwd=PROJECT,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "SKIPPED" not in done.stdout
    assert (tmp_path / "installed").read_text().split()[-2:] == ["jq", expected]


def test_connections_of_the_shell_go_through() -> None:
    assert made_by(AIRFLOW_CONN_GPU_BOX="ssh://me@192.0.2.7")["AIRFLOW_CONN_GPU_BOX"] == "ssh://me@192.0.2.7"
