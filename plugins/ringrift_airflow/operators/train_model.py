"""A candidate from a claimed training run: trained in a child process here, or on a training host."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ringrift_airflow.commands import run_command
from ringrift_airflow.links import HostResultsLink, JobLink, ProgressLink
from ringrift_airflow.operators.gpu_job import GpuJobOperator
from ringrift_airflow.settings import open_loop

if TYPE_CHECKING:
    from airflow.sdk import Context

    from ringrift_loop.loop import Loop


class TrainModelOperator(GpuJobOperator):
    """Trains the candidate of a training run and registers it.

    When the inventory has a host reached by SSH with the role `training`, the run's bundle is sent there, trained as a
    detached job on all its GPUs, and what comes back is checked and adopted; the waiting is deferred. Otherwise it is
    trained in a child process of this machine. A retry goes on from the last checkpoint in both cases.

    XCom `return_value` is the training's report; its entries, such as `model_digest`, have keys of their own too.
    `host` and `job_id` are there when it was a job.

    Args:
        run_id: the claimed run; templated.
        wait_s: how long to wait for an earlier try that lived on when its supervisor died; its result is taken.
        poll_s: seconds between two questions to the host.
    """

    template_fields: Sequence[str] = ("run_id", "wait_s", "poll_s")
    ui_color = "#dae8fc"
    operator_extra_links = (HostResultsLink(), JobLink(), ProgressLink())

    def __init__(self, *, run_id: str, wait_s: float | str, poll_s: float | str = 5.0, **options: Any) -> None:
        options = {"multiple_outputs": True, **options}  # each figure of the report under its own XCom key
        super().__init__(command=(), role="", limit_s=wait_s, poll_s=poll_s, **options)
        self.run_id = run_id
        self.wait_s = wait_s

    def execute(self, context: Context) -> dict[str, Any]:
        """Train here, or begin the job on a host."""
        loop = open_loop()
        if not self._as_job(loop):
            return run_command(*self._train())
        if run_command(*self._train("--prepare-only"))["trained"]:
            return self._adopt(loop)  # by an earlier try, which did not get as far as this
        super().execute(context)
        return self._adopt(loop)

    def finish(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Take the job's output once the trigger has seen its end."""
        loop = open_loop()
        self._as_job(loop)
        super().finish(context, event)
        return self._adopt(loop)

    def _as_job(self, loop: Loop) -> bool:
        """Say what the job is; returns whether there is one."""
        from ringrift_loop.training.remote import placement as elsewhere

        job = elsewhere.training_job(loop.inventory, loop.config)
        if job is None:
            return False
        self.command, self.role = elsewhere.COMMAND, elsewhere.ROLE
        self.gpus, self.gpu_memory_gb, self.limit_s = job.gpus, job.gpu_memory_gb, job.limit_s
        self.inputs = str(loop.directory.training_bundle(self.run_id))
        self.outputs = str(loop.directory.training_output(self.run_id))
        return True

    def _adopt(self, loop: Loop) -> dict[str, Any]:
        output: Path = loop.directory.training_output(self.run_id)
        return run_command(*self._train("--adopt", str(output)))

    def _train(self, *options: str) -> tuple[str, ...]:
        return ("train", "--run", self.run_id, *options, "--wait", str(self.wait_s), "--json")
