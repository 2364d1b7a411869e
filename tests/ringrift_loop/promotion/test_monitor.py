"""A champion that is made worse on purpose is rolled back by its shadow games, and an equal one is not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from latent import LatentArena
from ringrift_loop.ledger import events, gates, models, promotions, state
from ringrift_loop.loop import Loop
from ringrift_loop.promotion.monitor import WatchReport, watch_champion
from ringrift_loop.promotion.promote import promote, rollback
from ringrift_loop.tournament.blocks import paired_block
from ringrift_loop.tournament.participants import baseline_id
from ringrift_loop.tournament.shadow import run_shadow
from ringrift_loop.tournament.store import LedgerShelf, keep_all
from ringrift_loop.tournament.watch import RULE

VARIANT = "square8_2p"
FIRST, OLD, NEW = ("1" * 64, "2" * 64, "3" * 64)


def _loop(open_loop: Callable[..., Loop], *champions: str, **sections: dict[str, object]) -> Loop:
    loop = open_loop(**sections)
    with loop.ledger.begin() as conn:
        for digest in champions:
            models.add(conn, digest, VARIANT, parent_digest=None, training_run=None, manifest={}, at=1.0)
            promotions.promote(conn, VARIANT, digest, reason="", elo_gain=None, games=0, at=1.0)
    return loop


def _arena(new: float, seed: int = 1) -> LatentArena:
    elos = {"random": 0.0, "mcts-64@2": 50.0, baseline_id("heuristic", VARIANT): 200.0}
    elos |= {
        f"{FIRST}|gumbel16,considered=4": 300.0,
        f"{OLD}|gumbel16,considered=4": 300.0,
        f"{NEW}|gumbel16,considered=4": 300.0 + new,
    }
    return LatentArena(elos, seed=seed, seats=(0.0, 60.0))


def _tournaments(loop: Loop, arena: LatentArena, most: int = 30, games: int = 60) -> WatchReport | None:
    report = None
    for _ in range(most):
        run_shadow(loop, VARIANT, games, arena=arena)
        report = watch_champion(loop, VARIANT)
        if report is None or report.answer != "open":
            break
    return report


def _champion(loop: Loop) -> str:
    with loop.ledger.read() as conn:
        return promotions.pointers(conn, VARIANT)[0]


def test_a_worse_champion_is_rolled_back_by_its_shadow_games(open_loop: Callable[..., Loop]) -> None:
    loop = _loop(open_loop, OLD, NEW)
    report = _tournaments(loop, _arena(-150.0))
    assert report is not None and report.answer == "worse" and report.rollback is not None
    assert (report.rollback.status, report.rollback.model_digest) == ("rolled_back", OLD)
    assert _champion(loop) == OLD
    with loop.ledger.read() as conn:
        message = events.latest(conn, kind="promotion")[0].message
    assert f"rolled back from {NEW[:12]} to {OLD[:12]}: weaker than its predecessor by {report.games} shadow" in message
    assert "an equal champion is taken back" in message


def test_an_equal_champion_stays_and_then_is_not_watched_any_more(open_loop: Callable[..., Loop]) -> None:
    loop = _loop(open_loop, OLD, NEW)
    equal, stronger = _tournaments(loop, _arena(0.0), most=3), _tournaments(loop, _arena(200.0), most=20)
    assert equal is not None and equal.answer == "open"
    assert stronger is not None and (stronger.answer, stronger.rollback) == ("sound", None)
    assert _champion(loop) == NEW
    worse = [
        paired_block(VARIANT, "shadow", f"{NEW}|gumbel16,considered=4", f"{OLD}|gumbel16,considered=4", 2, 900 + n)
        for n in range(100)
    ]
    keep_all(LedgerShelf(loop), _arena(-900.0).play(worse))
    assert watch_champion(loop, VARIANT).answer == "sound"  # type: ignore[union-attr]


def test_a_new_champion_meets_its_predecessor_also_while_there_is_a_candidate(open_loop: Callable[..., Loop]) -> None:
    loop = _loop(open_loop, FIRST, OLD)
    with loop.ledger.begin() as conn:
        models.add(conn, NEW, VARIANT, parent_digest=None, training_run=None, manifest={}, at=1.0)
    report = run_shadow(loop, VARIANT, 200, arena=_arena(0.0))
    assert (
        report.pairings[f"{OLD}|gumbel16,considered=4 - {FIRST}|gumbel16,considered=4"] >= 29
    )  # one block is the anchor's
    assert report.pairings[f"{NEW}|gumbel16,considered=4 - {OLD}|gumbel16,considered=4"] >= 49


def test_the_games_of_the_champion_gate_count_for_nothing(open_loop: Callable[..., Loop]) -> None:
    loop = _loop(open_loop, OLD, NEW)
    for purpose in ("champion", "tournament", "gate"):
        plans = [
            paired_block(VARIANT, purpose, f"{NEW}|gumbel16,considered=4", f"{OLD}|gumbel16,considered=4", 2, n)
            for n in range(60)
        ]
        keep_all(LedgerShelf(loop), _arena(-900.0).play(plans))
    report = watch_champion(loop, VARIANT)
    assert report is not None and (report.answer, report.games) == ("open", 0)


def test_a_block_that_a_killed_run_lost_hides_no_later_one(open_loop: Callable[..., Loop]) -> None:
    loop = _loop(open_loop, OLD, NEW)
    names = [f"{digest}|gumbel16,considered=4" for digest in (NEW, OLD)]
    first_look = RULE.looks(2)[0]
    plans = [paired_block(VARIANT, "shadow", *names, 2, seed) for seed in range(first_look + 1) if seed != 5]
    keep_all(LedgerShelf(loop), _arena(0.0).play(plans))
    report = watch_champion(loop, VARIANT)
    assert report is not None and report.games == 2 * first_look


@pytest.mark.parametrize("held_back", ["auto_rollback", "require_approval", "halt"])
def test_it_only_says_so_when_a_person_wants_that(open_loop: Callable[..., Loop], held_back: str) -> None:
    loop = _loop(
        open_loop,
        OLD,
        NEW,
        promotion={"auto_rollback": held_back != "auto_rollback", "require_approval": held_back == "require_approval"},
    )
    with loop.ledger.begin() as conn:
        state.set_halt(conn, held_back == "halt", at=1.0)
    report = _tournaments(loop, _arena(-300.0))
    assert report is not None and (report.answer, report.rollback) == ("worse", None)
    assert _champion(loop) == NEW


def test_a_first_champion_has_nothing_to_be_compared_with(open_loop: Callable[..., Loop]) -> None:
    assert watch_champion(_loop(open_loop, NEW), VARIANT) is None


def test_a_rollback_takes_back_the_champion_that_was_meant_and_no_other(open_loop: Callable[..., Loop]) -> None:
    loop = _loop(open_loop, FIRST, OLD, NEW)
    assert rollback(loop, VARIANT, "worse", only=OLD).status == "kept"
    assert _champion(loop) == NEW


def test_what_was_taken_back_becomes_champion_again_only_by_hand(open_loop: Callable[..., Loop]) -> None:
    loop = _loop(open_loop, OLD, NEW)
    with loop.ledger.begin() as conn:
        gates.add(conn, VARIANT, NEW, gates.REGRESSION, passed=True, report={"tests": []}, at=1.0)
        report = {"champion_digest": OLD, "gain": 45.0, "games": 400, "reasons": ["+45"]}
        gates.add(conn, VARIANT, NEW, gates.CHAMPION, passed=True, report=report, at=2.0)
    rollback(loop, VARIANT, "worse")
    loop.clock.now += 1e6  # type: ignore[attr-defined]
    assert promote(loop, NEW).reason == "a rollback took it back; it comes again only by hand"
    assert _champion(loop) == OLD
    assert promote(loop, NEW, by_hand=True).status == "promoted"
