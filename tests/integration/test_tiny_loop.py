"""The whole loop once round, without Airflow: a worker's games become a champion that the worker then plays with."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from ledger_rows import rows
from new_ledger import new_ledger
from ringrift_loop.cluster.sync.cycle import sync_once
from ringrift_loop.cluster.sync.distribute import distribute, reload_status
from ringrift_loop.cluster.transport.opening import local_directory
from ringrift_loop.config import LoopConfig, Selfplay
from ringrift_loop.hosts.inventory import parse_inventory
from ringrift_loop.layout import HostDirectory, RunDirectory
from ringrift_loop.ledger import games, promotions, ratings, workers
from ringrift_loop.ledger.database import Ledger
from ringrift_loop.ledger.gates import GateRow
from ringrift_loop.loop import Loop
from ringrift_loop.metrics.emit import Metrics
from ringrift_loop.promotion.champion import champion_gate
from ringrift_loop.promotion.gate_tests import TEST_NAMES
from ringrift_loop.promotion.precondition import NAME as HOLDOUT
from ringrift_loop.promotion.promote import promote
from ringrift_loop.promotion.regression import run_gate
from ringrift_loop.selfplay.worker import Worker, WorkerOptions
from ringrift_loop.status.verify import verify
from ringrift_loop.training.claim import claim_due, settle
from ringrift_loop.training.due import request, survey
from ringrift_loop.training.train import train

pytestmark = pytest.mark.timeout(600)
VARIANT = "square8_2p"
GAMES = 24

# A network that has learnt next to nothing may lose every game of the gate: do the stages fit together?
_NO_FLOOR = {2: 0.0, 3: 0.0, 4: 0.0}
TINY: dict[str, dict[str, Any]] = {
    "selfplay": {
        "simulations_full": 4,
        "simulations_fast": 2,
        "bootstrap_simulations": 8,
        "games_in_parallel": 8,
        "segment_seconds": 1,
    },
    "training": {
        "trigger_threshold_games": 20,
        "min_interval_seconds": 0,
        "window_rows_min": 200,
        "samples_per_row": 1.0,
        "batch_size": 64,
        "warmup_steps": 5,
        "validation_fraction": 0.3,
        "blocks": 1,
        "channels": 8,
        "threads": 1,
    },
    "evaluation": {"simulations": 2},
    "promotion": {"looks": (4, 8), "min_games": 4, "cooldown_seconds": 0},
    "regression": {
        "hard_block": False,
        "games": 4,
        "max_inference_ms": 10_000.0,
        "min_win_rate_random": _NO_FLOOR,
        "min_win_rate_heuristic": _NO_FLOOR,
    },
}


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    """A loop with one local host."""
    config = replace(LoopConfig(), variants=(VARIANT,))
    for name, changes in TINY.items():
        config = replace(config, **{name: replace(getattr(config, name), **changes)})
    inventory = parse_inventory("standard_hosts:\n  a: {transport: local, role: selfplay, max_workers: 1}\n", "hosts")
    directory = RunDirectory(tmp_path / "run")
    url = f"sqlite:///{directory.root / 'ledger.db'}"
    new_ledger(url)
    ledger = Ledger.open(url)
    yield Loop(config, inventory, directory, ledger, Metrics("127.0.0.1", 9, strict=True))
    ledger.close()


@dataclass
class _Hurried:
    """A clock that runs half a second ahead with each reading, and at one of them has something done."""

    at_reading: int = -1
    action: Callable[[], object] = time.time
    readings: int = 0

    def __call__(self) -> float:
        self.readings += 1
        if self.readings == self.at_reading:
            self.action()
        return time.time() + 0.5 * self.readings


def _play(loop: Loop, host: HostDirectory, seed: str, clock: Callable[[], float]) -> None:
    settings: Selfplay = loop.config.selfplay
    Worker(WorkerOptions(host, VARIANT, 0, games=GAMES, host="a", run=seed), settings, clock=clock).run()


def _candidate(loop: Loop, key: str) -> str:
    """What the training DAG does: due, asked for, claimed, trained, settled; every step twice, as after a retry."""
    (wait,) = survey(loop)
    assert wait.is_due, wait.describe()
    request(loop, VARIANT, asker=key)
    claim, again = (claim_due(loop, [VARIANT], key=key) for _ in range(2))
    assert claim is not None
    assert claim == again
    report = train(loop, claim.run_id)
    assert train(loop, claim.run_id) == report
    for _ in range(2):
        assert settle(loop, claim.run_id)["state"] == "succeeded"
    return report.model_digest


def test_games_become_a_champion_that_the_worker_changes_over_to(loop: Loop, caplog: pytest.LogCaptureFixture) -> None:
    host = local_directory(loop.inventory.hosts["a"], loop.directory)
    _play(loop, host, "first", _Hurried())
    assert [sync_once(loop).games_new for _ in range(2)] == [GAMES, 0]

    first = _candidate(loop, "run 1")
    report = run_gate(loop, first, VARIANT)
    assert {test.name for test in report.tests if not test.passed} <= {"beats_random", "beats_heuristic"}, report.reason
    assert tuple(test.name for test in report.tests) == (*TEST_NAMES, HOLDOUT)
    assert champion_gate(loop, first).passed
    assert [promote(loop, first).status for _ in range(2)] == ["promoted", "kept"]

    with loop.ledger.begin() as conn:
        workers.assign(conn, "a", 0, at=loop.clock())
    with caplog.at_level(logging.INFO):
        _play(loop, host, "second", _Hurried(at_reading=10, action=lambda: distribute(loop, first)))
    assert f"Reloading model {first}" in caplog.messages
    assert sync_once(loop).games_new == GAMES
    assert reload_status(loop, first).loaded == ("a/0",)

    second = _candidate(loop, "run 2")
    run_gate(loop, second, VARIANT)
    verdict = champion_gate(loop, second)
    assert verdict.champion_digest == first
    assert verdict.games in (4, 8)
    status = promote(loop, second).status
    assert status == ("promoted" if verdict.passed else "rejected")

    with loop.ledger.read() as conn:
        champion = promotions.champion(conn, VARIANT)
        assert champion is not None
        assert champion.model_digest == (second if verdict.passed else first)
        assert games.pending(conn, VARIANT) == 0
        assert len(rows(conn, GateRow, variant=VARIANT)) == 4
        assert {row.participant.split("|")[0] for row in ratings.table(conn, VARIANT)} >= {first, second}
    assert verify(loop, files=True) == []
