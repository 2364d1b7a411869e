"""A detached job on a host with a GPU, or on any host of a role: placed, followed, collected, found again."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, BaseOperatorLink

from ringrift_airflow.links import HostResultsLink, JobLink, job_id, map_index
from ringrift_airflow.numbers import number
from ringrift_airflow.settings import open_loop
from ringrift_loop.errors import JobOutOfSight

if TYPE_CHECKING:
    from airflow.sdk import Context

    from ringrift_loop.cluster.jobs.placement import JobRequest

_CANCEL_PATIENCE_S = 20.0


class GpuJobOperator(BaseOperator):
    """Runs a command detached on a host chosen by role and free GPU memory, and gives what it printed last.

    The job belongs to the task instance: a retry, a cleared task and a restarted Airflow find the one that runs, and
    there are never two copies. Marking the task failed ends it with all its processes. Its standard error goes to the
    task's log; the last line of its standard output, when that is a JSON object, is `result` of the XCom record. The
    XCom keys `host` and `job_id` are there as soon as it runs.

    A failure that another attempt may fix is retried (give the task `GPU_JOB_RETRIES` of `dag_defaults`); the job's
    own data, code or time limit, and a lack of memory, fail the task at once.

    Args:
        command: a line of shell, or a list of words that no shell reads; `{input}`, `{output}` and `{root}` are the
            absolute paths of the job's folders and of the host's root folder. The same in every try.
        role: of the hosts that come into question.
        gpus: how many it needs; the job sees no others.
        gpu_memory_gb: free memory that each of them must have, GiB.
        memory_gb: of the host, that it may use with all that it starts, GiB; default: `resource_targets.job_memory_gb`.
        limit_s: wall clock; the job is ended then.
        inputs: a folder here whose files are sent along.
        outputs: a folder here into which the files of the job's output folder are copied.
        max_output_bytes: more output than this is refused.
        poll_s: seconds between two questions to the host, at most 30.
        deferrable: wait in the triggerer instead of in a worker's slot.
    """

    template_fields: Sequence[str] = (
        "command",
        "role",
        "gpus",
        "gpu_memory_gb",
        "memory_gb",
        "limit_s",
        "inputs",
        "outputs",
        "max_output_bytes",
        "poll_s",
    )
    template_fields_renderers = {"command": "bash"}  # noqa: RUF012 - Airflow's own attribute is one
    ui_color = "#dae8fc"
    operator_extra_links: tuple[BaseOperatorLink, ...] = (HostResultsLink(), JobLink())

    def __init__(
        self,
        *,
        command: str | Sequence[str],
        role: str,
        gpus: int | str = 0,
        gpu_memory_gb: float | str = 0.0,
        memory_gb: float | str = 0.0,
        limit_s: float | str,
        inputs: str | None = None,
        outputs: str | None = None,
        max_output_bytes: int | str = 16 << 30,
        poll_s: float | str = 5.0,
        deferrable: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.command = command
        self.role = role
        self.gpus = gpus
        self.gpu_memory_gb = gpu_memory_gb
        self.memory_gb = memory_gb
        self.limit_s = limit_s
        self.inputs = inputs
        self.outputs = outputs
        self.max_output_bytes = max_output_bytes
        self.poll_s = poll_s
        self.deferrable = deferrable
        self._begun: str | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """Begin the job or attach to it, then wait in the triggerer or here."""
        from ringrift_airflow.triggers.gpu_job import GpuJobTrigger
        from ringrift_loop.cluster.jobs import lifecycle as jobs

        request = self._request(context)
        instance = context["ti"]
        self._begun = request.id
        loop = open_loop()
        row = asyncio.run(jobs.begin(loop, request))
        self.log.info("job %s, attempt %d, is on %s with GPUs %s", row.id, row.attempt, row.host, row.gpus or "none")
        instance.xcom_push(key="host", value=row.host)
        instance.xcom_push(key="job_id", value=row.id)
        poll_s = number("poll_s", self.poll_s)
        until = loop.clock() + request.limit_s + jobs.OVERTIME_S
        if self.deferrable:
            trigger = GpuJobTrigger(
                job_id=row.id,
                poll_s=poll_s,
                until=until,
                dag_id=instance.dag_id,
                run_id=instance.run_id,
                task_id=instance.task_id,
                map_index=map_index(instance),
            )
            self.defer(trigger=trigger, method_name="finish")
        asyncio.run(jobs.follow(loop, row.id, lambda line: self.log.info("%s", line), until=until, poll_s=poll_s))
        return self._collect(request)

    def finish(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Take the outcome once the trigger has seen the end."""
        if event["state"] == "unreachable":
            raise JobOutOfSight(event["message"])
        return self._collect(self._request(context))

    def on_kill(self) -> None:
        """End the job; called in a signal handler while this very thread may be in an event loop."""
        if self._begun is None:
            return
        cancelling = threading.Thread(target=self._cancel, args=(self._begun,), name="cancel a job")
        cancelling.start()
        cancelling.join()

    def _cancel(self, job_id: str) -> None:
        from ringrift_loop.cluster.jobs import lifecycle as jobs
        from ringrift_loop.cluster.jobs.placement import known

        loop = open_loop()
        if known(loop, job_id) is not None:
            asyncio.run(jobs.cancel(loop, job_id, patience_s=_CANCEL_PATIENCE_S))
            self.log.info("the task was asked to stop: the job %s was ended", job_id)

    def _collect(self, request: JobRequest) -> dict[str, Any]:
        from ringrift_loop.cluster.jobs import lifecycle as jobs

        return asyncio.run(
            jobs.collect(open_loop(), request.id, outputs=request.outputs, max_output_bytes=request.max_output_bytes)
        )

    def _request(self, context: Context) -> JobRequest:
        from ringrift_loop.cluster.jobs.placement import JobRequest
        from ringrift_loop.cluster.ssh import commands

        words = commands.shell(self.command) if isinstance(self.command, str) else self.command
        return JobRequest(
            id=job_id(context["ti"]),
            command=tuple(str(word) for word in words),
            role=self.role,
            limit_s=number("limit_s", self.limit_s),
            gpus=int(number("gpus", self.gpus)),
            gpu_memory_gb=number("gpu_memory_gb", self.gpu_memory_gb),
            memory_gb=number("memory_gb", self.memory_gb),
            inputs=_folder(self.inputs),
            outputs=_folder(self.outputs),
            max_output_bytes=int(number("max_output_bytes", self.max_output_bytes)),
        )


def _folder(value: str | None) -> Path | None:
    return None if value in (None, "", "None") else Path(str(value))
