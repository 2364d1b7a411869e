from __future__ import annotations

from collections.abc import Callable

import pytest

from ringrift_loop.ledger import events, games, hosts, leases, models, segments, state, training
from ringrift_loop.ledger.games import GameRow
from ringrift_loop.ledger.segments import SegmentRow
from ringrift_loop.loop import Loop
from ringrift_loop.training.claim import Standing, claim_for_run, lease_name, look, reap_stuck, settle

VARIANT, KEY = "square8_2p", "asset_triggered__1"
LIMIT_S = 1000


@pytest.fixture
def loop(open_loop: Callable[..., Loop]) -> Loop:
    """One with three games to train on."""
    loop = open_loop(training={"stuck_after_seconds": LIMIT_S})
    at = loop.clock()
    segment = SegmentRow(
        sha256="a", host="a", epoch="e", seq=1, name="one", records=3, games_new=3, games_known=0,
        games_quarantined=0, size_bytes=1, ingested_at=at,
    )  # fmt: skip
    with loop.ledger.begin() as conn:
        hosts.ensure(conn, ["a"])
        segments.add(conn, segment)
        games.add(conn, [a_game(number, at) for number in range(3)])
    return loop


def a_game(number: int, at: float) -> GameRow:
    return GameRow(
        id=f"game-{number}", move_hash=f"{number}", variant=VARIANT, host="a", segment="one", position=number, plies=60,
        rows=40, winner=1, result="territory", player="heuristic-search", search={}, engine_version="1", played_at=at,
        ingested_at=at,
    )  # fmt: skip


def pass_time(loop: Loop, seconds: float) -> None:
    loop.clock.now += seconds  # type: ignore[attr-defined]


def overdue_lines(loop: Loop) -> list[str]:
    with loop.ledger.read() as conn:
        return [event.message for event in events.latest(conn, kind="training") if event.data.get("overdue")]


def test_a_training_within_its_limit_is_looked_at_again_when_the_limit_is_over(loop: Loop) -> None:
    claim_for_run(loop, [VARIANT], key=KEY)
    pass_time(loop, 400)
    assert look(loop, KEY, may_claim=True) == Standing(LIMIT_S - 400)
    assert overdue_lines(loop) == []


def test_one_over_its_limit_is_told_once_and_is_in_the_history(loop: Loop) -> None:
    run = claim_for_run(loop, [VARIANT], key=KEY)
    pass_time(loop, LIMIT_S + 200)
    told = look(loop, KEY, may_claim=True)
    assert told.left_s is None
    assert told.message == (
        f"training run {run.run_id} did not end within its limit of 17 min: it has been open for 20 min and goes on"
    )
    assert overdue_lines(loop) == [told.message]
    assert look(loop, KEY, may_claim=True) == Standing(None)  # as after a restart of the triggerer
    assert overdue_lines(loop) == [told.message]


def test_one_that_the_sync_has_ended_first_is_told_as_well(loop: Loop) -> None:
    run = claim_for_run(loop, [VARIANT], key=KEY)
    pass_time(loop, LIMIT_S + 1)
    assert reap_stuck(loop) == [run.run_id]
    assert "it has failed, stuck: claimed for 1001 s" in look(loop, KEY, may_claim=True).message


def test_a_training_that_has_ended_is_no_news_however_late_one_looks(loop: Loop) -> None:
    run = claim_for_run(loop, [VARIANT], key=KEY)
    with loop.ledger.begin() as conn:
        models.add(conn, "d" * 64, VARIANT, parent_digest=None, training_run=run.run_id, manifest={}, at=1.0)
        training.succeed(conn, run.run_id, model_digest="d" * 64, report={}, at=loop.clock())
    pass_time(loop, 10 * LIMIT_S)  # the gates take their time
    assert look(loop, KEY, may_claim=True) == Standing(None)


def test_a_training_that_failed_by_itself_was_told_when_its_task_failed(loop: Loop) -> None:
    settle(loop, claim_for_run(loop, [VARIANT], key=KEY).run_id)
    pass_time(loop, LIMIT_S + 1)
    assert look(loop, KEY, may_claim=True) == Standing(None)


def test_a_run_that_still_waits_for_its_training_is_looked_at_when_one_could_be_over_its_limit(loop: Loop) -> None:
    claim_for_run(loop, [VARIANT], key="another run")
    pass_time(loop, LIMIT_S + 1)
    assert look(loop, KEY, may_claim=True) == Standing(LIMIT_S)
    assert look(loop, KEY, may_claim=False) == Standing(None)


def test_the_time_for_which_the_loop_was_off_does_not_count(loop: Loop) -> None:
    claim_for_run(loop, [VARIANT], key=KEY)
    pass_time(loop, 10 * LIMIT_S)
    with loop.ledger.begin() as conn:
        state.put(conn, state.STARTED_AT, loop.clock() - 100, at=loop.clock())
    assert look(loop, KEY, may_claim=True) == Standing(LIMIT_S - 100)


def test_the_second_training_of_a_run_is_told_by_itself(loop: Loop) -> None:
    first = claim_for_run(loop, [VARIANT], key=KEY)
    pass_time(loop, LIMIT_S + 1)
    assert look(loop, KEY, may_claim=True).message != ""
    settle(loop, first.run_id)
    second = claim_for_run(loop, [VARIANT], key=KEY)
    assert look(loop, KEY, may_claim=True) == Standing(LIMIT_S)
    with loop.ledger.begin() as conn:
        leases.acquire(conn, lease_name(VARIANT), "a process", ttl_s=10 * LIMIT_S, at=loop.clock())
    pass_time(loop, LIMIT_S + 1)
    assert second.run_id in look(loop, KEY, may_claim=True).message
