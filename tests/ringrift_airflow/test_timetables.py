from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pendulum
import pytest
from airflow.timetables.base import DataInterval, TimeRestriction

from ringrift_airflow.timetables import OffsetTimetable
from ringrift_loop.doctor.loop_state import check_next_runs

PROJECT = Path(__file__).resolve().parents[2]
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


@pytest.mark.parametrize("ahead_s", [1, 29, 31, 3600, 10**9])
def test_a_last_run_later_than_now_is_not_waited_for(ahead_s: int) -> None:
    timetable = OffsetTimetable(interval_s=30, offset_s=7)
    last = timetable._at_or_after(NOW.add(seconds=ahead_s))
    assert run_after(timetable, last) == "12:00:37"


def test_runs_after_the_clock_went_back_keep_the_interval_and_meet_none_that_were_made_before() -> None:
    timetable = OffsetTimetable(interval_s=30, offset_s=7)
    last = DataInterval(NOW.add(minutes=59), NOW.add(minutes=60))
    made = []
    for _ in range(2):
        info = timetable.next_dagrun_info(last_automated_data_interval=last, restriction=ANY_TIME)
        assert info is not None and info.data_interval is not None
        last = info.data_interval
        made.append(f"{info.run_after:%H:%M:%S.%f}")
    assert made == ["12:00:37.000001", "12:01:07.000001"]


# Airflow's own steps: what the DAG processor writes down after a parse, and what the scheduler makes of it. The runs of
# the last minute and of the next hour are there already, as they are when the clock has been put back by an hour.
DRIVER = """
import json, sys
from pathlib import Path
import pendulum
from airflow.cli.cli_parser import get_parser
from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
from airflow.jobs.job import Job
from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.serialized_dag import SerializedDagModel
from airflow.settings import Session
from airflow.timetables.base import DataInterval
from airflow.utils.db import initdb
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunTriggeredByType, DagRunType
from sqlalchemy import func, select
from ringrift_airflow import self_check

initdb()
DagBundlesManager().sync_bundles_to_db()
folder = Path(sys.argv[1])
bag = DagBag(str(folder), bundle_path=folder, bundle_name="dags-folder", collect_dags=False)
bag.collect_dags(str(folder))
sync_bag_to_db(bag, "dags-folder", None)
now = pendulum.now("UTC")
scheduler = SchedulerJobRunner(job=Job())
for dag_id in ("ringrift_data_sync", "ringrift_training_wait"):
    with Session() as session:
        dag = SerializedDagModel.get_dag(dag_id, session=session)
        first = now.replace(microsecond=0, second=0).subtract(minutes=1)
        times = [dag.start_date, *(first.add(seconds=30 * number) for number in range(124))]
        for start, end in zip(times, times[1:]):
            interval = DataInterval(end.subtract(seconds=30) if dag_id == "ringrift_data_sync" else start, end)
            dag.create_dagrun(
                run_id=dag.timetable.generate_run_id(
                    run_type=DagRunType.SCHEDULED, run_after=end, data_interval=interval
                ),
                logical_date=interval.start, data_interval=interval, run_after=end, run_type=DagRunType.SCHEDULED,
                triggered_by=DagRunTriggeredByType.TIMETABLE, state=DagRunState.SUCCESS, session=session,
            )
        session.commit()
sync_bag_to_db(bag, "dags-folder", None)
for dag_id in ("ringrift_data_sync", "ringrift_training_wait"):
    with Session() as session:
        model = session.get(DagModel, dag_id)
        before = session.scalar(select(func.count(DagRun.id)))
        scheduler._create_dag_runs([model], session)
        session.commit()
        made = session.scalar(select(func.count(DagRun.id))) - before
        next_s = (model.next_dagrun_create_after - now).total_seconds()
        print("RESULT " + json.dumps([dag_id, made, next_s]))

with Session() as session:
    session.get(DagModel, "ringrift_curriculum_rebalance").next_dagrun_create_after = now.add(days=1)
    session.commit()
self_check.main([sys.argv[1]])
arguments = get_parser().parse_args(["dags", "reserialize"])
arguments.func(arguments)
self_check.main([sys.argv[1]])
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    home = tmp_path_factory.mktemp("airflow")
    environment = os.environ | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
    }
    command = [sys.executable, "-c", DRIVER, str(PROJECT / "dags")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout.splitlines()


def test_airflow_goes_on_at_once_after_the_clock_was_put_back_by_an_hour(told: list[str]) -> None:
    lines = [json.loads(line[7:]) for line in told if line.startswith("RESULT ")]
    assert [(dag_id, made) for dag_id, made, _ in lines] == [("ringrift_data_sync", 1), ("ringrift_training_wait", 1)]
    assert all(-30 <= next_s < 60 for *_, next_s in lines)


def test_doctor_names_a_periodic_dag_whose_next_run_is_far_off_and_its_remedy_brings_it_back(told: list[str]) -> None:
    before, after = (check_next_runs(json.loads(line)["late"]) for line in told if line.startswith('{"dags"'))
    assert before.status == "failed"
    assert before.met.startswith("ringrift_curriculum_rebalance starts in 86")
    assert before.remedy.endswith("airflow dags reserialize")
    assert (after.status, after.met) == ("ok", "as they should")


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
