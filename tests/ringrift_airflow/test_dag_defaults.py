from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from ringrift_airflow.dag_defaults import CHILD_RETRIES, GPU_JOB_RETRIES, RETRY_POLICY
from ringrift_airflow.tasks import full_tournament, tournament
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


@pytest.mark.parametrize(
    ("tasks", "play"),
    [
        (tournament, lambda: tournament.play_shadow_games.function("square8_2p", 8)),
        (full_tournament, lambda: full_tournament.play_full_tournament.function("square8_2p", None)),
    ],
)
def test_a_tournament_that_another_process_plays_is_left_to_the_next_run(
    tasks: ModuleType, play: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*arguments: str) -> None:
        raise errors.NoCapacity("lease held: full:square8_2p by a process that was killed, free in 36 s")

    def broken(*arguments: str) -> None:
        raise errors.LedgerError("no such table")

    monkeypatch.setattr(tasks, "run_command", busy)
    with pytest.raises(AirflowSkipException, match=r"left to the next run: lease held: .* free in 36 s"):
        play()
    monkeypatch.setattr(tasks, "run_command", broken)
    with pytest.raises(errors.LedgerError):
        play()
