"""The sentence about the loop, and its figures, for ledgers of every state."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection

from pages import prepared
from ringrift_loop.config.schema import LoopConfig
from ringrift_loop.ledger import curriculum, events, gates, leases, models, promotions, ratings, state
from ringrift_loop.ledger.database import Ledger
from ringrift_loop.status.overview import read_overview
from ringrift_loop.views.learning import read_learning
from ringrift_loop.views.overview import LoopState, read_state

NOW = 1_800_000_000.0
HOUR = 3600.0
HOSTS = ["local_a", "local_b"]
VARIANT = "square8_2p"


@pytest.fixture
def conn(empty_ledger: object, tmp_path: object) -> Iterator[Connection]:
    import shutil

    shutil.copy(str(empty_ledger), f"{tmp_path}/ledger.db")
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db")
    with ledger.begin() as connection:
        yield connection
    ledger.close()


def read(conn: Connection, *, stopped: bool = False, at: float = NOW) -> LoopState:
    return read_state(conn, LoopConfig(), HOSTS, now=at, stopped=stopped)


def runs(conn: Connection) -> None:
    """The loop was started an hour ago, and nothing of it is late."""
    state.put(conn, state.STARTED_AT, NOW - HOUR, at=NOW)
    state.put(conn, state.ALIVE_AT, NOW, at=NOW)
    state.count_cycle(conn, at=NOW - 5)
    curriculum.replace(conn, {}, at=NOW)
    events.record(conn, "tournament", "40 games", at=NOW - 60)


def champion(conn: Connection, number: int, elo: float, *, ago: float, stderr: float = 12.0) -> str:
    """Model `number` was promoted `ago` seconds ago; its rating joins those of the others."""
    digest = f"{number:064x}"
    models.add(conn, digest, VARIANT, parent_digest=None, training_run=None, manifest={}, at=NOW - ago - 60)
    promotions.promote(conn, VARIANT, digest, reason="it gains", elo_gain=None, games=200, at=NOW - ago)
    row = ratings.RatingRow(VARIANT, f"{digest}|gumbel-32", elo, stderr, 400, NOW)
    ratings.replace(conn, VARIANT, [*ratings.table(conn, VARIANT), row], keep_history_of=[row.participant])
    return digest


def candidates(conn: Connection, first: int, number: int, *, ago: float) -> None:
    """As many models since the last promotion, each rejected."""
    for index in range(first, first + number):
        digest = f"{index:064x}"
        models.add(conn, digest, VARIANT, parent_digest=None, training_run=None, manifest={}, at=NOW - ago)
        promotions.reject(conn, VARIANT, digest, reason="no gain", elo_gain=-3.0, games=200, at=NOW - ago + 60)


def test_a_loop_that_was_never_started_says_how_to_start_it(conn: Connection) -> None:
    told = read(conn)
    assert (told.state, told.sentence) == ("not running", "Not started yet.")
    assert told.remedy is not None
    assert "make run" in told.remedy
    assert [view.state for view in told.variants] == ["bootstrapping", "bootstrapping"]
    assert (told.variants[0].elo, told.variants[0].gain, told.variants[0].ratings) == (None, None, [])


@pytest.mark.parametrize(("stopped", "at"), [(True, NOW), (False, NOW + 3 * HOUR)])
def test_a_loop_that_is_gone_is_not_called_learning(conn: Connection, stopped: bool, at: float) -> None:
    prepared.fill(conn, NOW)
    told = read(conn, stopped=stopped, at=at)
    assert told.state == "not running"
    assert told.sentence.startswith("Not running: last heard from ")
    assert told.running == []


def test_a_new_loop_tells_how_many_games_it_has(conn: Connection) -> None:
    runs(conn)
    prepared._hosts(conn, NOW)
    prepared._games(conn, VARIANT, 120, NOW)
    told = read(conn)
    assert told.state == "bootstrapping"
    assert told.sentence == "Bootstrapping: square8_2p collects games: 120 of 300; hex8_2p collects games: 0 of 300."
    assert told.variants[0].full_in_s == pytest.approx(8 * 180)  # one in 8 s since the first one
    assert told.variants[1].full_in_s is None  # no game came: nobody knows


@pytest.mark.parametrize(
    ("number", "at", "expected"),
    [
        (200, NOW - 2400.0, HOUR * 100 / 150),  # some are older than an hour
        (6, NOW - 20.0, 68.0 * 294 / 6),
        (6, NOW + 40.0, 60.0 * 294 / 6),  # the first batch, just taken in
    ],
)
def test_games_for_a_training_are_foretold_by_the_last_hour_or_what_there_was_of_it(
    conn: Connection, number: int, at: float, expected: float
) -> None:
    runs(conn)
    prepared._hosts(conn, NOW)
    prepared._games(conn, VARIANT, number, at)
    assert read(conn).variants[0].full_in_s == pytest.approx(expected)


def test_a_loop_that_learns_says_how_much_in_the_last_hour(conn: Connection) -> None:
    prepared.fill(conn, NOW)
    told = read(conn)
    assert told.state == "learning"
    assert told.sentence == "Learning: square8_2p +118 ± 33 Elo in the last hour; hex8_2p waits for its gate."
    assert [view.state for view in told.variants] == ["learning", "working"]
    assert [activity.what for activity in told.running] == [
        "Training of square8_2p",
        "Self-play by 2 of 2 workers, 360 games/h",
    ]


def test_a_candidate_that_passed_both_gates_waits_for_its_promotion(conn: Connection) -> None:
    prepared.fill(conn, NOW)
    newest = models.latest(conn, "hex8_2p")
    assert newest is not None
    for gate in (gates.REGRESSION, gates.CHAMPION):
        assert read(conn).variants[1].doing == "waits for its gate"
        gates.add(conn, "hex8_2p", newest.digest, gate, passed=True, report={}, at=NOW)
    assert read(conn).variants[1].doing == "waits for its promotion"


def test_a_variant_is_not_stalled_by_the_time_in_which_the_loop_was_off(conn: Connection) -> None:
    runs(conn)
    champion(conn, 1, 300.0, ago=90 * HOUR)
    candidates(conn, 2, 1, ago=48 * HOUR)
    state.put(conn, state.STARTED_AT, NOW - 50 * HOUR, at=NOW)
    assert read(conn).variants[0].state == "stalled"
    state.set_halt(conn, False, at=NOW - HOUR)
    assert read(conn).variants[0].state == "working"
    state.set_halt(conn, False, at=NOW - 50 * HOUR)
    state.put(conn, state.STARTED_AT, NOW - HOUR, at=NOW)
    assert read(conn).variants[0].state == "working"


def test_the_gain_is_that_of_the_last_fit_with_the_error_of_both_ratings(conn: Connection) -> None:
    runs(conn)
    champion(conn, 1, 300.0, ago=30 * HOUR, stderr=9.0)
    champion(conn, 2, 350.0, ago=2 * HOUR, stderr=12.0)
    gain = read(conn).variants[0].gain
    assert gain is not None
    assert (gain.elo, gain.span) == (50.0, "6 hours")
    assert gain.interval == pytest.approx(1.96 * math.hypot(9.0, 12.0), abs=0.01)


def test_a_gain_within_its_interval_is_not_called_learning(conn: Connection) -> None:
    runs(conn)
    champion(conn, 1, 300.0, ago=30 * HOUR)
    champion(conn, 2, 330.0, ago=2 * HOUR)
    told = read(conn)
    assert told.variants[0].gain is not None
    assert told.variants[0].state == "working"
    assert "±" not in told.sentence


def test_a_rollback_is_a_loss(conn: Connection) -> None:
    runs(conn)
    first = champion(conn, 1, 300.0, ago=30 * HOUR)
    champion(conn, 2, 400.0, ago=2 * HOUR)
    promotions.promote(
        conn, VARIANT, first, reason="by hand", elo_gain=None, games=0, at=NOW - 60, status=promotions.ROLLED_BACK
    )
    view = read(conn).variants[0]
    assert view.gain is not None
    assert (view.gain.elo, view.gain.span, view.state) == (-100.0, "hour", "working")
    assert view.last_decision is not None
    assert view.last_decision.status == "rolled_back"


def test_many_candidates_without_a_promotion_are_a_stall(conn: Connection) -> None:
    runs(conn)
    champion(conn, 1, 300.0, ago=20 * HOUR)
    candidates(conn, 2, 10, ago=2 * HOUR)
    told = read(conn)
    assert told.variants[0].state == "stalled"
    assert "square8_2p has made 10 candidates since its last promotion" in told.sentence
    assert told.variants[0].last_decision is not None
    assert told.variants[0].last_decision.reason == "no gain"


@pytest.mark.parametrize(("ago", "expected"), [(23 * HOUR, "working"), (25 * HOUR, "stalled")])
def test_a_day_after_the_first_of_a_few_candidates_is_a_stall(conn: Connection, ago: float, expected: str) -> None:
    runs(conn)
    state.put(conn, state.STARTED_AT, NOW - 50 * HOUR, at=NOW)
    prepared._hosts(conn, NOW)
    prepared._games(conn, VARIANT, 5, NOW)
    champion(conn, 1, 300.0, ago=40 * HOUR)
    candidates(conn, 2, 2, ago=ago)
    assert read(conn).variants[0].state == expected


def test_a_halt_is_said_before_everything_else_that_runs(conn: Connection) -> None:
    prepared.fill(conn, NOW)
    state.set_halt(conn, True, at=NOW)
    told = read(conn)
    assert (told.state, told.halted) == ("halted", True)
    assert told.sentence == "Halted by a person: nothing starts by itself until it is resumed."


def test_a_part_that_fails_makes_the_loop_ill_and_is_named(conn: Connection) -> None:
    prepared.fill(conn, NOW)
    for ago in (30, 20, 10):
        message = f"ringrift_training.train: no space\x1b[31m left {ago}"
        events.record(conn, "task_failed", message, at=NOW - ago)
    told = read(conn)
    assert told.state == "ill"
    assert told.sentence == (
        "Ill: the training failed 3 times in a row: ringrift_training.train: no space?[31m left 10."
    )
    assert told.problems[0] == "training: ringrift_training.train: no space?[31m left 10"


def test_a_part_that_is_late_makes_the_loop_ill(conn: Connection) -> None:
    runs(conn)
    state.put(conn, state.STARTED_AT, NOW - 5 * HOUR, at=NOW)
    curriculum.replace(conn, {VARIANT: 1.0}, at=NOW - 4.5 * HOUR)
    assert read(conn).sentence == "Ill: the curriculum is overdue, its work has waited for 4 h 30 min."


def test_what_is_held_is_what_goes_on(conn: Connection) -> None:
    runs(conn)
    for name, ttl_s in ((f"shadow:{VARIANT}", 60.0), ("champion-gate:hex8_2p", 60.0), ("full:hex8_2p", -1.0)):
        leases.acquire(conn, name, "elsewhere:1:2", ttl_s=ttl_s, at=NOW)
    assert [activity.what for activity in read(conn).running] == [
        "Champion gate of hex8_2p",
        f"Tournament of {VARIANT}",
    ]


def test_elo_per_core_hour_and_the_projection_are_those_of_learning(conn: Connection) -> None:
    runs(conn)
    champion(conn, 1, 300.0, ago=30 * HOUR)
    champion(conn, 2, 400.0, ago=2 * HOUR)
    view = read(conn).variants[0]
    overview = read_overview(conn, LoopConfig(), HOSTS, now=NOW)
    account = read_learning(conn, LoopConfig(), overview)[0]
    assert account.gain == pytest.approx(100.0)
    assert (view.elo_per_core_hour, view.elo_per_core_hour_interval) == (
        account.elo_per_core_hour,
        account.elo_per_core_hour_interval,
    )
    assert (view.projection, view.projection_interval) == (account.projection, account.projection_interval)


def test_a_long_history_is_thinned_and_ends_with_its_last_point(conn: Connection) -> None:
    runs(conn)
    own = champion(conn, 1, 300.0, ago=30 * HOUR)
    for index in range(300):
        row = ratings.RatingRow(VARIANT, f"{own}|gumbel-32", 300.0 + index, 10.0, 400, NOW + index)
        ratings.replace(conn, VARIANT, [row], keep_history_of=[row.participant])
    points = read(conn).variants[0].ratings
    assert len(points) <= 120
    assert (points[-1].elo, points[-1].at) == (599.0, NOW + 299)
    assert [point.at for point in points] == sorted(point.at for point in points)


def test_twelve_variants_are_not_all_in_the_sentence(conn: Connection) -> None:
    from dataclasses import replace

    from ringrift_loop.config.schema import VARIANT_NAMES

    runs(conn)
    champion(conn, 1, 300.0, ago=30 * HOUR)
    champion(conn, 2, 400.0, ago=2 * HOUR)
    told = read_state(conn, replace(LoopConfig(), variants=VARIANT_NAMES), HOSTS, now=NOW)
    assert told.sentence.startswith("Learning: square8_2p +100 ± 33 Elo in the last 6 hours; square8_3p collects games")
    assert told.sentence.endswith("; 9 other variants.")
