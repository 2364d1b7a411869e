from __future__ import annotations

import ast
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from latent import LatentArena
from ledger_rows import rows
from ringrift_loop.config import config_hash
from ringrift_loop.curriculum.weights import rebalance
from ringrift_loop.ledger import events, games, gates, hosts, models, promotions, segments
from ringrift_loop.ledger.gates import GateRow
from ringrift_loop.loop import Loop
from ringrift_loop.promotion import regression
from ringrift_loop.promotion.champion import ChampionReport, champion_gate
from ringrift_loop.promotion.gate_tests import TEST_NAMES
from ringrift_loop.promotion.promote import promote, rollback
from ringrift_loop.promotion.report import TestResult
from ringrift_loop.training.claim import claim_for_run, settle

SOURCE = Path(__file__).parents[2] / "include" / "ringrift_loop"
DECISIONS = ("training", "gate", "promotion", "curriculum")
VARIANT = "square8_2p"
OLD, NEW = "1" * 64, "2" * 64


def _decide_everything(loop: Loop) -> None:
    at = loop.clock()
    with loop.ledger.begin() as conn:
        hosts.ensure(conn, ["a"])
        segments.add(conn, segments.SegmentRow("a", "s", "0" * 64, "e", 1, 1, 1, 0, 0, 100, at))
        game = games.GameRow(
            id="1", move_hash="1", variant=VARIANT, host="a", segment="s", position=0, plies=60, rows=40, winner=1,
            result="territory", player="heuristic-search", search={}, engine_version="1", played_at=at, ingested_at=at,
        )  # fmt: skip
        games.add(conn, [game])
        for digest in (OLD, NEW):
            models.add(conn, digest, VARIANT, parent_digest=None, training_run=None, manifest={}, at=at)
            gates.add(conn, VARIANT, digest, gates.REGRESSION, passed=True, report={"tests": []}, at=at)
    settle(loop, claim_for_run(loop, [VARIANT], key="run").run_id)
    champion_gate(loop, OLD, arena=LatentArena({}, seed=1))
    assert promote(loop, OLD).status == "promoted"
    with loop.ledger.begin() as conn:
        promotions.promote(conn, VARIANT, NEW, reason="", elo_gain=None, games=0, at=at)
    rollback(loop, VARIANT, "a test")
    rebalance(loop)


def test_every_decision_of_the_history_carries_the_hash_of_its_configuration(open_loop: Callable[..., Loop]) -> None:
    loop = open_loop()
    _decide_everything(loop)
    with loop.ledger.read() as conn:
        told = [event for event in events.latest(conn, limit=50) if event.kind in DECISIONS]
    assert {event.kind for event in told} == set(DECISIONS)
    assert len(told) == 6
    assert {(event.data or {}).get("config_hash") for event in told} == {config_hash(loop.config)}


def test_every_report_of_a_gate_carries_the_hash_of_its_configuration(open_loop: Callable[..., Loop]) -> None:
    loop = open_loop()
    with loop.ledger.begin() as conn:
        for digest in (OLD, NEW):
            models.add(conn, digest, VARIANT, parent_digest=None, training_run=None, manifest={}, at=loop.clock())
    regression.conclude(loop, OLD, VARIANT, [TestResult(name, True, 1.0, 0.0, "", "fine", 0.1) for name in TEST_NAMES])
    champion_gate(loop, OLD, arena=LatentArena({}, seed=1))
    with loop.ledger.begin() as conn:
        promotions.promote(conn, VARIANT, OLD, reason="", elo_gain=None, games=0, at=loop.clock())
    champion_gate(
        loop,
        NEW,
        arena=LatentArena({f"{OLD}|gumbel16,considered=4": 1000.0, f"{NEW}|gumbel16,considered=4": 0.0}, seed=1),
    )
    with loop.ledger.read() as conn:
        reports = rows(conn, GateRow, variant=VARIANT)
    assert [(row.gate, row.report["config_hash"]) for row in reports] == [
        (gate, config_hash(loop.config)) for gate in ("regression", "champion", "champion")
    ]


def test_a_gates_report_of_an_earlier_version_is_read(open_loop: Callable[..., Loop]) -> None:
    loop = open_loop()
    with loop.ledger.begin() as conn:
        models.add(conn, OLD, VARIANT, parent_digest=None, training_run=None, manifest={}, at=loop.clock())
    document = champion_gate(loop, OLD, arena=LatentArena({}, seed=1)).as_json()
    del document["config_hash"]
    assert ChampionReport.from_json(document).config_hash is None


@cache
def _recorded() -> list[tuple[str, str]]:
    trees = [(file.name, ast.parse(text)) for file in SOURCE.rglob("*.py") if "events.record" in (text := _read(file))]
    return [
        (name, ast.unparse(node.args[1]))
        for name, tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "events.record"
    ]


def _read(file: Path) -> str:
    return file.read_text(encoding="utf-8")


def test_decisions_are_looked_for_where_events_are_recorded() -> None:
    assert "'tournament'" in {written for _, written in _recorded()}


@pytest.mark.parametrize("kind", DECISIONS)
def test_no_decision_is_written_past_the_loop(kind: str) -> None:
    assert [file for file, written in _recorded() if written == repr(kind)] == []
