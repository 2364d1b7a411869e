from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringrift_loop.errors import ConfigError
from ringrift_loop.machine import giving_way, run_queue
from ringrift_loop.machine.giving_way import LEAST_SHARE, LOOP_POINTS, ROOM_VARIABLE, GivingWay, OurProcesses
from ringrift_loop.machine.utilization import CpuCounters

CPUS = 2.0
STEP_S = 0.2


class Simulated(OurProcesses):
    """A machine of two cores on which time passes only when somebody computes or sleeps."""

    def __init__(self, strangers: float, jobs: int = 1) -> None:
        self.strangers, self.jobs = strangers, jobs
        self.now = self.own = self.others = 0.0

    def seconds(self) -> float:
        return self.own

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.others += self.strangers / 100.0 * CPUS * seconds

    def compute(self) -> None:
        self.pass_time(STEP_S)
        self.own += STEP_S

    def job(self, room: float | None) -> GivingWay:
        return GivingWay(
            room,
            self,
            counters=lambda: CpuCounters("m", self.now, self.own + self.others, {}, CPUS),
            own=lambda: self.own,
            clock=lambda: self.now,
            sleep=self.pass_time,
        )

    def share(self, job: GivingWay, seconds: float) -> float:
        """Percent of the machine that the job uses in so many seconds."""
        began, used = self.now, self.own
        while self.now - began < seconds:
            self.compute()
            job.rest()
        return 100.0 * (self.own - used) / (self.now - began) / CPUS


@given(st.floats(0, 100), st.floats(20, 99), st.integers(1, 3))
def test_a_job_takes_what_strangers_leave_of_the_room_and_a_tenth_of_its_time_in_any_case(
    strangers: float, room: float, jobs: int
) -> None:
    machine = Simulated(strangers, jobs)
    job = machine.job(room)
    machine.share(job, 10.0)

    left = (room - strangers - LOOP_POINTS) / jobs
    whole = 100.0 / CPUS  # one core, all the time
    assert machine.share(job, 100.0) == pytest.approx(min(whole, max(LEAST_SHARE * whole, left)), rel=0.05)


@given(st.floats(0, 100))
def test_without_a_limit_it_never_rests(strangers: float) -> None:
    for room in (None, 100.0):
        machine = Simulated(strangers)
        assert machine.share(machine.job(room), 10.0) == pytest.approx(100.0 / CPUS)


def test_strangers_who_leave_are_noticed_in_the_middle_of_a_rest() -> None:
    machine = Simulated(100.0)
    job = machine.job(70.0)
    machine.share(job, 10.0)
    for _ in range(50):
        machine.compute()
    began = machine.now

    machine.strangers = 0.0  # a rest of 90 s has just begun
    job.rest()

    assert machine.now - began < 15.0


def test_the_rests_are_told_apart_from_work(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Simulated(60.0)
    job = machine.job(70.0)
    monkeypatch.setattr(giving_way, "_here", job)
    before = run_queue.queued_s()
    began, used = machine.now, machine.own

    machine.share(job, 30.0)

    rested = machine.now - began - (machine.own - used)
    assert rested > 15.0
    assert run_queue.queued_s() - before == pytest.approx(rested, abs=1.0)


@pytest.mark.parametrize(("text", "limited"), [("70.0", True), ("100", False), ("", False)])
def test_it_is_told_by_the_environment(monkeypatch: pytest.MonkeyPatch, text: str, limited: bool) -> None:
    monkeypatch.setenv(ROOM_VARIABLE, text)

    assert (GivingWay.told()._room is not None) is limited


def test_a_limit_that_is_no_percentage_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ROOM_VARIABLE, "much")
    with pytest.raises(ConfigError, match="must be a percentage such as 70, or unset, got 'much'"):
        GivingWay.told()


@contextmanager
def _waiting(environment: Mapping[str, str], *words: str) -> Iterator[psutil.Process]:
    """A process that waits."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("RINGRIFT_")}
    command = [sys.executable, "-S", "-c", "print(flush=True); input()", *words]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**own, **environment}
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield psutil.Process(process.pid)
        process.communicate(b"\n")


@pytest.mark.parametrize(
    ("environment", "words", "kind"),
    [
        ({}, (), (False, False)),
        ({"RINGRIFT_HOME": "/somewhere"}, (), (True, False)),
        ({}, ("ringrift_loop.cli", "selfplay"), (True, False)),
        ({ROOM_VARIABLE: "70"}, (), (True, True)),
    ],
)
def test_whose_work_it_is_is_known_by_environment_and_command(
    environment: dict[str, str], words: tuple[str, ...], kind: tuple[bool, bool]
) -> None:
    with _waiting(environment, *words) as process:
        assert giving_way._kind(process) == kind


def test_our_seconds_hold_this_process_and_jobs_are_counted() -> None:
    processes = OurProcesses()
    with _waiting({ROOM_VARIABLE: "70"}), _waiting({ROOM_VARIABLE: "70"}):
        assert processes.seconds() >= time.process_time() - 0.1
        assert processes.jobs >= 2
