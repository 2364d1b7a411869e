from __future__ import annotations

from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringrift_loop.config import DataIngestion, ResourceTargets, Training
from ringrift_loop.resources.backpressure import Backpressure, Limits, Seen, press

LIMITS = Limits(ResourceTargets(), {}, DataIngestion(), Training())
MANY = round(Training().backlog_factor * Training().trigger_threshold_games)
WELL = Seen(50.0, {"a": 50.0, "b": 50.0}, {"a": (0, 0.0), "b": (3, 40.0)}, {"square8_2p": 200, "hex8_2p": 0})


def course(*seen: Seen, limits: Limits = LIMITS) -> list[Backpressure]:
    """What presses after each look, in turn."""
    now, found = Backpressure(), []
    for one in seen:
        now = press(now, one, limits)
        found.append(now)
    return found


def disk_of_a(*percents: float | None) -> list[float]:
    return [one.on("a")[0] for one in course(*(Seen(disks={"a": percent}) for percent in percents))]


def test_nothing_presses_while_all_is_well() -> None:
    assert course(WELL) == [Backpressure()]
    assert Backpressure().factor(["a", "b"]) == 1.0


def test_a_disk_slows_its_host_then_lets_it_rest_and_ends_by_itself_below_a_lower_mark() -> None:
    assert disk_of_a(84.9, 85.0, 90.0, 95.0) == [1.0, 0.8, 0.6, 0.0]
    assert disk_of_a(95.0, 90.0, 85.0, 84.0, 81.0, 79.9, 84.0) == [0.0, 0.0, 0.0, 0.8, 0.8, 1.0, 1.0]


def test_a_full_disk_of_one_host_leaves_the_others_alone_and_the_coordinators_stops_all() -> None:
    [own] = course(replace(WELL, disks={"a": 97.0, "b": 50.0}))
    assert (own.on("a")[0], own.on("b")[0], own.factor(["a", "b"])) == (0.0, 1.0, 0.5)
    assert own.on("a")[1] == ("the disk of a is 97% full (critical from 95%): self-play rests until it is below 85%")
    [all_of_them] = course(replace(WELL, disk=97.0))
    assert all_of_them.factor(["a", "b"]) == 0.0
    assert "the coordinator's disk" in all_of_them.on("b")[1]


def test_a_host_may_have_marks_of_its_own() -> None:
    own = replace(LIMITS, host_targets={"a": ResourceTargets(disk_max=40.0, disk_critical=60.0)})
    [now] = course(WELL, limits=own)
    assert now.on("a")[0] < 1.0 == now.on("b")[0]


def test_games_that_wait_on_a_host_slow_that_host() -> None:
    old, many = (course(replace(WELL, waiting={"a": one, "b": (0, 0.0)}))[0] for one in ((3, 1500.0), (1200, 10.0)))
    assert 0.2 <= old.on("a")[0] < 1.0 == old.on("b")[0]
    assert 0.2 <= many.on("a")[0] < 1.0
    assert old.on("a")[1] == "sync is behind with a: 3 segments wait there, the oldest for 1500 s"
    eased = course(*(Seen(waiting={"a": (0, age)}) for age in (700.0, 400.0, 200.0, 400.0)))
    assert [one.on("a")[0] for one in eased] == [0.8, 0.8, 1.0, 1.0]


def test_training_that_is_behind_with_one_variant_gives_its_share_to_the_others_and_with_all_slows_everyone() -> None:
    [one] = course(replace(WELL, pending={"square8_2p": 2 * MANY, "hex8_2p": 10}))
    assert (one.on_variant("square8_2p") < 1.0, one.on_variant("hex8_2p"), one.on("a")[0]) == (True, 1.0, 1.0)
    [both] = course(replace(WELL, pending={"square8_2p": 2 * MANY, "hex8_2p": MANY}))
    assert both.on("a")[0] == both.on_variant("hex8_2p") == 0.8
    assert f"{MANY} games of hex8_2p wait for training" in both.on("a")[1]


def test_what_is_not_known_stays_as_it_was() -> None:
    assert disk_of_a(None, 96.0, None, None, 50.0, None) == [1.0, 0.0, 0.0, 0.0, 1.0, 1.0]
    behind = course(Seen(waiting={"a": (0, 5000.0)}), Seen(waiting={"a": None}))
    assert behind[0] == behind[1] != Backpressure()


def test_a_host_that_left_the_inventory_presses_no_more() -> None:
    assert course(Seen(disks={"a": 96.0}), Seen(disks={}))[-1] == Backpressure()


levels = st.one_of(st.none(), st.floats(0.0, 100.0))
looks = st.builds(
    Seen,
    disk=levels,
    disks=st.fixed_dictionaries({"a": levels}),
    waiting=st.fixed_dictionaries({"a": st.one_of(st.none(), st.tuples(st.integers(0, 5000), st.floats(0.0, 1e6)))}),
    pending=st.fixed_dictionaries({"square8_2p": st.integers(0, 1_000_000)}),
)


@given(st.lists(looks, min_size=1, max_size=6))
def test_asking_twice_is_asking_once_and_the_ledgers_form_loses_nothing(seen: list[Seen]) -> None:
    now = course(*seen)[-1]
    assert press(now, seen[-1], LIMITS) == now
    assert Backpressure.parse([asdict(cause) for cause in now.causes]) == now
    assert 0.0 <= now.on("a")[0] <= 1.0
    assert 0.0 < now.on_variant("square8_2p") <= 1.0


@given(st.floats(0.0, 100.0), st.floats(0.0, 100.0))
def test_a_fuller_disk_never_lets_more_through(less: float, more: float) -> None:
    less, more = sorted((less, more))
    for before in (50.0, 82.0, 90.0, 99.0):
        assert disk_of_a(before, more)[-1] <= disk_of_a(before, less)[-1]


@pytest.mark.parametrize("value", [None, 3, "x", [], ["x"]])
def test_a_ledger_that_holds_nothing_of_it_presses_nothing(value: object) -> None:
    assert Backpressure.parse(value) == Backpressure()  # type: ignore[arg-type]
