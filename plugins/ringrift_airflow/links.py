"""Buttons on a task's page that lead to where a person looks next.

Airflow's page shows links of its own address, http, https and mailto; it drops others such as ssh://. These are pages
of Airflow and of the loop, made from the task's own ids and what it was told. Operators name them in
`operator_extra_links`, so Airflow computes each in the task's process and keeps it in XCom; the API server only reads
it there.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote, urlencode

from airflow.sdk import BaseOperatorLink, conf

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

_DIGEST = re.compile("[0-9a-f]{64}")
_VARIANT = re.compile("[a-z0-9]{1,20}_[0-9]p")


class HostResultsLink(BaseOperatorLink):
    """The task's XCom: each host's status, exit status and output."""

    name = "Results of the hosts"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The tab of the very task, also of a mapped one."""
        mapped = f"/mapped/{ti_key.map_index}" if ti_key.map_index >= 0 else ""
        return page(f"{_run(ti_key)}/tasks/{quote(ti_key.task_id)}{mapped}/xcom")


class VerdictLink(BaseOperatorLink):
    """The run that the gate belongs to: its other tests and their verdict."""

    name = "Run of the gate"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The DAG run's page."""
        return page(_run(ti_key))


class ModelLink(BaseOperatorLink):
    """The model that the task is about, on the page Models; of one that is not named by its digest, its variant."""

    name = "The model"
    part: ClassVar[str | None] = None
    """Of its history, to begin with."""

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The page, by the operator's `model` and `variant` as they were rendered."""
        model, variant = (str(getattr(operator, name, None) or "") for name in ("model", "variant"))
        asked = {"config": variant} if _VARIANT.fullmatch(variant) else {}
        if _DIGEST.fullmatch(model):
            asked["model"] = model
            asked |= {} if self.part is None else {"part": self.part}
        return page("plugin/ringrift/models" + (f"?{urlencode(asked)}" if asked else ""))


class ReportLink(ModelLink):
    """The regression gate's reports on the model."""

    name, part = "Report of the gate", "regression"


class JobLink(BaseOperatorLink):
    """The job on its host, with its log as it grows, on the page Hosts."""

    name = "Job and host"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The page, with the log of the task's own job open."""
        return page(f"plugin/ringrift/hosts?job={job_id(ti_key)}")


class ProgressLink(BaseOperatorLink):
    """Steps, losses and the time that is left, of the training that the task is about."""

    name = "Progress and losses"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Our tab of the DAG run."""
        return page(f"{_run(ti_key)}/plugin/ringrift-dag_run")


class _DagLink(BaseOperatorLink):
    """Another DAG's page."""

    dag_id: ClassVar[str]

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The page, with the DAG's form."""
        return page(f"dags/{self.dag_id}")


class RollbackLink(_DagLink):
    """The DAG that takes a promotion back."""

    name, dag_id = "Roll back", "ringrift_rollback"


class WorkersLink(_DagLink):
    """The DAG that keeps the workers running which now change over."""

    name, dag_id = "Workers", "ringrift_selfplay"


class TrainingLink(_DagLink):
    """The DAG that uses the games."""

    name, dag_id = "Training", "ringrift_training"


def job_id(instance: Any) -> str:
    """Of the job that a task instance begins on a host: the same for every try of it, and for no other's."""
    parts = (instance.dag_id, instance.run_id, instance.task_id, str(map_index(instance)))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


def map_index(instance: Any) -> int:
    """Airflow's own: -1 unless the task is mapped."""
    return -1 if instance.map_index is None else int(instance.map_index)


def page(path: str) -> str:
    """A page of this Airflow, also when it is served below a path."""
    base = str(conf.get("api", "base_url", fallback="") or "")
    return f"{base.rstrip('/')}/{path}"


def _run(ti_key: TaskInstanceKey) -> str:
    return f"dags/{quote(ti_key.dag_id)}/runs/{quote(ti_key.run_id)}"
