from __future__ import annotations

from ringrift_loop.launcher.airflow_api import QueuedTask
from ringrift_loop.launcher.canary import ExecutorCanary


def test_young_queued_tasks_are_no_stall() -> None:
    canary = ExecutorCanary(lambda: 1000.0, stall_after_s=60)
    assert canary.complaint([QueuedTask("d", "t", 950.0)]) is None


def test_one_old_queued_task_is_a_stall_at_the_second_look_even_among_young_ones() -> None:
    canary = ExecutorCanary(lambda: 1000.0, stall_after_s=60)
    queued = [QueuedTask("d", "young", 999.0), QueuedTask("d", "old", 930.0)]
    assert canary.complaint(queued) is None
    complaint = canary.complaint(queued)
    assert complaint is not None
    assert "d.old has been queued for 70 s (limit 60 s, 2 waiting)" in complaint


def test_a_machine_that_wakes_up_has_no_stall() -> None:
    now = [1000.0]
    canary = ExecutorCanary(lambda: now[0], stall_after_s=60)
    assert canary.complaint([QueuedTask("d", "t", 999.0)]) is None
    now[0] += 30_000.0  # the lid was closed
    assert canary.complaint([QueuedTask("d", "t", 999.0)]) is None
    assert canary.complaint([QueuedTask("d", "next", 31_001.0)]) is None
    assert canary.complaint([]) is None


def test_nothing_queued_is_no_stall() -> None:
    assert ExecutorCanary(lambda: 1000.0).complaint([]) is None


def test_a_restarting_scheduler_gets_time_before_the_next_complaint() -> None:
    now = [1000.0]
    canary = ExecutorCanary(lambda: now[0], stall_after_s=60)
    old = [QueuedTask("d", "t", 900.0)]
    said = []
    for seconds in (-15, 0, 15, 119, 121, 136):
        now[0] = 1000.0 + seconds
        said.append(canary.complaint(old) is not None)
    assert said == [False, True, False, False, False, True]


def test_a_clock_that_is_set_back_makes_it_quiet_no_longer() -> None:
    now = [1000.0]
    canary = ExecutorCanary(lambda: now[0], stall_after_s=60)
    old = [QueuedTask("d", "t", -90_000.0)]
    assert [canary.complaint(old) is not None for _ in range(2)] == [False, True]
    now[0] -= 86_400.0
    assert [canary.complaint(old) is not None for _ in range(2)] == [False, True]
