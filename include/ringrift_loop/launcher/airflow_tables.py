"""Old runs and tasks out of Airflow's own database, with Airflow's own `airflow db clean`, as a child process."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from datetime import UTC, datetime

from ringrift_loop.errors import RemoteJobFailed
from ringrift_loop.launcher.environment import read_shell_file, shell_file
from ringrift_loop.layout import RunDirectory
from ringrift_loop.text import clean_lines

_LIMIT_S = 1800.0
_SHOWN = 4000


def clean_airflow(directory: RunDirectory, *, before: float, apply: bool) -> str:
    """Delete rows of Airflow's tables from before a time, or say what would go; what Airflow said is returned.

    Only the Airflow that `ringrift-loop up` started in this run directory: its settings lie there. The last run of each
    DAG stays, as Airflow's command has it.

    Raises:
        RemoteJobFailed: Airflow's command failed or took too long.
    """
    given = read_shell_file(shell_file(directory))
    if not given or importlib.util.find_spec("airflow") is None:
        return f"Airflow's tables: not looked at, no Airflow was started in {directory.root}"
    at = datetime.fromtimestamp(before, UTC).isoformat(timespec="seconds")
    command = [
        sys.executable,
        "-m",
        "airflow",
        "db",
        "clean",
        "--clean-before-timestamp",
        at,
        "--yes",
        "--skip-archive",
    ]
    if not apply:
        command.append("--dry-run")
    try:
        done = subprocess.run(
            command, env={**os.environ, **given}, capture_output=True, text=True, timeout=_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise RemoteJobFailed(f"airflow db clean did not end within {_LIMIT_S:g} s") from None
    said = clean_lines(done.stdout.strip(), _SHOWN)
    if done.returncode != 0:
        raise RemoteJobFailed(f"airflow db clean ended with {done.returncode}: {clean_lines(done.stderr, _SHOWN)}")
    return f"Airflow's tables, rows from before {at}{'' if apply else ' (a dry run)'}:\n{said}"
