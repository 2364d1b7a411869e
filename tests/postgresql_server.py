"""A PostgreSQL server of one's own: Debian's programs, a temporary folder, a socket there and no port."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def program(name: str) -> str | None:
    """Where one of PostgreSQL's programs lies; Debian keeps most of them off the PATH."""
    return shutil.which(name) or next(map(str, Path("/usr/lib/postgresql").glob(f"*/bin/{name}")), None)


def missing() -> str | None:
    """Why no server can be started here, or None."""
    if program("initdb") is None or program("pg_ctl") is None:
        return "PostgreSQL is not installed: apt-get install postgresql"
    return None


@contextmanager
def server(*, fsync: bool) -> Iterator[str]:
    """The URL of an empty database.

    Args:
        fsync: False where nothing has to outlive a power cut, and speed is not the question.
    """
    # PostgreSQL refuses to run as root, and a test's own folders are closed to everyone else.
    user = "nobody" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="ringrift-pg-") as folder:
        if user is not None:
            shutil.chown(folder, user)

        def run(name: str, *options: str) -> None:
            # To a file: the server keeps what it inherits open, and a pipe would never end.
            with tempfile.TemporaryFile() as out:
                command = [str(program(name)), *options]
                subprocess.run(command, user=user, cwd=folder, check=True, stdout=out, stderr=out, timeout=60)

        data = f"{folder}/data"
        run("initdb", "-D", data, "-U", "ringrift", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8")
        settings = f"-c listen_addresses='' -k {folder} -c fsync={'on' if fsync else 'off'}"
        run("pg_ctl", "-D", data, "-w", "-o", settings, "start")
        try:
            yield f"postgresql+psycopg2://ringrift@/postgres?host={folder}"
        finally:
            run("pg_ctl", "-D", data, "-m", "immediate", "stop")
