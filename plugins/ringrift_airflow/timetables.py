"""When the loop's DAGs run: at an interval with a phase of its own, or again and again, whatever the clock did.

Airflow's `timedelta` schedules all share one phase (the epoch). On a small machine six task processes that start in
the same second push each other's heartbeats aside; shifted by some seconds they do not meet.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pendulum
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction, Timetable
from airflow.timetables.simple import ContinuousTimetable

# Each time the clock went back, the runs that follow stand this much later on the grid, because Airflow makes no second
# run for a time that has one.
_STEP = timedelta(microseconds=1)
_STEPS_AT_MOST = timedelta(milliseconds=1)


class OffsetTimetable(Timetable):
    """Runs at `k * interval + offset` seconds since the epoch; a time that was missed is skipped, not made up for.

    A last run that is later than now was made while the clock was ahead, or the clock went back: it is not waited for.
    Airflow asks again at each parse of the DAG files, so the DAG goes on within `min_file_process_interval`.

    Args:
        interval_s: seconds between two runs, above 0.
        offset_s: seconds by which the grid is shifted, from 0 to below the interval.
    """

    def __init__(self, *, interval_s: float, offset_s: float = 0.0) -> None:
        if interval_s <= 0:
            raise ValueError(f"interval_s must be above 0, got {interval_s}")
        if not 0 <= offset_s < interval_s:
            raise ValueError(f"offset_s must be from 0 to below interval_s={interval_s}, got {offset_s}")
        self.interval_s = interval_s
        self.offset_s = offset_s
        self.description = f"every {interval_s:g} s, {offset_s:g} s after the full interval"

    @property
    def summary(self) -> str:
        """What the DAG list shows."""
        return f"every {self.interval_s:g} s"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, OffsetTimetable):
            return NotImplemented
        return self.serialize() == other.serialize()

    def __hash__(self) -> int:
        return hash((self.interval_s, self.offset_s))

    def serialize(self) -> dict[str, Any]:
        """The two figures, for Airflow's database."""
        return {"interval_s": self.interval_s, "offset_s": self.offset_s}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> OffsetTimetable:
        """The timetable that `serialize` wrote down."""
        return cls(interval_s=float(data["interval_s"]), offset_s=float(data["offset_s"]))

    def infer_manual_data_interval(self, *, run_after: pendulum.DateTime) -> DataInterval:
        """The interval that ends when a manual run starts."""
        return DataInterval(start=run_after - timedelta(seconds=self.interval_s), end=run_after)

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """The next grid time; the last one that has passed at the first start and after a time without a scheduler."""
        now = pendulum.now("UTC")
        due = self._at_or_before(now)
        if last_automated_data_interval is not None:
            last = last_automated_data_interval.end
            steps = self._steps(last)
            if last > now:
                due += steps + _STEP
            else:
                due = max(due, self._at_or_after(last - steps + timedelta(seconds=self.interval_s))) + steps
        if restriction.earliest is not None:
            due = max(due, self._at_or_after(restriction.earliest))
        if restriction.latest is not None and due > restriction.latest:
            return None
        return DagRunInfo.interval(due - timedelta(seconds=self.interval_s), due)

    def _steps(self, moment: pendulum.DateTime) -> timedelta:
        beyond = moment - self._at_or_before(moment)
        return timedelta(microseconds=beyond.microseconds) if beyond < _STEPS_AT_MOST else timedelta(0)

    def _at_or_before(self, moment: pendulum.DateTime) -> pendulum.DateTime:
        steps = (moment.timestamp() - self.offset_s) // self.interval_s
        return pendulum.from_timestamp(steps * self.interval_s + self.offset_s)

    def _at_or_after(self, moment: pendulum.DateTime) -> pendulum.DateTime:
        before = self._at_or_before(moment)
        return before if before >= moment else before + timedelta(seconds=self.interval_s)


class AgainTimetable(ContinuousTimetable):
    """Airflow's `@continuous`, which waits for a last run that is later than now; this one does not."""

    description = "again as soon as the last run has ended"

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """A run at once, from where the last one ended."""
        now = pendulum.now("UTC")
        if last_automated_data_interval is not None and last_automated_data_interval.end > now:
            return DagRunInfo.interval(now - timedelta(seconds=1), now)
        return super().next_dagrun_info(
            last_automated_data_interval=last_automated_data_interval, restriction=restriction
        )
