from __future__ import annotations

import pendulum
import pytest
from airflow.timetables.base import DataInterval, TimeRestriction

from ringrift_airflow.timetables import OffsetTimetable

NOW = pendulum.datetime(2026, 3, 1, 12, 0, 40, tz="UTC")
ANY_TIME = TimeRestriction(earliest=None, latest=None, catchup=False)


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pendulum, "now", lambda tz: NOW)


def run_after(timetable: OffsetTimetable, last_end: pendulum.DateTime | None, **limits: object) -> str | None:
    last = None if last_end is None else DataInterval(start=last_end.subtract(seconds=30), end=last_end)
    info = timetable.next_dagrun_info(
        last_automated_data_interval=last, restriction=ANY_TIME._replace(**limits) if limits else ANY_TIME
    )
    return None if info is None else info.run_after.to_time_string()


def test_first_run_starts_at_once_at_the_grid_time_that_has_passed() -> None:
    assert run_after(OffsetTimetable(interval_s=30, offset_s=7), None) == "12:00:37"


def test_following_runs_keep_the_interval_and_the_offset() -> None:
    last = pendulum.datetime(2026, 3, 1, 12, 0, 37, tz="UTC")
    assert run_after(OffsetTimetable(interval_s=30, offset_s=7), last) == "12:01:07"


def test_times_missed_while_the_scheduler_was_away_are_skipped_but_for_the_newest() -> None:
    last = pendulum.datetime(2026, 3, 1, 9, 0, 7, tz="UTC")
    assert run_after(OffsetTimetable(interval_s=30, offset_s=7), last) == "12:00:37"


def test_a_changed_interval_is_taken_up_on_its_own_grid() -> None:
    last = pendulum.datetime(2026, 3, 1, 12, 0, 37, tz="UTC")  # of the 30-second grid
    assert run_after(OffsetTimetable(interval_s=300, offset_s=22), last) == "12:10:22"


def test_no_run_after_the_end_date() -> None:
    end = pendulum.datetime(2026, 3, 1, 12, 0, 30, tz="UTC")
    assert run_after(OffsetTimetable(interval_s=30, offset_s=7), None, latest=end) is None


def test_intervals_follow_each_other_without_gap() -> None:
    timetable = OffsetTimetable(interval_s=30, offset_s=7)
    first = timetable.next_dagrun_info(last_automated_data_interval=None, restriction=ANY_TIME)
    assert first is not None and first.data_interval is not None
    second = timetable.next_dagrun_info(last_automated_data_interval=first.data_interval, restriction=ANY_TIME)
    assert second is not None and second.data_interval is not None
    assert second.data_interval.start == first.data_interval.end


def test_survives_airflows_database() -> None:
    timetable = OffsetTimetable(interval_s=30, offset_s=7)
    assert OffsetTimetable.deserialize(timetable.serialize()) == timetable


@pytest.mark.parametrize(("interval", "offset"), [(0, 0), (30, 30), (30, -1)])
def test_refuses_an_offset_outside_the_interval(interval: float, offset: float) -> None:
    with pytest.raises(ValueError, match="must be"):
        OffsetTimetable(interval_s=interval, offset_s=offset)
