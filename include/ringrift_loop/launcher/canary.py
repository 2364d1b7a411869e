"""Notices when Airflow's local executor has stopped starting tasks although its health is green.

Reproduced: killing the idle worker process that holds the executor's queue lock stops every later task, and no
component reports it. A task is handed to the executor only when a slot is free, so one that stays queued for long
means that nobody takes tasks from the queue.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ringrift_loop.launcher.airflow_api import QueuedTask

STALL_AFTER_S = 60.0


class ExecutorCanary:
    """Watches the ages of queued tasks.

    Args:
        stall_after_s: how long a task may stay queued, in seconds.
        clock: UTC seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float], stall_after_s: float = STALL_AFTER_S) -> None:
        self._clock = clock
        self._stall_after_s = stall_after_s
        self._quiet_until = 0.0
        self._suspected: object = None  # the task that waited too long at the last look

    def complaint(self, queued: Sequence[QueuedTask]) -> str | None:
        """The sentence to print when the executor has stopped, else None.

        After a complaint the next one is at least twice the limit away: the scheduler is being restarted meanwhile.
        """
        now = self._clock()
        # Not quiet for longer than it may be, when the clock was set back.
        if now < self._quiet_until <= now + 2 * self._stall_after_s or not queued:
            return None
        oldest = min(queued, key=lambda each: each.queued_at)
        waited = now - oldest.queued_at
        before, self._suspected = self._suspected, None
        if waited < self._stall_after_s:
            return None
        # At the second look only: when a machine wakes up, the clock jumps and a task that was just queued looks old.
        if before != (oldest.dag_id, oldest.task_id, oldest.queued_at):
            self._suspected = (oldest.dag_id, oldest.task_id, oldest.queued_at)
            return None
        self._quiet_until = now + 2 * self._stall_after_s
        return (
            f"the executor has stopped: {oldest.dag_id}.{oldest.task_id} has been queued for {waited:.0f} s "
            f"(limit {self._stall_after_s:.0f} s, {len(queued)} waiting); restarting the scheduler"
        )
