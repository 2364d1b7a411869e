from __future__ import annotations

import pytest
from airflow.sdk import RetryAction

from ringrift_airflow.dag_defaults import GPU_JOB_RETRIES, JOB_RETRIES, RETRY_POLICY
from ringrift_loop import errors

DECISIONS = {
    errors.ConfigError: RetryAction.FAIL,
    errors.DataError: RetryAction.FAIL,
    errors.GateError: RetryAction.FAIL,
    errors.IllegalMoveError: RetryAction.FAIL,
    errors.ModelError: RetryAction.FAIL,
    errors.HostError: RetryAction.RETRY,
    errors.HostKeyRefused: RetryAction.FAIL,
    errors.HostUnreachable: RetryAction.RETRY,
    errors.JobFaulty: RetryAction.FAIL,
    errors.JobInterrupted: RetryAction.RETRY,
    errors.JobOutOfMemory: RetryAction.FAIL,
    errors.JobOutOfSight: RetryAction.RETRY,
    errors.LedgerError: RetryAction.RETRY,
    errors.LoginRefused: RetryAction.FAIL,
    errors.NoCapacity: RetryAction.RETRY,
    errors.RemoteJobFailed: RetryAction.RETRY,
    errors.TrainingStopped: RetryAction.RETRY,
}


@pytest.mark.parametrize("error", DECISIONS, ids=lambda error: error.__name__)
def test_each_error_of_the_library_is_retried_or_not_as_decided(error: type[Exception]) -> None:
    assert RETRY_POLICY.evaluate(error("x"), try_number=1, max_tries=3).action is DECISIONS[error]


def test_no_error_of_the_library_is_without_a_decision() -> None:
    known = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.LoopError)}
    assert known - {errors.LoopError} == set(DECISIONS)


def test_retries_outlast_the_lease_of_a_job_that_was_killed() -> None:
    from inspect import signature

    from ringrift_loop.ledger.leases import hold

    delay = RETRY_POLICY.evaluate(errors.NoCapacity("x"), try_number=1, max_tries=3).retry_delay
    assert delay is not None
    assert delay.total_seconds() * JOB_RETRIES["retries"] > signature(hold).parameters["ttl_s"].default


def test_retries_outlast_the_time_in_which_a_job_on_a_vanished_host_may_still_run() -> None:
    from ringrift_loop.cluster.agent.job_record import FENCE_S
    from ringrift_loop.ledger.jobs import MARGIN_S

    delay = RETRY_POLICY.evaluate(errors.JobOutOfSight("x"), try_number=1, max_tries=3).retry_delay
    assert delay is not None
    assert delay.total_seconds() * GPU_JOB_RETRIES["retries"] > FENCE_S + MARGIN_S
