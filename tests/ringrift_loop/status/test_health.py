"""The health of the loop, from ledgers in which each part works, waits, fails or stands still."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest

from ringrift_loop.ledger import curriculum, events, games, gates, hosts, leases, models, promotions, segments, state
from ringrift_loop.ledger import training as runs
from ringrift_loop.ledger.schema import gate_reports
from ringrift_loop.loop import Loop
from ringrift_loop.status.health import DEGRADED, HEALTHY, LIMITS_S, UNHEALTHY, Component, Health, public, read_health

DIGEST = "cd" * 32
VARIANT = "square8_2p"


@pytest.fixture
def loop(open_loop: Callable[..., Loop]) -> Loop:
    """It has run for three days, and everything that is to be done was done just now."""
    loop = open_loop()
    now = loop.clock()
    with loop.ledger.begin() as conn:
        state.put(conn, state.STARTED_AT, now - 3 * 86_400, at=now)
        state.put(conn, state.ALIVE_AT, now, at=now)
        state.count_cycle(conn, at=now)
        curriculum.replace(conn, {VARIANT: 1.0}, at=now)
        models.add(conn, DIGEST, VARIANT, parent_digest=None, training_run=None, manifest={}, at=now - 9000)
        promotions.promote(conn, VARIANT, DIGEST, reason="first", elo_gain=None, games=0, at=now - 8000)
        events.record(conn, "tournament", "15 games", at=now, variant=VARIANT)
    return loop


def _health(loop: Loop, **options: Any) -> Health:
    with loop.ledger.read() as conn:
        return read_health(conn, loop.config, now=loop.clock(), **options)


def _fail(loop: Loop, task: str, *, at: float, repeated: bool = False) -> None:
    with loop.ledger.begin() as conn:
        events.record(conn, "task_failed", f"{task} failed: \x1bno\nroom", at=at, data={"will_be_retried": repeated})


def _games(loop: Loop, number: int, *, at: float) -> None:
    row = games.GameRow(
        "", "", VARIANT, "local_a", "s", 0, 40, 20, 1, "territory", "heuristic-search", {}, "1", at, at
    )  # fmt: skip
    with loop.ledger.begin() as conn:
        hosts.ensure(conn, ["local_a"])
        segments.add(conn, segments.SegmentRow("local_a", "s", "0" * 64, "e", 1, number, number, 0, 0, 100, at))
        fields = vars(row)
        games.add(
            conn,
            [games.GameRow(**{**fields, "id": f"{n}", "move_hash": f"{n}", "position": n}) for n in range(number)],
        )


def _statuses(health: Health) -> dict[str, str]:
    return {name: part.status for name, part in health.components.items() if part.status != HEALTHY}


def test_a_loop_that_does_its_work_is_healthy(loop: Loop) -> None:
    health = _health(loop)
    assert (health.status, health.running, health.halted, _statuses(health)) == (HEALTHY, True, False, {})
    assert health.components["promoter"].age == 8000
    assert health.components["promoter"].waiting is None  # no candidate: there is nothing to decide


def test_a_loop_that_never_ran_or_has_ended_is_unhealthy(loop: Loop, open_loop: Callable[..., Loop]) -> None:
    ended = _health(loop, stopped=True)
    assert (ended.status, ended.running) == (UNHEALTHY, False)
    with loop.ledger.begin() as conn:
        state.put(conn, state.ALIVE_AT, loop.clock() - 4000, at=loop.clock())
    assert _health(loop).status == UNHEALTHY


@pytest.mark.parametrize(
    ("seconds", "status"), [(300.0, HEALTHY), (301.0, DEGRADED), (600.0, DEGRADED), (601.0, UNHEALTHY)]
)
def test_a_part_is_degraded_over_its_limit_and_unhealthy_over_twice_that(
    loop: Loop, seconds: float, status: str
) -> None:
    with loop.ledger.begin() as conn:
        state.count_cycle(conn, at=loop.clock() - seconds)
    health = _health(loop)
    assert health.components["collector"].status == status
    assert health.status == status


def test_three_failures_in_a_row_are_unhealthy_and_a_success_ends_the_row(loop: Loop) -> None:
    now = loop.clock()
    _fail(loop, "ringrift_data_sync.sync_hosts", at=now - 50)  # before the last success
    for number in (1, 2):
        _fail(loop, "ringrift_data_sync.sync_hosts", at=now + number)
    _fail(loop, "ringrift_data_sync.sync_hosts", at=now + 3, repeated=True)
    assert _health(loop).components["collector"] == Component(
        HEALTHY, now, 0.0, 0.0, 300.0, 2, "ringrift_data_sync.sync_hosts failed: ?no; room"
    )
    _fail(loop, "ringrift_data_sync.sync_hosts", at=now + 4)
    assert _statuses(_health(loop)) == {"collector": UNHEALTHY}
    with loop.ledger.begin() as conn:
        state.count_cycle(conn, at=now + 5)
    assert _statuses(_health(loop)) == {}


def test_each_failing_task_belongs_to_its_part_and_a_gate_that_says_no_to_none(loop: Loop) -> None:
    tasks = {
        "ringrift_shadow_tournament.play_shadow": "evaluator",
        "ringrift_training.train": "training",
        "ringrift_training.promote": "promoter",
        "ringrift_curriculum_rebalance.rebalance_weights": "curriculum",
        "ringrift_training.regression_gate.verdict": None,
    }
    for task in tasks:
        _fail(loop, task, at=loop.clock() + 1)
    failing = {name for name, part in _health(loop).components.items() if part.consecutive_failures}
    assert failing == {part for part in tasks.values() if part}


def test_training_is_late_from_the_game_on_that_made_it_due(loop: Loop) -> None:
    now = loop.clock()
    assert _health(loop).components["training"].waiting is None
    _games(loop, loop.config.training.trigger_threshold_games - 1, at=now - 90_000)
    assert _health(loop).components["training"].waiting is None
    due = loop.config.training.trigger_threshold_games
    with loop.ledger.begin() as conn:
        row = games.GameRow(
            "last", "last", VARIANT, "local_a", "s", due, 40, 20, 1, "t", "p", {}, "1", 1.0, now - 7300
        )  # fmt: skip
        games.add(conn, [row])
    assert _health(loop).components["training"].waiting == 7300
    assert _statuses(_health(loop)) == {"training": DEGRADED}
    with loop.ledger.begin() as conn:
        runs.claim(conn, "run", VARIANT, at=now - 14_500)
    assert _statuses(_health(loop)) == {"training": UNHEALTHY}


def test_a_candidate_that_nobody_decides_about_makes_the_promoter_late(
    loop: Loop, open_loop: Callable[..., Loop]
) -> None:
    now = loop.clock()
    with loop.ledger.begin() as conn:
        models.add(conn, "ef" * 32, VARIANT, parent_digest=DIGEST, training_run=None, manifest={}, at=now - 3700)
    assert _statuses(_health(loop)) == {"promoter": DEGRADED}
    by_hand = open_loop(promotion={"auto_promote": False})
    assert _statuses(_health(by_hand)) == {}


def test_a_halt_holds_everything_back_but_the_collecting(loop: Loop) -> None:
    now = loop.clock()
    with loop.ledger.begin() as conn:
        curriculum.replace(conn, {VARIANT: 1.0}, at=now - 90_000)
        state.set_halt(conn, True, at=now)
    assert (_health(loop).halted, _statuses(_health(loop))) == (True, {})
    with loop.ledger.begin() as conn:
        state.count_cycle(conn, at=now - 90_000)
    assert _statuses(_health(loop)) == {"collector": UNHEALTHY}


def test_a_loop_that_just_came_back_is_not_late_by_the_time_it_was_off(loop: Loop) -> None:
    now = loop.clock()
    with loop.ledger.begin() as conn:
        state.count_cycle(conn, at=now - 90_000)
        curriculum.replace(conn, {VARIANT: 1.0}, at=now - 90_000)
        state.put(conn, state.STARTED_AT, now - 10, at=now)
    assert _statuses(_health(loop)) == {}


def test_a_loop_that_was_just_let_go_on_is_not_late_by_the_time_of_the_halt(loop: Loop) -> None:
    now = loop.clock()
    with loop.ledger.begin() as conn:
        curriculum.replace(conn, {VARIANT: 1.0}, at=now - 32_400)
        models.add(conn, "ef" * 32, VARIANT, parent_digest=DIGEST, training_run=None, manifest={}, at=now - 32_400)
        state.set_halt(conn, True, at=now - 32_000)
        state.set_halt(conn, False, at=now - 10)
    assert _statuses(_health(loop)) == {}
    with loop.ledger.begin() as conn:  # a halt holds no collecting back, so that its end excuses none
        state.count_cycle(conn, at=now - 32_000)
    assert _statuses(_health(loop)) == {"collector": UNHEALTHY}


def test_a_candidate_whose_gate_plays_or_that_a_cool_down_puts_off_makes_nobody_late(loop: Loop) -> None:
    now, candidate = loop.clock(), "ef" * 32
    with loop.ledger.begin() as conn:
        models.add(conn, candidate, VARIANT, parent_digest=DIGEST, training_run=None, manifest={}, at=now - 7500)
    assert _statuses(_health(loop)) == {"promoter": UNHEALTHY}
    for name in (f"champion-gate:{VARIANT}", f"regression-gate:{candidate[:16]}"):
        with leases.hold(loop.ledger, name, clock=loop.clock):
            assert _statuses(_health(loop)) == {}
    with leases.hold(loop.ledger, "champion-gate:hex8_2p", clock=loop.clock):
        assert _statuses(_health(loop)) == {"promoter": UNHEALTHY}
    with loop.ledger.begin() as conn:
        gates.add(conn, VARIANT, candidate, gates.CHAMPION, passed=True, report={}, at=now - 60)
    assert _health(loop).components["promoter"].waiting == 60
    with loop.ledger.begin() as conn:
        conn.execute(gate_reports.update().values(created_at=now - 7500))
        promotions.defer(conn, VARIANT, candidate, at=now)
    assert _statuses(_health(loop)) == {}


def test_an_interval_longer_than_the_guides_limit_stretches_it(open_loop: Callable[..., Loop]) -> None:
    loop = open_loop(curriculum={"rebalance_interval_seconds": 7200}, data_ingestion={"poll_interval_seconds": 600})
    limits = {name: part.limit for name, part in _health(loop).components.items()}
    assert limits == {**LIMITS_S, "curriculum": 14_400, "collector": 1200}


def test_what_anybody_may_see_has_no_text_from_the_ledger(loop: Loop) -> None:
    _fail(loop, "ringrift_data_sync.sync_hosts", at=loop.clock() + 1)
    told = public(_health(loop))
    assert set(told) == {"status", "running", "halted", "components"}
    assert "sync_hosts" not in json.dumps(told)
    assert "sync_hosts" in json.dumps(asdict(_health(loop)))
