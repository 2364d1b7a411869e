"""Does a variant learn, what does that cost, and which check fails when it does not: each from a real ledger."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ringrift_loop.ledger import (
    events,
    games,
    gates,
    hosts,
    models,
    promotions,
    ratings,
    segments,
    state,
    training,
    workers,
)
from ringrift_loop.loop import Loop
from ringrift_loop.status.overview import read_overview
from ringrift_loop.views.learning import EVENT, Learning, note_learning, read_learning

VARIANT, OTHER = "square8_2p", "hex8_2p"
HOUR, DAY = 3600.0, 86_400.0


class Told:
    """Metrics that were sent."""

    def __init__(self) -> None:
        self.gauges: dict[tuple[str, ...], float] = {}

    def gauge(self, name: str, value: float, **labels: str) -> None:
        self.gauges[name, *labels.values()] = value


@pytest.fixture
def loop(open_loop: Callable[..., Loop]) -> Loop:
    """A loop that was started an hour ago."""
    loop = open_loop(
        alerts={"learning_days": 3, "candidates_without_promotion": 4},
        training={"threads": 2, "trigger_threshold_games": 20},
    )
    with loop.ledger.begin() as conn:
        state.put(conn, state.STARTED_AT, loop.clock() - HOUR, at=loop.clock())
        state.put(conn, state.ALIVE_AT, loop.clock(), at=loop.clock())
        hosts.ensure(conn, ["local_a"])
    return loop


def started(loop: Loop, *, ago: float) -> None:
    with loop.ledger.begin() as conn:
        state.put(conn, state.STARTED_AT, loop.clock() - ago, at=loop.clock())


def read(loop: Loop, variant: str = VARIANT) -> Learning:
    with loop.ledger.read() as conn:
        overview = read_overview(conn, loop.config, ["local_a"], now=loop.clock())
        return next(one for one in read_learning(conn, loop.config, overview) if one.variant == variant)


def add_games(loop: Loop, number: int, *, ago: float, variant: str = VARIANT) -> None:
    at = loop.clock() - ago
    with loop.ledger.begin() as conn:
        before = games.count(conn)
        name = f"s{before}"
        row = segments.SegmentRow("local_a", name, "0" * 64, "e", 1 + before, number, number, 0, 0, 100, at)
        segments.add(conn, row)
        games.add(
            conn,
            [
                games.GameRow(
                    id=f"{before + one:032x}", move_hash=f"{before + one:064x}", variant=variant, host="local_a",
                    segment=name, position=one, plies=60, rows=40, winner=1, result="territory", player="x", search={},
                    engine_version="1", played_at=at, ingested_at=at,
                )
                for one in range(number)
            ],
        )  # fmt: skip


def add_model(loop: Loop, number: int, *, ago: float, report: dict[str, Any] | None = None) -> str:
    """A candidate, trained on all games that wait."""
    digest, at = f"{number:064x}", loop.clock() - ago
    add_games(loop, 1, ago=ago)
    with loop.ledger.begin() as conn:
        training.claim(conn, f"run-{number}", VARIANT, at=at)
        models.add(conn, digest, VARIANT, parent_digest=None, training_run=f"run-{number}", manifest={}, at=at)
        training.succeed(conn, f"run-{number}", model_digest=digest, report=report or {}, at=at)
    return digest


def promote(loop: Loop, digest: str, *, ago: float) -> None:
    with loop.ledger.begin() as conn:
        at = loop.clock() - ago
        promotions.promote(conn, VARIANT, digest, reason="better", elo_gain=None, games=0, at=at)


def rate(loop: Loop, **elo: float) -> None:
    """Ratings with a standard error of 10 Elo; `m1=100` is model 1's."""
    with loop.ledger.begin() as conn:
        rows = [
            ratings.RatingRow(VARIANT, f"{int(name[1:]):064x}|gumbel16,considered=4", value, 10.0, 60, loop.clock())
            for name, value in elo.items()
        ]
        ratings.replace(conn, VARIANT, rows, keep_history_of=[])


def judge(
    loop: Loop, digest: str, gate: str, *, passed: bool, failed: tuple[str, ...] = (), seconds: float = 0.0
) -> None:
    tests = [{"name": name, "passed": name not in failed, "detail": ""} for name in ("random", "heuristic", "speed")]
    report: dict[str, Any] = {"tests": tests, "seconds": seconds}
    with loop.ledger.begin() as conn:
        gates.add(conn, VARIANT, digest, gate, passed=passed, report=report, at=loop.clock())


def test_a_gain_stands_beside_what_it_cost(loop: Loop) -> None:
    first = add_model(loop, 1, ago=5 * DAY)
    promote(loop, first, ago=4 * DAY)
    add_games(loop, 100, ago=3.5 * DAY)  # before the window
    add_games(loop, 99, ago=2 * DAY)
    second = add_model(loop, 2, ago=DAY, report={"seconds": 900.0})  # on two threads
    promote(loop, second, ago=DAY)
    judge(loop, second, gates.REGRESSION, passed=True, seconds=300.0)
    rate(loop, m1=500.0, m2=620.0)
    with loop.ledger.begin() as conn:
        workers.assign(conn, "local_a", 0, at=loop.clock())
        play = {"generation": 1, "games_per_hour": 9.0, "computed_s": 1500.0, "games": 1000}
        workers.report(conn, "local_a", 0, {"state": "playing", "variants": {VARIANT: play}}, at=loop.clock())

    found = read(loop)

    assert found.since == loop.clock() - 3 * DAY
    assert (found.gain, found.failed_check) == (120.0, None)
    assert found.gain_interval == pytest.approx(1.96 * 200**0.5, rel=1e-3)
    assert found.core_hours == pytest.approx((100 * 1.5 + 2 * 900.0 + 300.0) / HOUR)
    assert found.elo_per_core_hour == pytest.approx(120.0 / found.core_hours)
    assert found.elo_per_core_hour_interval == pytest.approx(found.gain_interval / found.core_hours)
    assert "has gained +120 ± 28 Elo" in found.sentence and "core-hours" in found.sentence
    assert read(loop, OTHER).sentence == f"{OTHER} has no champion yet: 0 candidates so far"


def test_without_workers_games_cost_what_the_benchmark_has_measured(loop: Loop) -> None:
    promote(loop, add_model(loop, 1, ago=HOUR), ago=HOUR)
    add_games(loop, 360, ago=60.0)
    found = read(loop)
    assert found.core_hours is not None
    # 32 simulations cost .398 s (tournament/duration.py); half the searches have 16, half 8.
    assert found.core_hours == pytest.approx(360 * 0.398 * 12 / 32 / HOUR, rel=0.01)
    assert (found.gain, found.elo_per_core_hour) == (None, None)
    assert "too early to say" in found.sentence


def test_candidates_that_never_pass_are_told_with_the_tests_that_stop_them(loop: Loop) -> None:
    promote(loop, add_model(loop, 1, ago=2 * DAY), ago=2 * DAY)
    overfits = {"overfit_alarm": True, "overfit_gap": 0.125}
    for number in (2, 3, 4):
        digest = add_model(loop, number, ago=DAY - number, report=overfits)
        judge(loop, digest, gates.REGRESSION, passed=False, failed=("heuristic",) if number < 4 else ("speed",))
        assert read(loop).failed_check is None
    digest = add_model(loop, 5, ago=HOUR, report=overfits)
    judge(loop, digest, gates.REGRESSION, passed=True)
    judge(loop, digest, gates.CHAMPION, passed=False)

    found = read(loop)

    assert found.failed_check == "gates"
    assert found.sentence == (
        f"{VARIANT} does not learn: 4 candidates in a row were not promoted; what stopped them: heuristic (2), "
        "the champion gate (1), speed (1); its last 3 trainings overfit: validation value loss is 0.125 above "
        "training"
    )


def test_trainings_that_fail_one_after_the_other_are_told_with_the_error(loop: Loop) -> None:
    for number in range(3):
        add_games(loop, 1, ago=HOUR)
        assert read(loop).failed_check is None
        with loop.ledger.begin() as conn:
            training.claim(conn, f"run-{number}", VARIANT, at=loop.clock() - HOUR + number)
            training.fail(conn, f"run-{number}", error=f"no memory ({number})", at=loop.clock())
    found = read(loop)
    assert (found.failed_check, "with: no memory (2)" in found.sentence) == ("trainings", True)


@pytest.mark.parametrize(("hours", "check"), [(5.0, None), (7.0, "trainings")])
def test_games_that_nobody_trains_on_are_told(loop: Loop, hours: float, check: str | None) -> None:
    started(loop, ago=10 * DAY)
    add_model(loop, 1, ago=hours * HOUR)
    add_games(loop, 20, ago=hours * HOUR)
    assert read(loop).failed_check == check


def test_a_training_is_waited_for_from_the_game_on_that_made_it_due(loop: Loop) -> None:
    started(loop, ago=10 * DAY)
    add_model(loop, 1, ago=9 * HOUR)
    add_games(loop, 19, ago=8 * HOUR)
    add_games(loop, 1, ago=60.0)
    assert read(loop).failed_check is None


def test_the_time_of_a_halt_is_nobodys_fault(loop: Loop) -> None:
    started(loop, ago=10 * DAY)
    add_games(loop, 20, ago=9 * HOUR, variant=OTHER)
    add_games(loop, 3, ago=9 * HOUR)
    assert (read(loop).failed_check, read(loop, OTHER).failed_check) == ("games", "trainings")
    with loop.ledger.begin() as conn:
        state.set_halt(conn, True, at=loop.clock() - 8 * HOUR)
        state.set_halt(conn, False, at=loop.clock() - 60.0)
    assert (read(loop).failed_check, read(loop, OTHER).failed_check) == (None, None)


@pytest.mark.parametrize(("hours", "check"), [(5.0, None), (7.0, "games")])
def test_games_that_stay_away_are_told_while_the_loop_runs(loop: Loop, hours: float, check: str | None) -> None:
    started(loop, ago=10 * DAY)
    add_games(loop, 3, ago=hours * HOUR)
    add_games(loop, 3, ago=60.0, variant=OTHER)
    assert read(loop).failed_check == check
    assert read(loop, OTHER).failed_check is None
    with loop.ledger.begin() as conn:
        state.put(conn, state.ALIVE_AT, loop.clock() - HOUR, at=loop.clock())
    assert read(loop).failed_check is None  # it does not run any more


@pytest.mark.parametrize(
    ("elo", "days", "check"), [(515.0, 4.0, "ratings"), (480.0, 4.0, "ratings"), (560.0, 4.0, None), (515.0, 2.0, None)]
)
def test_champions_that_do_not_become_stronger_are_told(loop: Loop, elo: float, days: float, check: str | None) -> None:
    for number in (1, 2, 3, 4):
        promote(loop, add_model(loop, number, ago=days * DAY - number), ago=days * DAY - number)
    promote(loop, add_model(loop, 5, ago=HOUR), ago=HOUR)
    # Of four days the window has three: the champion of its beginning is the fourth. Of two it is the first.
    rate(loop, m1=500.0, m4=500.0, m5=elo)
    found = read(loop)
    assert found.failed_check == check
    assert (check is None) or f"{elo - 500:+.0f} ± 28 Elo, which noise explains" in found.sentence


def test_a_check_that_begins_to_fail_or_ends_is_told_once_and_published_always(loop: Loop) -> None:
    told = Told()
    object.__setattr__(loop, "metrics", told)
    note_learning(loop)
    for number in (1, 2, 3, 4):
        add_model(loop, number, ago=HOUR)
    for _ in range(2):
        note_learning(loop)
        assert told.gauges["ringrift_learning_check_failed", VARIANT, "gates"] == 1.0
        assert told.gauges["ringrift_learning_check_failed", VARIANT, "games"] == 0.0
        assert told.gauges["ringrift_learning_check_failed", OTHER, "gates"] == 0.0
    promote(loop, f"{4:064x}", ago=0.0)
    for _ in range(2):
        note_learning(loop)
    assert told.gauges["ringrift_learning_check_failed", VARIANT, "gates"] == 0.0

    with loop.ledger.read() as conn:
        found = events.latest(conn, kind=EVENT)
    assert [event.data["check"] for event in found] == [None, "gates"]
    assert "does not learn" in found[1].message


def test_a_halt_tells_nothing_new(loop: Loop) -> None:
    with loop.ledger.begin() as conn:
        state.set_halt(conn, True, at=loop.clock())
    for number in (1, 2, 3, 4):
        add_model(loop, number, ago=HOUR)
    note_learning(loop)
    with loop.ledger.read() as conn:
        assert events.latest(conn, kind=EVENT) == []
