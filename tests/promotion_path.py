"""The whole way of a candidate to its promotion, with games whose truth is known: how often do the rules err?

Regression gate, champion gate and promotion are the loop's own, on a ledger of their own; only the games are drawn
(`latent.py`). The four tests of the regression gate that look at a real model or at moves count as passed.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from latent import LatentArena
from new_ledger import new_ledger
from ringrift_loop.config import LoopConfig
from ringrift_loop.hosts.inventory import parse_inventory
from ringrift_loop.layout import RunDirectory
from ringrift_loop.ledger import models, promotions
from ringrift_loop.ledger.database import Ledger
from ringrift_loop.loop import Loop
from ringrift_loop.metrics.emit import Metrics
from ringrift_loop.promotion.champion import champion_gate
from ringrift_loop.promotion.games import GateGames
from ringrift_loop.promotion.gate_tests import GATE_TESTS
from ringrift_loop.promotion.promote import promote
from ringrift_loop.promotion.regression import conclude
from ringrift_loop.promotion.report import TestResult
from ringrift_loop.promotion.subject import Subject
from ringrift_loop.tournament.participants import baseline_id, evaluation_search, model_participant

NOW = 1_800_000_000.0
ANCESTOR, CHAMPION, CANDIDATE = ("1" * 64, "2" * 64, "3" * 64)
CHAMPION_ELO = 600.0
SEATS = (0.0, 60.0, 30.0, 0.0)  # what the seats are worth, Elo: the second wins 59 % between equals
_HOSTS = "standard_hosts:\n  here:\n    transport: local\n    role: selfplay\n    max_workers: 1\n"


@dataclass(frozen=True)
class Walk:
    """What became of one candidate."""

    status: str
    regression_games: int
    champion_games: int


@contextmanager
def template() -> Iterator[Path]:
    """A folder with a migrated ledger to copy."""
    with tempfile.TemporaryDirectory() as folder:
        new_ledger(f"sqlite:///{folder}/ledger.db")
        yield Path(folder)


def walk(prepared: Path, variant: str, gain: float, seed: int, config: LoopConfig | None = None) -> Walk:
    """Lead a candidate that is `gain` Elo stronger than the champion through its gates, on a new ledger.

    A gain of 0 is the champion under another name: the same weights would have the same strength.
    """
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(prepared / "ledger.db", folder)
        loop = Loop(
            config=config or LoopConfig(),
            inventory=parse_inventory(_HOSTS, "hosts.yaml"),
            directory=RunDirectory(Path(folder)),
            ledger=Ledger.open(f"sqlite:///{folder}/ledger.db"),
            metrics=Metrics("127.0.0.1", 9),
            clock=lambda: NOW,
        )
        try:
            return _walk(loop, variant, gain, seed)
        finally:
            loop.ledger.close()


def _walk(loop: Loop, variant: str, gain: float, seed: int) -> Walk:
    search = evaluation_search(loop.config)
    name = {digest: model_participant(digest, variant, search).id for digest in (ANCESTOR, CHAMPION, CANDIDATE)}
    elos = {"random": 0.0, "mcts-64@2": 50.0, baseline_id("heuristic", variant): 200.0}
    elos |= {name[ANCESTOR]: CHAMPION_ELO - 40.0, name[CHAMPION]: CHAMPION_ELO, name[CANDIDATE]: CHAMPION_ELO + gain}
    arena = LatentArena(elos, seed=seed, seats=SEATS)
    with loop.ledger.begin() as conn:
        for number, digest in enumerate(name):
            models.add(conn, digest, variant, parent_digest=None, training_run=None, manifest={}, at=float(number))
        for digest in (ANCESTOR, CHAMPION):
            promotions.promote(conn, variant, digest, reason="", elo_gain=None, games=0, at=NOW - 1e6)
    games = GateGames(loop, Subject(variant, CANDIDATE, Path("none"), search, registered=True), arena)
    results, played = [], 0
    for test in GATE_TESTS:
        if test.name.startswith("beats_"):
            rows = [row for baseline in test.games for row in games.against(baseline, lambda: NOW + 60.0)]
            played += len(rows)
            subject = Subject(variant, CANDIDATE, Path("none"), search, registered=True)
            results.append(replace(test.judge(subject, rows, loop.config.regression), name=test.name))
        else:
            results.append(TestResult(test.name, True, 1.0, None, "", "not simulated", 0.0))
    report = conclude(loop, CANDIDATE, variant, results, candidate=True)
    if not report.passed:
        return Walk("rejected", played, 0)
    contest = champion_gate(loop, CANDIDATE, arena=arena)
    status = promote(loop, CANDIDATE).status
    assert (status == "promoted") == contest.passed
    with loop.ledger.read() as conn:
        champion = promotions.champion(conn, variant)
        assert champion is not None
        assert (champion.model_digest == CANDIDATE) == (status == "promoted")
    return Walk(status, played, contest.games)
