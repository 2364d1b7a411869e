from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from new_ledger import new_ledger
from ringrift_airflow.settings import open_loop
from ringrift_airflow.tasks.data_sync import sync_hosts
from ringrift_loop.cluster.sync.cycle import LEASE
from ringrift_loop.ledger import gates, leases, models, promotions, state
from ringrift_loop.ledger.database import Ledger
from ringrift_loop.promotion.promote import promote


@pytest.fixture
def ledger(run_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    (run_home.parent / "hosts.yaml").write_text("standard_hosts:\n  a: {transport: local, enabled: false}\n")
    monkeypatch.setenv("RINGRIFT_HOSTS", str(run_home.parent / "hosts.yaml"))
    new_ledger(f"sqlite:///{run_home / 'ledger.db'}")
    ledger = Ledger.open(f"sqlite:///{run_home / 'ledger.db'}")
    yield ledger
    ledger.close()


def test_each_sync_notes_that_the_loop_runs_whoever_started_airflow(ledger: Ledger) -> None:
    sync_hosts.function()

    with ledger.read() as conn:
        started, alive = (state.get_time(conn, key) for key in (state.STARTED_AT, state.ALIVE_AT))
    assert started is not None
    assert started == alive
    assert time.time() - started < 60


def test_a_sync_beside_another_one_has_nothing_to_do_and_has_not_failed(ledger: Ledger) -> None:
    with leases.hold(ledger, LEASE), pytest.raises(AirflowSkipException, match=f"lease held: {LEASE}"):
        sync_hosts.function()
    sync_hosts.function()


def test_a_candidate_that_was_deferred_becomes_champion_with_the_sync_after_its_time(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    variant, champion, candidate = "square8_2p", "1" * 64, "2" * 64
    report: dict[str, Any] = {"champion_digest": champion, "gain": 60.0, "games": 400, "reasons": ["judged"]}
    with ledger.begin() as conn:
        for digest in (champion, candidate):
            models.add(conn, digest, variant, parent_digest=None, training_run=None, manifest={}, at=1.0)
        promotions.promote(conn, variant, champion, reason="", elo_gain=None, games=0, at=time.time())
        gates.add(conn, variant, candidate, gates.REGRESSION, passed=True, report={"tests": []}, at=1.0)
        gates.add(conn, variant, candidate, gates.CHAMPION, passed=True, report=report, at=2.0)
    assert promote(open_loop(), candidate).status == "deferred"
    sync_hosts.function()
    with ledger.read() as conn:
        assert promotions.all_champions(conn)[variant].model_digest == champion
    monkeypatch.setenv("RINGRIFT__PROMOTION__COOLDOWN_SECONDS", "0")
    sync_hosts.function()
    with ledger.read() as conn:
        assert promotions.all_champions(conn)[variant].model_digest == candidate
