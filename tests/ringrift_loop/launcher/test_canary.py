from __future__ import annotations

from ringrift_loop.launcher.airflow_api import QueuedTask
from ringrift_loop.launcher.canary import ExecutorCanary


def test_young_queued_tasks_are_no_stall() -> None:
    canary = ExecutorCanary(lambda: 1000.0, stall_after_s=60)
    assert canary.complaint([QueuedTask("d", "t", 950.0)]) is None


def test_one_old_queued_task_is_a_stall_even_among_young_ones() -> None:
    canary = ExecutorCanary(lambda: 1000.0, stall_after_s=60)
    complaint = canary.complaint([QueuedTask("d", "young", 999.0), QueuedTask("d", "old", 930.0)])
    assert complaint is not None
    assert "d.old has been queued for 70 s (limit 60 s, 2 waiting)" in complaint


def test_nothing_queued_is_no_stall() -> None:
    assert ExecutorCanary(lambda: 1000.0).complaint([]) is None


def test_a_restarting_scheduler_gets_time_before_the_next_complaint() -> None:
    now = [1000.0]
    canary = ExecutorCanary(lambda: now[0], stall_after_s=60)
    old = [QueuedTask("d", "t", 900.0)]
    said = []
    for seconds in (0, 15, 119, 121):
        now[0] = 1000.0 + seconds
        said.append(canary.complaint(old) is not None)
    assert said == [True, False, False, True]
