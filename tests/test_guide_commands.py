"""Every command of docs/8-guide-commands.md runs as it stands, beside a loop's ledger and the real bridge."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from new_ledger import new_ledger
from ringrift_loop.ledger import hosts, state
from ringrift_loop.ledger.database import Ledger
from ringrift_loop.metrics.bridge import Bridge, BridgeAddress
from ringrift_loop.metrics.emit import Metrics
from ringrift_loop.metrics.mapping import read_rules

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "8-guide-commands.md").read_text(encoding="utf-8")
COMMANDS = [
    line
    for block in re.findall(r"^```bash\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
    if line and not line.startswith("#")
]
TOOLS = ("bash", "curl", "jq", "grep")
pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, TOOLS)), reason=f"the page needs {', '.join(TOOLS)}: Debian packages of the same names"
)


@pytest.fixture(scope="module")
def beside_a_loop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """A project's folder with a run directory, a ledger with a failing host, a worker's log; the bridge's port."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "config").symlink_to(ROOT / "config")
    new_ledger(f"sqlite:///{folder / 'run' / 'ledger.db'}")
    ledger = Ledger.open(f"sqlite:///{folder / 'run' / 'ledger.db'}")
    with ledger.begin() as conn:
        state.note_alive(conn, at=1000.0, silence_s=300)
        hosts.ensure(conn, ["local_a", "local_b"])
        hosts.failed(conn, "local_b", "gone", at=1000.0, poll_s=30, max_backoff_s=600)
    log = folder / "run" / "hosts" / "local_a" / "logs" / "selfplay" / "0.log"
    log.parent.mkdir(parents=True)
    log.write_text("Reloading model abc\n")
    bridge = Bridge(BridgeAddress("127.0.0.1", 0, "127.0.0.1", 0), read_rules(None))
    metrics = Metrics("127.0.0.1", bridge.address.udp_port, strict=True)
    metrics.gauge("ringrift_uptime_seconds", 5)
    metrics.gauge("ringrift_games_pending_training", 7, config="square8_2p")
    while bridge.store.packets < 2:
        os.sched_yield()
    yield folder, bridge.address.http_port
    bridge.close()


def test_the_page_has_the_guides_commands() -> None:
    assert len(COMMANDS) >= 13
    guides = [
        "jq .training_in_progress",
        'jq ".hosts | to_entries[] | select(.value.consecutive_failures > 0)"',
        "grep -E 'ringrift_(uptime|hosts_active|games_synced)'",
    ]
    for command in guides:
        assert any(line.endswith(command) for line in COMMANDS), command


def test_every_command_of_the_page_runs_as_it_stands(beside_a_loop: tuple[Path, int]) -> None:
    folder, port = beside_a_loop
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RINGRIFT")}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    for command in COMMANDS:  # in the page's order: a later one reads what an earlier one wrote
        done = subprocess.run(
            ["bash", "-ec", f"set -o pipefail; {command.replace(':9102', f':{port}')}"],
            cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        assert done.stdout.strip() or "--output" in command, command
        assert "Traceback" not in done.stderr
