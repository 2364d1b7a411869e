"""What every DAG and task of the loop starts from: owner, retries, time limits, pools, schedule.

Whether a failure is tried again follows the remedy of its class (`ringrift_loop/errors.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pendulum
from airflow.sdk import RetryDecision, RetryPolicy, WeightRule
from airflow.sdk.exceptions import AirflowSkipException

from ringrift_airflow.halt import skip_while_halted
from ringrift_airflow.notifications import notify_failure
from ringrift_airflow.timetables import OffsetTimetable
from ringrift_loop.errors import NoCapacity, Remedy, as_loop_error

if TYPE_CHECKING:
    from airflow.sdk import Context

OWNER = "ringrift"
TAG = "ringrift"

# config/pools.json has the number of slots of each; a test compares the two.
SYNC_POOL = "sync"
SUPERVISION_POOL = "supervision"
TRAINING_POOL = "training"
GATE_POOL = "gate"
MATCHES_POOL = "matches"
LEDGER_POOL = "ledger"
POOLS = (SYNC_POOL, SUPERVISION_POOL, TRAINING_POOL, GATE_POOL, MATCHES_POOL, LEDGER_POOL)

# Who goes first in a pool: what ends something that others wait for, and of equal ones the older run (`oldest_first`).
PRIORITY = 1  # whatever else there is
TESTS_PRIORITY = 2  # the regression gate
CHAMPION_GATE_PRIORITY = 3  # a candidate that has begun is judged before the next one begins
FINISH_PRIORITY = 4  # verdicts, promotions and distribution take seconds

SHORT = timedelta(minutes=2)  # reads and writes the ledger
HOSTS = timedelta(minutes=5)  # talks to every host once
CHAMPION_GATE_LIMIT = timedelta(hours=2)  # at least: games against the champion until it is decided

_REASONS = {
    Remedy.FAIL: "the same input would fail the same way: a person has to look",
    Remedy.TRY_AGAIN: "a host or the ledger was away, or the work was cut off from outside",
    Remedy.WAIT: "another process or job has what is needed, or may still have it",
}


class RemedyPolicy(RetryPolicy):
    """Retries what its class says is worth it (`errors.Remedy`); errors that are not the loop's are left to Airflow."""

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
    ) -> RetryDecision:
        """The remedy of the error, and after how long."""
        own = as_loop_error(exception)
        if own is None:
            return RetryDecision.default()
        if own.remedy is Remedy.FAIL:
            return RetryDecision.fail(_REASONS[own.remedy])
        return RetryDecision.retry(timedelta(seconds=own.pause_s), _REASONS[own.remedy])


RETRY_POLICY = RemedyPolicy()


@contextmanager
def left_to_the_next_run() -> Iterator[None]:
    """For work that the next run does as well: while another process is at it, such as a copy whose lease outlives a
    kill -9, or it is not due yet, there is nothing to do here, and nothing has failed.

    Raises:
        AirflowSkipException: in place of NoCapacity.
    """
    try:
        yield
    except NoCapacity as busy:
        raise AirflowSkipException(f"left to the next run: {busy}") from None


DEFAULT_ARGS: dict[str, Any] = {
    "owner": OWNER,
    "retries": 2,
    "retry_delay": timedelta(seconds=15),
    "retry_policy": RETRY_POLICY,
    "pre_execute": skip_while_halted,
    "priority_weight": PRIORITY,
    "weight_rule": WeightRule.ABSOLUTE,
    "on_failure_callback": notify_failure,
}

DAG_DEFAULTS: dict[str, Any] = {
    "start_date": pendulum.datetime(2025, 1, 1, tz="UTC"),
    "catchup": False,
    "max_active_runs": 1,
    "default_args": DEFAULT_ARGS,
    "render_template_as_native_obj": True,
}

# Runs of the training DAG for each variant: one that trains or is at its gates, one whose champion still goes out, and
# one by hand that waits. The ledger says who trains (`ringrift_loop/training/due.py`), not the number of runs.
RUNS_PER_VARIANT = 3

# A run by hand asks for its training every minute (`errors.NoCapacity`), and holds no slot meanwhile: five hours.
CLAIM_RETRIES = 300
CLAIM_PATIENCE = timedelta(minutes=CLAIM_RETRIES)

# A task that runs a child process: the lease of a copy that was killed must have ended before the retries have.
CHILD_RETRIES: dict[str, Any] = {"retries": 4, "retry_delay": timedelta(seconds=30)}

# A job on a host: tries go on until one whose host vanished must have ended by itself, and then place it elsewhere.
GPU_JOB_RETRIES: dict[str, Any] = {"retries": 6, "retry_delay": timedelta(seconds=30)}

# Seconds after the full interval at which each periodic DAG starts; all different, so that none start together.
_OFFSETS_S = {
    "ringrift_data_sync": 0.0,
    "ringrift_selfplay": 11.0,
    "ringrift_shadow_tournament": 22.0,
    "ringrift_full_tournament": 58.0,
    "ringrift_resource_rebalance": 8.0,
    "ringrift_curriculum_rebalance": 47.0,
    "ringrift_retention": 3.0 * 3600 + 25.0,
}


# Airflow orders the tasks of a pool by their weight and then by the run's logical date, which a run that an asset wakes
# has none of. So the age of the run goes into the weight: seconds, below the distance of two priorities until 2037.
_PRIORITY_STEP = 400_000_000


def oldest_first(weight: int, run_after: datetime) -> int:
    """The weight of a task of priority `weight`, in a run that was to start at `run_after`; again, it changes nothing.

    Priorities above the highest, as in DAGs of other people, count as that.
    """
    if weight >= _PRIORITY_STEP // 2:
        return weight
    age_s = int((run_after - DAG_DEFAULTS["start_date"]).total_seconds())
    return (min(max(weight, PRIORITY), FINISH_PRIORITY) + 1) * _PRIORITY_STEP - age_s


def every(interval_s: float, dag_id: str) -> OffsetTimetable:
    """The schedule of a periodic DAG: its interval, at the phase that keeps it apart from the others."""
    return OffsetTimetable(interval_s=interval_s, offset_s=_OFFSETS_S[dag_id] % interval_s)
