from __future__ import annotations

from ringrift_airflow.dag_defaults import CHILD_RETRIES, GPU_JOB_RETRIES, RETRY_POLICY
from ringrift_loop import errors


def test_retries_outlast_the_lease_of_a_job_that_was_killed() -> None:
    from inspect import signature

    from ringrift_loop.ledger.leases import hold

    delay = RETRY_POLICY.evaluate(errors.NoCapacity("x"), try_number=1, max_tries=3).retry_delay
    assert delay is not None
    assert delay.total_seconds() * CHILD_RETRIES["retries"] > signature(hold).parameters["ttl_s"].default


def test_retries_outlast_the_time_in_which_a_job_on_a_vanished_host_may_still_run() -> None:
    from ringrift_loop.cluster.agent.job_record import FENCE_S
    from ringrift_loop.ledger.jobs import MARGIN_S

    delay = RETRY_POLICY.evaluate(errors.JobOutOfSight("x"), try_number=1, max_tries=3).retry_delay
    assert delay is not None
    assert delay.total_seconds() * GPU_JOB_RETRIES["retries"] > FENCE_S + MARGIN_S
