"""# Example: a command on every host

1. **free_space**: on at least nine of ten hosts; the log has a line per host, XCom the rest
2. **training_hosts**: on the hosts of one role only, with words that no shell reads
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import chain, dag

from ringrift_airflow.operators.ssh_fan_out import SSHFanOutOperator


@dag(start_date=pendulum.datetime(2025, 1, 1, tz="UTC"), schedule=None, doc_md=__doc__, tags=["example"])
def example_fan_out_command() -> None:
    """One task for all hosts, however many there are."""
    free_space = SSHFanOutOperator(
        task_id="free_space",
        command="df --output=avail -BG . | tail -1",
        min_success=0.9,
        limit_s=30,
        execution_timeout=timedelta(minutes=10),
    )
    training_hosts = SSHFanOutOperator(
        task_id="training_hosts",
        command=["nvidia-smi", "--query-gpu=memory.free", "--format=csv"],
        role="training",
        execution_timeout=timedelta(minutes=10),
    )
    chain(free_space, training_hosts)


example_fan_out_command()
