"""`/health` of the bridge as `ringrift-loop statsd-bridge` serves it: the loop of the environment, without details."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from new_ledger import new_ledger
from ringrift_loop.cli.metrics import _loop_health, _read_health
from ringrift_loop.ledger import curriculum, hosts, state
from ringrift_loop.ledger.database import Ledger

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def ledger(run_home: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    monkeypatch.chdir(ROOT)
    new_ledger(f"sqlite:///{run_home / 'ledger.db'}")
    return Ledger.open(f"sqlite:///{run_home / 'ledger.db'}")


def test_a_running_loop_is_200_and_one_that_stopped_503(ledger: Ledger) -> None:
    now = time.time()
    with ledger.begin() as conn:
        state.note_alive(conn, at=now, silence_s=300)
        state.count_cycle(conn, at=now)
        curriculum.replace(conn, {"square8_2p": 1.0}, at=now)
        hosts.ensure(conn, ["secret-host"])
        hosts.failed(conn, "secret-host", "secret reason", at=now, poll_s=30, max_backoff_s=600)
    status, told = _read_health()
    assert (status, told["status"], told["running"]) == (200, "healthy", True)
    assert "secret" not in str(told)
    with ledger.begin() as conn:
        state.put(conn, state.STARTED_AT, 900.0, at=now)
        state.put(conn, state.ALIVE_AT, 1000.0, at=now)
    status, told = _read_health()
    assert (status, told["status"], told["running"]) == (503, "unhealthy", False)


def test_who_asks_often_gets_the_same_answer(ledger: Ledger) -> None:
    ask = _loop_health()
    assert ask() is ask()
