from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SAY = """
import os
from pathlib import Path
from ringrift_loop.priority import lower_priority
lower_priority(7)
group = Path("/proc/self/autogroup")
print(os.nice(0), group.read_text().split()[-1] if group.exists() else None)
"""


def test_a_session_leader_lowers_its_session_with_itself() -> None:
    run = subprocess.run(
        [sys.executable, "-c", SAY], start_new_session=True, capture_output=True, text=True, check=True
    )
    level, session = run.stdout.split()
    if session == "None":
        pytest.skip("this kernel has no autogroups")
    assert level == session


def test_a_member_of_another_session_leaves_the_session_alone() -> None:
    group = Path("/proc/self/autogroup")
    if not group.exists():
        pytest.skip("this kernel has no autogroups")
    before = group.read_text()
    run = subprocess.run([sys.executable, "-c", SAY], capture_output=True, text=True, check=True)
    assert int(run.stdout.split()[0]) >= 7
    assert group.read_text() == before
