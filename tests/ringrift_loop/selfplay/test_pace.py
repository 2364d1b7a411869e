from __future__ import annotations

import os
from pathlib import Path

import pytest

from ringrift_loop.config import Selfplay
from ringrift_loop.errors import DataError
from ringrift_loop.layout import HostDirectory
from ringrift_loop.selfplay.pace import Pace, read_duty, write_duty
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


@pytest.mark.parametrize("duty", [0.05, 0.5, 1.0])
def test_the_share_of_computing_comes_to_the_duty(duty: float) -> None:
    time = Time()
    pace = Pace(clock=time.clock, sleep=time.sleep)
    pace.duty, busy = duty, 0.0
    for work in (0.1, 3.0, 0.4, 0.02):
        time.now += work
        busy += work
        pace.rest(work, until=lambda: False)
    assert busy / time.now == pytest.approx(duty)


def test_a_worker_that_is_told_to_stop_does_not_rest_to_the_end() -> None:
    time = Time()
    pace = Pace(clock=time.clock, sleep=time.sleep)
    pace.duty = 0.05
    pace.rest(60.0, until=lambda: time.now >= 1.0)
    assert time.now < 2.0


def test_what_is_written_is_read_and_without_a_file_a_worker_computes_all_the_time(host: HostDirectory) -> None:
    assert read_duty(host) == 1.0
    write_duty(host, 0.35)
    assert read_duty(host) == 0.35


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"v":2,"duty":0.5}', '{"v":1,"duty":0}', '{"v":1,"duty":1e400}', '{"v":1,"duty":true}']
)
def test_a_file_that_names_no_duty_is_refused(host: HostDirectory, text: str) -> None:
    host.pace.write_text(text)
    with pytest.raises(DataError, match="names no duty"):
        read_duty(host)


def test_a_pipe_in_its_place_blocks_nobody(host: HostDirectory) -> None:
    os.mkfifo(host.pace)
    with pytest.raises(DataError, match="not a plain file"):
        read_duty(host)


@pytest.mark.parametrize("duty", [0.0, -1.0, 1.01, float("nan")])
def test_a_duty_out_of_range_is_not_written(host: HostDirectory, duty: float) -> None:
    with pytest.raises(DataError, match="above 0 and at most 1"):
        write_duty(host, duty)
    assert not host.pace.exists()


def test_a_file_that_names_no_duty_is_told_once_and_the_worker_keeps_its_duty(
    host: HostDirectory, caplog: pytest.LogCaptureFixture
) -> None:
    worker = Worker(WorkerOptions(host, "square8_2p", 0), Selfplay())
    write_duty(host, 0.4)
    worker._follow_duty()
    host.pace.write_text("{}")
    for _ in range(3):
        worker._error = None  # as each look at the model's pointer leaves it
        worker._follow_duty()
    assert worker._pace.duty == 0.4
    assert len([record for record in caplog.records if "keeping a duty of 40 %" in record.message]) == 1
