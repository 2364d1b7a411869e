from __future__ import annotations

import time
from pathlib import Path

import pytest

from ringrift_airflow.tasks.data_sync import sync_hosts
from ringrift_loop.ledger import state
from ringrift_loop.ledger.database import Ledger
from ringrift_loop.ledger.migrate import migrate


def test_each_sync_notes_that_the_loop_runs_whoever_started_airflow(
    run_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run_home.parent / "hosts.yaml").write_text("standard_hosts:\n  a: {transport: local, enabled: false}\n")
    monkeypatch.setenv("RINGRIFT_HOSTS", str(run_home.parent / "hosts.yaml"))
    migrate(f"sqlite:///{run_home / 'ledger.db'}")

    sync_hosts.function()

    with Ledger.open(f"sqlite:///{run_home / 'ledger.db'}").read() as conn:
        started, alive = (state.get_time(conn, key) for key in (state.STARTED_AT, state.ALIVE_AT))
    assert started is not None
    assert started == alive
    assert time.time() - started < 60
