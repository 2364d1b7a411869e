"""The checks of Airflow, asked in a child process: this library never imports it.

`python -m ringrift_airflow.self_check` answers with one JSON document. Its environment is the one that the launcher
wrote down, so that the loop's own Airflow is asked and no other.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

from ringrift_loop.doctor.findings import FAILED, HERE, OK, Finding
from ringrift_loop.doctor.loop_state import check_next_runs
from ringrift_loop.doctor.machine import skipped
from ringrift_loop.errors import ConfigError, RemoteJobFailed
from ringrift_loop.hosts.inventory import Inventory
from ringrift_loop.launcher.environment import read_shell_file, shell_file
from ringrift_loop.layout import RunDirectory
from ringrift_loop.project import Project
from ringrift_loop.text import one_line

CHECKS = ("dags", "pools", "connections", "next-runs")
_LIMIT_S = 120.0


def check_airflow(directory: RunDirectory, inventory: Inventory | None) -> Iterator[Finding]:
    """DAG files, pools and connections; skipped with the reason where there is no Airflow of this loop."""
    if importlib.util.find_spec("airflow") is None:
        yield from skipped(CHECKS, "Airflow is not installed here: a host that only plays does not need it")
        return
    environment = _environment(directory)
    if environment is None:
        yield from skipped(CHECKS, f"no Airflow was started in {directory.root} yet: make run")
        return
    project = Project.find(Path.cwd())
    names = sorted({host.connection for host in inventory.enabled if host.connection} if inventory else ())
    answer = _ask(environment, [str(project.dags), *names])
    command = f"source {shlex.quote(str(shell_file(directory)))}; airflow"
    yield _dags(answer, command)
    yield _pools(answer, project.pools, command)
    yield _connections(answer, names, command)
    yield check_next_runs(cast("dict[str, float]", answer["late"]))


def _environment(directory: RunDirectory) -> dict[str, str] | None:
    """This process's environment with Airflow's variables; None when nobody has made any."""
    given = read_shell_file(shell_file(directory))
    if given:
        return {**os.environ, **given}
    return dict(os.environ) if "AIRFLOW_HOME" in os.environ else None


def _ask(environment: Mapping[str, str], arguments: list[str]) -> dict[str, object]:
    command = [sys.executable, "-m", "ringrift_airflow.self_check", *arguments]
    try:
        done = subprocess.run(
            command, env=dict(environment), capture_output=True, text=True, timeout=_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise RemoteJobFailed(f"Airflow did not answer within {_LIMIT_S:.0f} s") from error
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines:
        said = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise RemoteJobFailed(f"Airflow's own look ended with status {done.returncode}: {said[0][:300]}")
    try:
        return cast("dict[str, object]", json.loads(lines[-1]))
    except ValueError as error:
        raise RemoteJobFailed(f"Airflow's own look answered no JSON: {lines[-1][:200]!r}") from error


def _dags(answer: Mapping[str, object], command: str) -> Finding:
    errors = cast("dict[str, str]", answer["import_errors"])
    right = "no import error"
    if not errors:
        return Finding("dags", HERE, OK, f"{answer['dags']} DAGs load", right)
    met = one_line("\n".join(f"{Path(file).name}: {error}" for file, error in errors.items()))
    return Finding("dags", HERE, FAILED, met, right, f"correct the file; {command} dags list-import-errors")


def _pools(answer: Mapping[str, object], file: Path, command: str) -> Finding:
    try:
        wanted = set(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file} cannot be read: {error}") from error
    missing = sorted(wanted - set(cast("list[str]", answer["pools"])))
    right = f"{', '.join(sorted(wanted))}"
    if not missing:
        return Finding("pools", HERE, OK, f"all {len(wanted)}", right)
    return Finding(
        "pools",
        HERE,
        FAILED,
        f"missing: {', '.join(missing)}",
        right,
        f"{command} pools import {shlex.quote(str(file))}",
    )


def _connections(answer: Mapping[str, object], names: list[str], command: str) -> Finding:
    broken = cast("dict[str, str]", answer["connections"])
    right = "all are there"
    if not broken:
        return Finding("connections", HERE, OK, ", ".join(names) or "the inventory names none", right)
    met = one_line("\n".join(f"{name}: {error}" for name, error in broken.items()))
    remedy = f"{command} connections add NAME --conn-type ssh --conn-host HOST --conn-login USER"
    return Finding("connections", HERE, FAILED, met, right, remedy)
