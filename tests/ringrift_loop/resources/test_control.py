from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from ringrift_loop.config import Pid, ResourceTargets
from ringrift_loop.resources.bands import Band, Zone, cpu_band
from ringrift_loop.resources.control import STALE_S, STEP_S, Controller, step
from ringrift_loop.selfplay.pace import MIN_DUTY

BAND = cpu_band(ResourceTargets())
START = 1.7e9


def course(others: Callable[[int], float], appetite: float, steps: int, noise: float = 0.0) -> list[float]:
    """What a machine uses, step by step, under the controller."""
    rng, state, used = random.Random(7), Controller(), []
    for number in range(steps):
        load = others(number)
        own = min(100.0 - load, max(0.0, appetite * state.duty + rng.gauss(0.0, noise)))
        used.append(own + load)
        state = step(state, BAND, Pid(), used=used[-1], own=own, at=START + number * STEP_S)
    return used


@pytest.mark.parametrize("appetite", [75.0, 100.0, 160.0])
def test_a_free_machine_is_in_its_band_within_three_minutes_and_stays_there(appetite: float) -> None:
    used = course(lambda number: 0.0, appetite, 60)
    assert all(BAND.low <= value <= BAND.high for value in used[6:])


def test_strangers_who_come_are_given_way_to_and_the_room_of_those_who_leave_is_used() -> None:
    used = course(lambda number: 40.0 if 20 <= number < 40 else 0.0, 120.0, 60)
    assert all(BAND.low <= value <= BAND.high for value in (*used[26:40], *used[46:]))


def test_noise_does_not_make_it_swing() -> None:
    used = course(lambda number: 10.0, 100.0, 400, noise=3.0)
    assert sum(BAND.low <= value <= BAND.high for value in used[6:]) >= 0.97 * 394


def test_two_machines_with_opposite_loads_are_moved_in_opposite_directions() -> None:
    hot = step(Controller(), BAND, Pid(), used=99.0, own=90.0, at=START)
    idle = step(Controller(), BAND, Pid(), used=20.0, own=15.0, at=START)
    assert hot.duty < Controller().duty < idle.duty


def test_asking_twice_with_one_sample_is_asking_once() -> None:
    once = step(Controller(), BAND, Pid(), used=95.0, own=90.0, at=START)
    assert step(once, BAND, Pid(), used=95.0, own=90.0, at=START) == once
    assert step(once, BAND, Pid(), used=10.0, own=10.0, at=START - 5) == once


def test_a_machine_that_strangers_fill_leaves_the_workers_their_least_and_frees_them_again() -> None:
    state = Controller()
    for number in range(20):
        state = step(state, BAND, Pid(), used=98.0, own=98.0 - 93.0, at=START + number * STEP_S)
    assert state.duty == MIN_DUTY
    for number in range(20, 26):
        own = 100.0 * state.duty
        state = step(state, BAND, Pid(), used=own, own=own, at=START + number * STEP_S)
    assert 0.6 <= state.duty <= 0.8


def test_what_workers_get_on_a_full_machine_is_not_taken_for_what_they_would_use() -> None:
    state = step(Controller(), BAND, Pid(), used=100.0, own=15.0, at=START, in_force=1.0)
    state = step(state, BAND, Pid(), used=5.0, own=5.0, at=START + STEP_S, in_force=state.duty)
    assert state.duty <= 0.8  # 100 % of them would fill the machine


def test_an_hour_without_a_sample_leaves_no_integral_behind() -> None:
    state = replace(Controller(), at=START, error=40.0, integral=300.0, output=15.0, appetite=100.0)
    late = step(state, BAND, Pid(), used=70.0, own=70.0, at=START + 3600, in_force=0.7)
    soon = step(state, BAND, Pid(), used=70.0, own=70.0, at=START + STALE_S / 2, in_force=0.7)
    assert late.integral == 0.0
    assert soon.integral == 300.0


def test_gains_and_smoothing_are_those_of_the_configuration() -> None:
    def output(pid: Pid) -> float:
        return step(Controller(), BAND, pid, used=90.0, own=90.0, at=START).output

    only_p = Pid(kp=0.5, ki=0.0, kd=0.0, gain_scheduling=False, output_smoothing=0.0)
    assert output(only_p) == pytest.approx(-10.0)  # 0.5 x (70 - 90)
    assert output(replace(only_p, gain_scheduling=True)) == pytest.approx(-15.0)  # x 1.5 above 15 points
    assert output(replace(only_p, output_smoothing=0.25)) == pytest.approx(-7.5)
    second = step(
        replace(Controller(), at=START, error=-20.0, integral=-10.0),
        BAND,
        replace(only_p, ki=0.1, kd=0.2),
        used=80.0,
        own=80.0,
        at=START + STEP_S,
    )
    assert second.output == pytest.approx(0.5 * -10.0 + 0.1 * -20.0 + 0.2 * 10.0)


def test_no_value_is_never_a_low_one() -> None:
    assert Band(60, 70, 80, 90).zone(None) is Zone.UNKNOWN
    assert [Band(60, 70, 80, 90).zone(v) for v in (0, 60, 80, 90, 91)] == [
        Zone.BELOW,
        Zone.OPTIMAL,
        Zone.OPTIMAL,
        Zone.ABOVE,
        Zone.CRITICAL,
    ]


def test_what_holds_the_workers_from_outside_winds_nothing_up_and_use_above_the_target_still_counts() -> None:
    state = replace(Controller(), at=START, duty=0.2, integral=30.0, appetite=100.0, held=True)
    below = step(state, BAND, Pid(), used=20.0, own=20.0, at=START + STEP_S, in_force=0.2)
    above = step(state, BAND, Pid(), used=95.0, own=20.0, at=START + STEP_S, in_force=0.2)
    assert (below.integral, below.output, below.duty) == (30.0, 0.0, pytest.approx(0.7))
    assert above.output < 0


def test_a_change_that_is_foretold_is_made_room_for() -> None:
    state = replace(Controller(), at=START, duty=0.5, appetite=100.0)
    duties = [
        step(state, BAND, Pid(), used=70.0, own=50.0, at=START + STEP_S, in_force=0.5, ahead=ahead).duty
        for ahead in (10.0, 0.0, -10.0)
    ]
    assert duties == [pytest.approx(0.4), pytest.approx(0.5), pytest.approx(0.6)]
