"""`ringrift-loop jobs` on a run directory of its own."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from ringrift_loop.cli import main
from ringrift_loop.cluster.agent.host_jobs import job_status
from ringrift_loop.cluster.jobs.lifecycle import begin
from ringrift_loop.cluster.jobs.placement import JobRequest
from ringrift_loop.layout import HostDirectory
from ringrift_loop.loop import Loop

HOSTS = "standard_hosts:\n  a: {transport: local, role: training}\n"


def test_a_person_lists_and_cancels_jobs(
    run_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "hosts.yaml").write_text(HOSTS)
    monkeypatch.setenv("RINGRIFT_HOSTS", str(tmp_path / "hosts.yaml"))
    main(["ledger", "migrate"])
    asyncio.run(begin(Loop.open(), JobRequest("ab12", ("sleep", "600"), "training", 60.0)))
    capsys.readouterr()

    assert main(["jobs", "list"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert (row["id"], row["host"], row["state"], row["attempt"]) == ("ab12", "a", "running", 1)
    assert main(["jobs", "cancel", "ab12"]) == 0
    assert main(["jobs", "cancel", "ab12"]) == 0
    answers = capsys.readouterr().out.splitlines()
    assert [json.loads(line) for line in answers] == [{"was_active": True}, {"was_active": False}]
    assert job_status(HostDirectory(run_home / "hosts" / "a"), "ab12").state == "cancelled"
    assert main(["jobs", "cancel", "cd34"]) == 2
    assert "the ledger knows no job 'cd34'" in capsys.readouterr().err
