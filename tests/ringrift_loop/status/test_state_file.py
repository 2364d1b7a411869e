"""The guide's state file from a ledger, read back with the guide's own `jq` commands."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from new_ledger import new_ledger
from ringrift_loop.cli.entry import main
from ringrift_loop.ledger import curriculum, events, games, hosts, segments, state
from ringrift_loop.ledger import training as runs
from ringrift_loop.ledger.database import Ledger

ROOT = Path(__file__).resolve().parents[3]
NOW = 1_700_000_000.0
needs_jq = pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")


@pytest.fixture
def ledger(run_home: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """Two hosts, one of them failing, three games of which a running training took two."""
    monkeypatch.chdir(ROOT)
    new_ledger(f"sqlite:///{run_home / 'ledger.db'}")
    ledger = Ledger.open(f"sqlite:///{run_home / 'ledger.db'}")
    with ledger.begin() as conn:
        state.note_alive(conn, at=NOW, silence_s=300)
        state.count_cycle(conn, at=NOW + 5)
        hosts.ensure(conn, ["local_a", "local_b"])
        hosts.succeeded(conn, "local_a", at=NOW)
        for _ in range(2):
            hosts.failed(conn, "local_b", "gone\x1b[2J", at=NOW, poll_s=30, max_backoff_s=600)
        segments.add(conn, segments.SegmentRow("local_a", "s", "0" * 64, "e", 1, 3, 3, 0, 0, 100, NOW))
        games.add(conn, [_game(number) for number in range(2)])
        runs.claim(conn, "run-1", "square8_2p", at=NOW + 7)
        games.add(conn, [_game(2)])
        curriculum.replace(conn, {"square8_2p": 0.9, "hex8_2p": 1.1}, at=NOW)
        events.record(conn, "task_failed", "ringrift_training.train failed: no room", at=NOW)
    return ledger


def _game(number: int) -> games.GameRow:
    return games.GameRow(
        f"{number}", f"{number}", "square8_2p", "local_a", "s", number, 40, 20, 1, "t", "p", {}, "1", NOW, NOW
    )  # fmt: skip


def _jq(file: Path, *arguments: str) -> str:
    with file.open("rb") as stdin:
        return subprocess.run(["jq", *arguments], stdin=stdin, capture_output=True, text=True, check=True).stdout


@needs_jq
def test_the_guides_jq_commands_work_on_the_exported_file(ledger: Ledger, tmp_path: Path) -> None:
    file = tmp_path / "logs" / "unified_loop" / "unified_loop_state.json"
    assert main(["export-state", "--output", str(file)]) == 0
    assert _jq(file, ".training_in_progress") == "true\n"
    failing = json.loads(_jq(file, ".hosts | to_entries[] | select(.value.consecutive_failures > 0)"))
    assert (failing["key"], failing["value"]["consecutive_failures"]) == ("local_b", 2)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_export_says_what_the_ledger_holds(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export-state"]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert document["started_at"] == "2023-11-14T22:13:20+00:00"
    assert document["last_cycle_at"] == "2023-11-14T22:13:25+00:00"
    assert (document["total_data_syncs"], document["total_training_runs"]) == (1, 0)
    assert (document["training_config"], document["training_started_at"]) == ("square8_2p", NOW + 7)
    assert document["hosts"]["local_a"]["last_game_count"] == 3
    assert document["hosts"]["local_a"]["last_sync_time"] == NOW
    assert document["hosts"]["local_b"]["last_error"] == "gone?[2J"
    assert document["configs"]["square8_2p"]["game_count"] == 3
    assert document["configs"]["square8_2p"]["games_since_training"] == 1
    assert document["total_games_pending"] == 1
    assert document["curriculum_weights"] == {"square8_2p": 0.9, "hex8_2p": 1.1}
    assert document["last_error"] == "ringrift_training.train failed: no room"


def test_an_export_that_cannot_be_written_leaves_nothing_behind(ledger: Ledger, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    assert main(["export-state", "--output", str(taken)]) == 1
    assert taken.is_dir()
    assert not list(tmp_path.glob(".*.tmp"))
