"""What holds workers back besides their machine's own use: rate, backpressure, forecasts, whole workers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ringrift_loop.config import ResourceTargets
from ringrift_loop.ledger.resources import DecisionRow
from ringrift_loop.resources.control import MIN_DUTY
from ringrift_loop.resources.decision import NOTHING, MachineSample, Outside, decide, resting

SAMPLE = MachineSample("m", ("a",), 1.0e6, cpu=70.0, workers=70.0, jobs=0.0, memory=40.0, duty=0.7)
STEP = 30.0


class Machine:
    """A machine whose workers use `appetite` points at full duty when all of them play."""

    def __init__(self, *, slots: int = 2, appetite: float = 100.0, hosts: tuple[str, ...] = ("a",)) -> None:
        self.slots, self.appetite, self.hosts = slots, appetite, hosts
        self.row: DecisionRow | None = None
        self.at = 1.0e6

    @property
    def playing(self) -> int:
        return self.slots - (0 if self.row is None else resting(self.row)[1])

    def run(self, others: float, outside: Outside = NOTHING, steps: int = 1) -> DecisionRow:
        for _ in range(steps):
            self.at += STEP
            duty = 1.0 if self.row is None else self.row.duty
            own = min(100.0 - others, self.appetite * duty * self.playing / self.slots)
            sample = MachineSample("m", self.hosts, self.at, own + others, own, 0.0, 40.0, duty)
            row = decide(ResourceTargets(), self.row, sample, replace(outside, slots=self.slots))
            assert row is not None
            self.row = row
        assert self.row is not None
        return self.row

    def settle(self) -> DecisionRow:
        return self.run(0.0, steps=20)


def test_a_clock_that_was_set_back_is_decided_by_at_once() -> None:
    machine = Machine()
    machine.settle()
    machine.at -= 3600.0
    assert machine.run(60.0).duty < machine.settle().duty + 1e-9
    busy = machine.run(90.0, steps=20)
    assert busy.duty < 0.5


def test_a_rate_holds_the_duty_and_the_reason_says_whose_it_is() -> None:
    row = decide(
        ResourceTargets(), None, SAMPLE, Outside(1, cap=0.3, rate_reason="held to 400 games/h as negotiated by x")
    )
    assert row is not None
    assert row.duty == 0.3
    assert "held to 400 games/h as negotiated by x: the workers go from 70% to 30% of their time" in row.reason


def test_a_rate_above_what_the_machine_gives_anyway_is_not_spoken_of() -> None:
    row = decide(ResourceTargets(), None, SAMPLE, Outside(1, cap=0.95, rate_reason="held to 400 games/h"))
    assert row is not None
    assert row.duty < 0.95
    assert "held to" not in row.reason


def test_a_small_correction_of_a_held_duty_is_left_out() -> None:
    machine = Machine()
    machine.settle()
    machine.run(0.0, Outside(cap=0.3))
    assert machine.run(0.0, Outside(cap=0.305)).duty == 0.3
    assert machine.run(0.0, Outside(cap=0.33)).duty == 0.33


def test_after_an_hour_of_being_held_the_machine_comes_back_into_its_band_without_overshoot() -> None:
    machine = Machine(appetite=120.0)
    machine.settle()
    machine.run(0.0, Outside(cap=0.2), steps=120)
    used = [machine.appetite * machine.run(0.0).duty for _ in range(10)]
    assert max(used) <= 80.0
    assert min(used[2:]) >= 60.0


def test_backpressure_lowers_the_duty_and_is_named() -> None:
    machine = Machine()
    before = machine.settle().duty
    row = machine.run(0.0, Outside(pressure=0.5, pressure_reason="the disk of a is 90% full"))
    assert row.duty == pytest.approx(0.5 * before, rel=0.05)
    assert "backpressure lets 50% through (the disk of a is 90% full)" in row.reason
    assert machine.run(0.0, Outside(pressure=0.5, pressure_reason="the disk of a is 90% full"), steps=20).duty == (
        pytest.approx(0.5 * before, rel=0.1)  # it does not compound
    )
    rest = machine.run(0.0, Outside(pressure=0.0, pressure_reason="it is full"))
    assert (rest.duty, rest.reason.endswith("and all of them rest")) == (MIN_DUTY, True)


def test_a_ramp_of_strangers_is_met_early_once_forecasts_have_proven_themselves() -> None:
    def most(proven: bool) -> float:
        machine = Machine(appetite=120.0)
        machine.settle()
        used = []
        for number in range(40):
            if not proven and machine.row is not None:
                machine.row = replace(machine.row, state={**machine.row.state, "outlook": None})
            others = min(60.0, 2.0 * number)
            row = machine.run(others)
            if 15 <= number < 30:
                used.append(float(str(row.inputs["cpu"])))
        return sum(used) / len(used)

    assert abs(most(True) - 70.0) < abs(most(False) - 70.0)
    assert most(True) < most(False)


def test_the_forecast_that_was_acted_on_stands_in_the_reason_with_its_record() -> None:
    machine = Machine()
    machine.settle()
    for number in range(20):
        row = machine.run(2.0 * number)
    assert "others' load rises by 4 points within 60 s (such forecasts were " in row.reason


def test_a_worker_rests_where_the_least_duty_is_too_much_and_is_woken_when_there_is_room() -> None:
    machine = Machine(slots=3, appetite=80.0)
    machine.settle()
    crowded = [resting(machine.run(85.0))[1] for _ in range(40)]
    assert crowded[5] == 0  # not at once
    assert crowded[-1] == 2  # and one is left
    assert machine.run(85.0).reason.endswith(", 1 of 3 play")
    woken = [resting(machine.run(0.0))[1] for _ in range(30)]
    assert woken[3] == 2  # not at once
    assert woken[-1] == 0


def test_waking_a_worker_does_not_throw_the_machine_over_its_band_for_minutes() -> None:
    machine = Machine(slots=2, appetite=100.0)
    machine.settle()
    machine.run(85.0, steps=20)
    used = [float(str(machine.run(0.0).inputs["cpu"])) for _ in range(60)]
    assert machine.playing == 2
    over = [value > 80.0 for value in used]
    assert sum(over) <= 3


def test_what_is_held_back_from_outside_wakes_nobody() -> None:
    for outside in (Outside(cap=0.4), Outside(pressure=0.8), Outside(rate_room=1)):
        machine = Machine(slots=2, appetite=100.0)
        machine.run(85.0, steps=20)
        assert machine.playing == 1
        machine.run(0.0, outside, steps=60)
        assert machine.playing == 1, outside


def test_too_many_workers_for_the_rate_rest_and_more_than_the_last_may() -> None:
    machine = Machine(slots=3, appetite=80.0)
    machine.settle()
    machine.run(0.0, Outside(cap=0.05, rate_most=0), steps=40)
    assert machine.playing == 0
    machine.run(0.0, Outside(cap=0.05, rate_most=0, rate_room=0), steps=40)
    assert machine.playing == 0
    machine.run(0.0, Outside(), steps=60)
    assert machine.playing == 3


def test_a_machine_that_may_be_used_whole_wakes_who_rests_at_any_use() -> None:
    targets = ResourceTargets(cpu_max=100.0)
    row = decide(targets, None, replace(SAMPLE, memory=86.0), Outside(4))
    assert row is not None
    assert resting(row)[1] == 1
    for number in range(1, 8):
        at = SAMPLE.at + number * STEP
        row = decide(targets, row, replace(SAMPLE, cpu=75.0, workers=75.0, at=at, duty=1.0), Outside(4))
        assert row is not None
    assert resting(row)[1] == 0


def test_a_machine_short_of_memory_lets_workers_rest_at_once_and_wakes_none_before_there_is_room() -> None:
    targets = ResourceTargets()
    held = decide(targets, None, replace(SAMPLE, memory=86.0), Outside(4))
    assert held is not None
    assert resting(held)[1] == 1
    assert "memory 86% is above 85%" in held.reason
    row = decide(targets, held, replace(SAMPLE, memory=93.0, at=SAMPLE.at + STEP), Outside(4))
    assert row is not None
    assert resting(row)[1] == 3  # halfway to full, half of those that play
    for number in range(2, 20):  # there is CPU to spare, and no memory
        row = decide(
            targets,
            row,
            replace(SAMPLE, cpu=20.0, workers=20.0, memory=75.0, at=SAMPLE.at + number * STEP, duty=1.0),
            Outside(4),
        )
        assert row is not None
    assert resting(row)[1] == 3
    for number in range(20, 40):
        row = decide(
            targets,
            row,
            replace(SAMPLE, cpu=20.0, workers=20.0, memory=40.0, at=SAMPLE.at + number * STEP, duty=1.0),
            Outside(4),
        )
        assert row is not None
    assert resting(row)[1] < 3
