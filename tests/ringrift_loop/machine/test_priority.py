from __future__ import annotations

import os
import subprocess
import sys

import pytest

# Prints the process's own nice level, then what the kernel says of its session's weight: nothing in a
# kernel without autogroups, and nothing in the session the machine started with, which has no group.
SAY = """
import os
from pathlib import Path
from ringrift_loop.machine.priority import lower_priority
lower_priority(7)
group = Path("/proc/self/autogroup")
print(os.nice(0), (group.read_text() if group.exists() else "").split()[-1:])
"""

# Leads a session of its own, runs SAY as a member of it, and prints what its session weighs afterwards.
LEAD = f"""
import subprocess, sys
from pathlib import Path
subprocess.run([sys.executable, "-c", {SAY!r}], check=True)
group = Path("/proc/self/autogroup")
print((group.read_text() if group.exists() else "").split()[-1:])
"""

# Four sessions at once of a user who is not root, started by root; prints what each of them weighs.
TOGETHER = """
import ctypes, os
from pathlib import Path
from ringrift_loop.machine.priority import lower_priority
children = []
for _ in range(4):
    if (child := os.fork()) == 0:
        os.setsid()
        os.setgid(65534)
        os.setuid(65534)
        ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE: /proc/self is its own again
        lowered = lower_priority(7)
        group = Path("/proc/self/autogroup")
        weight = (group.read_text() if group.exists() else "").split()[-1:]
        os.write(1, bytes(f"{lowered} {weight}" + chr(10), "ascii"))  # a whole line at once
        os._exit(0)
    children.append(child)
for child in children:
    os.waitpid(child, 0)
"""


def _run_as_leader(program: str) -> list[str]:
    run = subprocess.run(
        [sys.executable, "-c", program], start_new_session=True, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


def test_a_session_leader_lowers_its_session_with_itself() -> None:
    level, weight = _run_as_leader(SAY)[0].split(maxsplit=1)
    if weight == "[]":
        pytest.skip("this kernel has no autogroups")
    assert weight == f"['{level}']"


def test_a_member_of_another_session_leaves_the_session_alone() -> None:
    member, weight_after = _run_as_leader(LEAD)
    assert int(member.split()[0]) >= 7
    if weight_after == "[]":
        pytest.skip("this kernel has no autogroups")
    assert weight_after == "['0']"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be another user")
def test_users_whose_workers_start_at_the_same_time_all_get_their_weight() -> None:
    sessions = _run_as_leader(TOGETHER)
    if sessions[0].endswith("[]"):
        pytest.skip("this kernel has no autogroups")
    # Niceness adds up: the tests may run at a lower priority themselves.
    assert sessions == [f"True ['{min(19, os.nice(0) + 7)}']"] * 4
