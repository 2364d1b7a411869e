from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from ringrift_loop.config import Selfplay
from ringrift_loop.errors import DataError
from ringrift_loop.layout import HostDirectory
from ringrift_loop.machine.utilization import CpuCounters
from ringrift_loop.selfplay.pace import MIN_DUTY, Allowance, Neighbours, Pace, read_allowance, write_allowance
from ringrift_loop.selfplay.worker import Worker, WorkerOptions


@pytest.fixture
def host(tmp_path: Path) -> HostDirectory:
    return HostDirectory(tmp_path)


class Time:
    now = 0.0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def nobody(workers: int) -> None:
    """The machine tells nothing of others."""


@pytest.mark.parametrize("duty", [0.05, 0.5, 1.0])
def test_the_share_of_computing_comes_to_the_duty(duty: float) -> None:
    time = Time()
    pace = Pace(nobody, clock=time.clock, sleep=time.sleep)
    pace.allowance, busy = Allowance(duty=duty), 0.0
    for work in (0.1, 3.0, 0.4, 0.02):
        time.now += work
        busy += work
        pace.rest(work, until=lambda: False)
    assert busy / time.now == pytest.approx(duty)
    assert pace.kept == pytest.approx(duty)


def test_a_worker_that_is_told_to_stop_does_not_rest_to_the_end() -> None:
    time = Time()
    pace = Pace(nobody, clock=time.clock, sleep=time.sleep)
    pace.allowance = Allowance(duty=0.05)
    pace.rest(60.0, until=lambda: time.now >= 1.0)
    assert time.now < 2.0


def test_workers_give_way_to_strangers_and_take_what_they_leave_within_seconds() -> None:
    time, load = Time(), {"others": 0.0}
    pace = Pace(lambda workers: load["others"], clock=time.clock, sleep=time.sleep)
    pace.allowance = Allowance(duty=0.7, room=70.0, appetite=100.0, workers=2)

    def work(seconds: float) -> float:
        """How much of the time is computed."""
        began, busy = time.now, 0.0
        while time.now - began < seconds:
            time.now += 0.1
            busy += 0.1
            pace.rest(0.1, until=lambda: False)
        return busy / (time.now - began)

    assert work(20.0) == pytest.approx(0.7, abs=0.02)
    load["others"] = 40.0
    work(2.0)
    assert work(20.0) == pytest.approx(0.3, abs=0.02)
    load["others"] = 0.0
    work(2.0)
    assert work(20.0) == pytest.approx(0.7, abs=0.02)
    assert pace.kept == pytest.approx(0.6, abs=0.1)


def test_workers_that_were_starved_take_no_more_than_there_is_room_for() -> None:
    # Two workers on two cores, whom the coordinator saw take 30 points at full duty, because a training held both.
    time, cpu = Time(), [0.0]
    pace = Pace(lambda workers: 55.0, own=lambda: cpu[0] / 2.0, clock=time.clock, sleep=time.sleep)
    pace.allowance = Allowance(duty=0.1, room=70.0, appetite=30.0, workers=2)
    began = time.now
    while time.now - began < 60.0:
        time.now += 0.1
        cpu[0] += 0.1  # a core of its own from now on
        pace.rest(0.1, until=lambda: False)
    assert 100.0 * 2 * cpu[0] / 2.0 / 60.0 == pytest.approx(15.0, rel=0.05)


def test_a_long_rest_ends_when_the_neighbours_have_left() -> None:
    time = Time()
    pace = Pace(lambda workers: 70.0 if time.now < 5.0 else 0.0, clock=time.clock, sleep=time.sleep)
    pace.allowance = Allowance(duty=MIN_DUTY, room=70.0, appetite=70.0)
    pace.rest(10.0, until=lambda: False)
    assert time.now < 7.0  # not 90 s


@pytest.mark.parametrize(
    ("allowance", "others", "duty"),
    [
        (Allowance(duty=0.5, room=70.0, appetite=100.0), 20.0, 0.5),
        (Allowance(duty=0.5, room=70.0, appetite=100.0), 22.0, 0.5),  # less than anybody notices
        (Allowance(duty=0.5, room=70.0, appetite=100.0), 50.0, 0.2),
        (Allowance(duty=0.5, room=70.0, appetite=100.0), 100.0, MIN_DUTY),
        (Allowance(duty=0.5, room=70.0, appetite=100.0), 0.0, 0.7),
        (Allowance(duty=0.5, room=70.0, appetite=40.0), 0.0, 1.0),
        (Allowance(duty=0.4, most=0.4, room=70.0, appetite=100.0), 0.0, 0.4),  # a rate holds them
        (Allowance(duty=0.4, most=0.4, room=70.0, appetite=100.0), 50.0, 0.2),
        (Allowance(duty=1.0), 100.0, 1.0),  # a machine that may be used whole
    ],
)
def test_the_duty_beside_others(allowance: Allowance, others: float, duty: float) -> None:
    assert allowance.beside(others) == pytest.approx(duty)


@pytest.mark.parametrize(
    ("change", "serves"),
    [
        ({}, True),
        ({"room": 71.0}, True),
        ({"appetite": 105.0}, True),
        ({"duty": 0.51}, False),
        ({"most": 0.8}, False),
        ({"room": 75.0}, False),
        ({"room": None}, False),
        ({"appetite": 150.0}, False),
        ({"workers": 3}, False),
    ],
)
def test_a_host_is_told_again_when_it_makes_a_difference(change: dict[str, Any], serves: bool) -> None:
    told = Allowance(duty=0.5, room=70.0, appetite=100.0, workers=2)
    assert told.serves(structs.replace(told, **change)) == serves


class Machine:
    """Counters of a machine of four cores with workers that each use half a core, and strangers."""

    def __init__(self, workers: int) -> None:
        self.at, self.busy_s, self.own_s, self.workers, self.id = 100.0, 50.0, 5.0, workers, "m"

    def passes(self, seconds: float, strangers: float) -> None:
        self.at += seconds
        self.own_s += 0.5 * seconds
        self.busy_s += (0.5 * self.workers + strangers) * seconds

    def counters(self) -> CpuCounters:
        return CpuCounters(self.id, self.at, self.busy_s, {}, 4.0)


def test_neighbours_are_what_is_left_beside_all_workers() -> None:
    machine = Machine(workers=3)
    neighbours = Neighbours(machine.counters, lambda: machine.own_s)
    assert neighbours.use(3) is None
    machine.passes(1.0, 1.0)
    assert neighbours.use(3) is None  # a second says little
    for _ in range(4):
        machine.passes(1.0, 1.0)
        neighbours.use(3)
    assert neighbours.use(3) == pytest.approx(25.0)
    for _ in range(5):
        machine.passes(1.0, 2.0)
        neighbours.use(3)
    assert neighbours.use(3) == pytest.approx(50.0)  # what is older than the window is forgotten


def test_neighbours_of_a_machine_with_another_limit_start_anew() -> None:
    machine = Machine(workers=1)
    neighbours = Neighbours(machine.counters, lambda: machine.own_s)
    for _ in range(5):
        neighbours.use(1)
        machine.passes(1.0, 1.0)
    machine.id, machine.busy_s = "another", 0.0
    assert neighbours.use(1) is None


def test_neighbours_of_this_process_are_told() -> None:
    neighbours = Neighbours()
    deadline = time.monotonic() + 30.0
    while (use := neighbours.use(1)) is None and time.monotonic() < deadline:
        time.sleep(0.1)
    assert use is not None
    assert 0.0 <= use <= 100.0


def test_what_is_written_is_read_and_without_a_file_a_worker_computes_all_the_time(host: HostDirectory) -> None:
    assert read_allowance(host) == Allowance()
    allowance = Allowance(duty=0.35, most=0.9, room=66.5, appetite=120.0, workers=3)
    write_allowance(host, allowance)
    assert read_allowance(host) == allowance


def test_a_file_of_an_earlier_version_names_the_duty_alone(host: HostDirectory) -> None:
    host.pace.write_text('{"v": 1, "duty": 0.4}')
    assert read_allowance(host) == Allowance(duty=0.4)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"v":2,"duty":0.5}',
        '{"v":1,"duty":0}',
        '{"v":1,"duty":1e400}',
        '{"v":1,"duty":true}',
        '{"v":1,"duty":0.5,"room":-1}',
        '{"v":1,"duty":0.5,"appetite":0}',
    ],
)
def test_a_file_that_names_no_duty_is_refused(host: HostDirectory, text: str) -> None:
    host.pace.write_text(text)
    with pytest.raises(DataError, match=r"pace\.json"):
        read_allowance(host)


def test_a_pipe_in_its_place_blocks_nobody(host: HostDirectory) -> None:
    os.mkfifo(host.pace)
    with pytest.raises(DataError, match="not a plain file"):
        read_allowance(host)


def test_a_file_that_names_no_duty_is_told_once_and_the_worker_keeps_its_duty(
    host: HostDirectory, caplog: pytest.LogCaptureFixture
) -> None:
    worker = Worker(WorkerOptions(host, "square8_2p", 0), Selfplay())
    write_allowance(host, Allowance(duty=0.4))
    worker._follow_allowance()
    host.pace.write_text("{}")
    for _ in range(3):
        worker._error = None  # as each look at the model's pointer leaves it
        worker._follow_allowance()
    assert worker._pace.duty == 0.4
    assert len([record for record in caplog.records if "keeping a duty of 40 %" in record.message]) == 1
