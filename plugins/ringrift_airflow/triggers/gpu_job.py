"""Waiting for a detached job on a host: one kept connection, the job's log in the task's log, an event at its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from math import inf
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent
from sqlalchemy.exc import OperationalError

from ringrift_airflow.settings import open_loop
from ringrift_loop.errors import JobOutOfSight, as_loop_error

# States in which nobody will come back to the job. Without a state the task was cleared and finds its job again;
# `deferred` means that another triggerer has taken over.
_OVER = ("failed", "success", "skipped", "upstream_failed", "removed")
_CANCEL_PATIENCE_S = 15.0  # Airflow gives `on_kill` 30 s


class GpuJobTrigger(BaseTrigger):
    """Payload: `{"job_id": ..., "state": ...}`; state `unreachable` has a `message` too.

    Args:
        job_id: a job that was begun.
        poll_s: seconds between two questions to its host.
        until: UTC seconds; a job that is still running then is ended. A task of a version without limits waits on.
        dag_id, run_id, task_id, map_index: the task that waits.
    """

    def __init__(
        self,
        *,
        job_id: str,
        poll_s: float,
        until: float = inf,
        dag_id: str,
        run_id: str,
        task_id: str,
        map_index: int,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # Airflow's own
        self.job_id, self.poll_s, self.until = job_id, poll_s, until
        self.dag_id, self.run_id, self.task_id, self.map_index = dag_id, run_id, task_id, map_index

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class path and arguments, from which the triggerer builds the trigger again."""
        path = f"{type(self).__module__}.{type(self).__qualname__}"
        names = ("job_id", "poll_s", "until", "dag_id", "run_id", "task_id", "map_index")
        return path, {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Follow the job; a host that is away is asked again for a minute, where the log had got to."""
        from ringrift_loop.cluster.jobs import lifecycle as jobs

        loop = await asyncio.to_thread(open_loop)
        while True:
            try:
                status = await jobs.follow(loop, self.job_id, self._say, until=self.until, poll_s=self.poll_s)
            except OperationalError as error:
                # Locked for longer than its own 30 s of patience, or its server restarts: the job goes on meanwhile.
                if (away := as_loop_error(error)) is None:
                    raise
                self.log.info("%s", away)
                await asyncio.sleep(self.poll_s)
                continue
            except JobOutOfSight as error:
                payload = {"job_id": self.job_id, "state": "unreachable", "message": str(error)}
            else:
                payload = {"job_id": self.job_id, "state": status.state}
            yield TriggerEvent(payload)  # type: ignore[no-untyped-call] # Airflow's own
            return

    async def on_kill(self) -> None:
        """End the job when the task was marked failed or succeeded, or its run deleted; not when it was cleared.

        Airflow does not call this when the triggerer stops.
        """
        from ringrift_loop.cluster.jobs import lifecycle as jobs

        found, state = await asyncio.to_thread(self._task_state)
        if found and state not in _OVER:
            self.log.info("the task is %s: the job %s goes on", state or "cleared", self.job_id)
            return
        loop = await asyncio.to_thread(open_loop)
        await jobs.cancel(loop, self.job_id, patience_s=_CANCEL_PATIENCE_S)
        self.log.info("the task is %s: the job %s was ended", state or "gone", self.job_id)

    def _task_state(self) -> tuple[bool, str | None]:
        """Whether the task is still there, and its state."""
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

        mapped = self.map_index >= 0
        states = RuntimeTaskInstance.get_task_states(
            dag_id=self.dag_id,
            task_ids=[str(self.task_id)],
            run_ids=[self.run_id],
            map_index=self.map_index if mapped else None,
        )
        key = f"{self.task_id}_{self.map_index}" if mapped else self.task_id
        tasks = states.get(self.run_id, {})
        return key in tasks, tasks.get(key)

    def _say(self, line: str) -> None:
        self.log.info("%s", line)
