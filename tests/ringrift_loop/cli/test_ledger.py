"""`ringrift-loop ledger`, `sync` and `workers` on a run directory of their own."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from ringrift_loop.cli import main
from ringrift_loop.layout import RunDirectory
from ringrift_loop.ledger import hosts, segments, state
from ringrift_loop.ledger.database import Ledger
from ringrift_loop.ledger.segments import SegmentRow

HOSTS = "standard_hosts:\n  a: {transport: local, role: selfplay, max_workers: 0}\n"


@pytest.fixture
def home(run_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run directory whose only host has no worker slot."""
    (tmp_path / "hosts.yaml").write_text(HOSTS)
    monkeypatch.setenv("RINGRIFT_HOSTS", str(tmp_path / "hosts.yaml"))
    return run_home


def test_nothing_works_on_a_ledger_that_was_not_migrated(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ledger", "verify"]) == 1
    assert "run `ringrift-loop ledger migrate`" in capsys.readouterr().err
    assert main(["ledger", "migrate"]) == 0
    assert main(["ledger", "verify"]) == 0


def test_a_finding_is_a_line_and_exit_status_1(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["ledger", "migrate"])
    with Ledger.open(RunDirectory(home).ledger_url).begin() as conn:
        hosts.ensure(conn, ["a"])
        name = f"{'0' * 16}-00000002-1-{'0' * 16}.jsonl.zst"
        segments.add(conn, SegmentRow("a", name, "0" * 64, "0" * 16, 2, 1, 1, 0, 0, 10, 1.0))
    capsys.readouterr()
    assert main(["ledger", "verify", "--hosts"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["counts", "gap", "file"]
    assert main(["ledger", "verify", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["ok"], len(report["findings"])) == (False, 3)


def test_what_an_audit_found_is_kept_for_the_metrics(home: Path) -> None:
    main(["ledger", "migrate"])
    ledger = Ledger.open(RunDirectory(home).ledger_url)
    with ledger.read() as conn:
        assert state.verification(conn) is None
    began = time.time()
    main(["ledger", "verify"])
    with ledger.begin() as conn:
        verified = state.verification(conn)
        hosts.ensure(conn, ["a"])
        name = f"{'0' * 16}-00000001-1-{'0' * 16}.jsonl.zst"
        segments.add(conn, SegmentRow("a", name, "0" * 64, "0" * 16, 1, 1, 1, 0, 0, 10, 1.0))
    assert verified is not None
    assert began <= verified[0] <= time.time() and verified[1] == 0
    main(["ledger", "verify"])
    with ledger.read() as conn:
        verified = state.verification(conn)
    assert verified is not None and verified[1] == 2  # the counts, the file


def test_sync_and_workers_report_as_json(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["ledger", "migrate"])
    capsys.readouterr()
    assert main(["sync"]) == 0
    assert json.loads(capsys.readouterr().out)["hosts_asked"] == 1
    assert main(["workers", "halt"]) == 0
    capsys.readouterr()
    assert main(["workers", "reconcile"]) == 0
    assert json.loads(capsys.readouterr().out)["halted"] is True
    assert main(["workers", "resume"]) == 0
    capsys.readouterr()
    assert main(["workers", "stop"]) == 0
    assert json.loads(capsys.readouterr().out) == {"killed": []}
    assert main(["ledger", "events", "--kind", "halt"]) == 0
    said = [json.loads(line)["message"] for line in capsys.readouterr().out.splitlines()]
    assert said == ["halted by a person", "the halt was lifted by a person"]


def test_a_migrated_ledger_belongs_to_its_run_directory_and_a_second_loop_is_refused(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = RunDirectory(home).ledger_url
    assert [main(["ledger", "migrate"]) for _ in range(2)] == [0, 0]
    monkeypatch.setenv("RINGRIFT_HOME", str(tmp_path / "other"))
    monkeypatch.setenv("RINGRIFT_LEDGER_URL", url)
    assert main(["ledger", "migrate"]) == 2
    assert f"the ledger belongs to the run directory {home}" in capsys.readouterr().err


def test_a_ledger_that_is_named_is_migrated_for_whoever_has_it(home: Path, tmp_path: Path) -> None:
    assert main(["ledger", "migrate", "--url", f"sqlite:///{tmp_path / 'theirs.db'}"]) == 0
    assert not RunDirectory(home).identity.exists()
