from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent
# Two tests in one run: the first breaks off with a connection open, the second collects whatever lies about.
_TWO = """
import asyncio, gc
from ringrift_loop.cluster.ssh.connection import SSHHost

def test_breaks_off(ssh_server, ssh_host):
    host = ssh_host("a", ssh_server("a"))
    async def run():
        remote = SSHHost(host)
        await remote.run("true", limit_s=20)
        raise AssertionError
    asyncio.run(run())

def test_is_the_next(ssh_thread):
    gc.collect()
"""


def test_a_failed_test_does_not_make_the_next_one_fail(tmp_path: Path) -> None:
    (tmp_path / "test_two.py").write_text(_TWO)
    options = ["-p", "ssh_fixtures", "-p", "no:cacheprovider", "-k", "not openssh", "-W", "error::ResourceWarning"]
    options += ["-W", "error::pytest.PytestUnraisableExceptionWarning"]
    command = [sys.executable, "-m", "pytest", "-q", *options, "test_two.py"]
    environment = os.environ | {"PYTHONPATH": str(TESTS)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert "1 failed, 1 passed" in done.stdout, done.stdout
    assert "test_breaks_off[embedded] - AssertionError" in done.stdout
