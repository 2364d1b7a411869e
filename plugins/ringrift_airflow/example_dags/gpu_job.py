"""# Example: a job on a host with a GPU

1. **look_at_the_gpu**: detached on the host with the most free memory; what it says is in the task's log
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import dag

from ringrift_airflow.dag_defaults import GPU_JOB_RETRIES, RETRY_POLICY
from ringrift_airflow.operators.gpu_job import GpuJobOperator


@dag(start_date=pendulum.datetime(2025, 1, 1, tz="UTC"), schedule=None, doc_md=__doc__, tags=["example"])
def example_gpu_job() -> None:
    """One task, one job, however often either is interrupted."""
    GpuJobOperator(
        task_id="look_at_the_gpu",
        command='nvidia-smi >&2; nvidia-smi -q -x > {output}/gpu.xml; echo \'{"run": "{{ run_id }}"}\'',
        role="training",
        gpus=1,
        gpu_memory_gb=8,
        limit_s=600,
        outputs="/tmp/example_gpu_job/{{ run_id }}",
        execution_timeout=timedelta(minutes=30),
        retry_policy=RETRY_POLICY,
        **GPU_JOB_RETRIES,
    )


example_gpu_job()
