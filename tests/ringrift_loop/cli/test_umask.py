"""Whatever the shell's umask: what a command makes is for its owner alone."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

from ringrift_loop.launcher.components import loop_command


def test_files_have_mode_600_and_folders_700(tmp_path: Path) -> None:
    environment = {**os.environ, "RINGRIFT_HOME": str(tmp_path / "new" / "run")}
    subprocess.run(loop_command("ledger", "migrate"), env=environment, umask=0, check=True, capture_output=True)
    made = list((tmp_path / "new").rglob("*"))
    assert {path.name for path in made} >= {"run", "ledger.db"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in made if path.is_dir()} == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in made if path.is_file()} == {0o600}
