from __future__ import annotations

from collections.abc import Callable

import pytest

from latent import LatentArena
from ringrift_loop.errors import GateError
from ringrift_loop.ledger import gates, matches, models, promotions
from ringrift_loop.loop import Loop
from ringrift_loop.promotion.champion import champion_gate
from ringrift_loop.tournament.blocks import paired_block
from ringrift_loop.tournament.participants import baseline_id
from ringrift_loop.tournament.store import LedgerShelf, keep_all

VARIANT = "square8_2p"
HEURISTIC = baseline_id("heuristic", VARIANT)
ANCESTOR, OLD, NEW = ("1" * 64, "2" * 64, "3" * 64)
QUICK = {"looks": (60, 120, 240), "min_games": 40}


def _name(digest: str) -> str:
    return f"{digest}|gumbel32"


def _arena(new: float, seed: int = 1) -> LatentArena:
    elos = {"random": 0.0, HEURISTIC: 200.0, _name(ANCESTOR): 260.0, _name(OLD): 300.0, _name(NEW): new}
    return LatentArena(elos, seed=seed, seats=(0.0, 60.0))


def _prepared(open_loop: Callable[..., Loop], arena: LatentArena, champions: tuple[str, ...] = (ANCESTOR, OLD)) -> Loop:
    loop = open_loop(promotion=QUICK)
    with loop.ledger.begin() as conn:
        for digest in (ANCESTOR, OLD, NEW):
            models.add(conn, digest, VARIANT, parent_digest=None, training_run=None, manifest={}, at=1.0)
        for digest in champions:
            promotions.promote(conn, VARIANT, digest, reason="", elo_gain=None, games=0, at=1.0)
    plans = [paired_block(VARIANT, "shadow", HEURISTIC, "random", 2, seed) for seed in range(20)]
    plans += [paired_block(VARIANT, "shadow", _name(OLD), HEURISTIC, 2, seed) for seed in range(20)]
    keep_all(LedgerShelf(loop.ledger), arena.play(plans))
    return loop


def test_a_much_stronger_candidate_passes_at_an_early_look(open_loop: Callable[..., Loop]) -> None:
    arena = _arena(600.0)
    loop = _prepared(open_loop, arena)
    report = champion_gate(loop, NEW, arena=arena)
    assert report.passed
    assert report.games < 240
    assert report.posterior is not None and report.posterior >= 0.975
    assert "an equal model passes" in report.error_rates
    assert {seen.opponent for seen in report.comparisons} >= {_name(OLD), "random", HEURISTIC}
    with loop.ledger.read() as conn:
        row = gates.latest(conn, model_digest=NEW, gate=gates.CHAMPION)
    assert row is not None and row.passed
    assert row.report["games"] == report.games


def test_a_weaker_candidate_is_rejected_with_its_reason(open_loop: Callable[..., Loop]) -> None:
    arena = _arena(150.0)
    loop = _prepared(open_loop, arena)
    report = champion_gate(loop, NEW, arena=arena)
    assert not report.passed
    assert "the probability must reach 0.975" in report.reasons[0]


def test_an_interrupted_gate_goes_on_where_it_was(open_loop: Callable[..., Loop]) -> None:
    arena = _arena(320.0)
    loop = _prepared(open_loop, arena)
    first = champion_gate(loop, NEW, arena=arena)
    with loop.ledger.read() as conn:
        played = matches.results(conn, VARIANT)
    again = champion_gate(loop, NEW, arena=_arena(-1000.0, seed=9))
    with loop.ledger.read() as conn:
        assert matches.results(conn, VARIANT) == played
    assert (again.passed, again.gain, again.games) == (first.passed, first.gain, first.games)


def test_a_verdict_that_is_found_again_is_recorded_once_and_outlives_the_promotion(
    open_loop: Callable[..., Loop],
) -> None:
    arena = _arena(600.0)
    loop = _prepared(open_loop, arena)
    first = champion_gate(loop, NEW, arena=arena)
    assert champion_gate(loop, NEW, arena=arena).passed
    with loop.ledger.begin() as conn:
        assert len(gates.of_variant(conn, VARIANT)) == 1
        promotions.promote(conn, VARIANT, NEW, reason="", elo_gain=None, games=0, at=2.0)
    assert champion_gate(loop, NEW, arena=arena) == first


def test_a_candidate_that_loses_to_an_ancestor_does_not_ratchet_down(open_loop: Callable[..., Loop]) -> None:
    arena = _arena(600.0)
    loop = _prepared(open_loop, arena)
    beaten = LatentArena({_name(NEW): 0.0, _name(ANCESTOR): 2000.0}, seed=3)
    plans = [paired_block(VARIANT, "shadow", _name(NEW), _name(ANCESTOR), 2, seed) for seed in range(150)]
    keep_all(LedgerShelf(loop.ledger), beaten.play(plans))
    report = champion_gate(loop, NEW, arena=arena)
    assert not report.passed
    assert any("significantly weaker than 1111" in reason for reason in report.reasons)


def test_without_a_champion_nothing_is_played_and_the_report_says_so(open_loop: Callable[..., Loop]) -> None:
    arena = _arena(600.0)
    report = champion_gate(_prepared(open_loop, arena, champions=()), NEW, arena=arena)
    assert (report.passed, report.games, report.champion_digest) == (True, 0, None)
    assert "regression gate decides alone" in report.reasons[0]


def test_a_champion_is_not_judged_against_itself(open_loop: Callable[..., Loop]) -> None:
    arena = _arena(600.0)
    with pytest.raises(GateError, match="against itself"):
        champion_gate(_prepared(open_loop, arena), OLD, arena=arena)
