"""# Example: one connection for the SSH provider's operator and for the loop's

1. **look_at_the_gpu**: Airflow's own operator, on the one host behind the connection `gpu_a`
2. **free_space**: on every training host; the inventory's entry of that host says `connection: gpu_a`
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.providers.ssh.operators.ssh import SSHOperator
from airflow.sdk import chain, dag

from ringrift_airflow.operators.ssh_fan_out import SSHFanOutOperator


@dag(start_date=pendulum.datetime(2025, 1, 1, tz="UTC"), schedule=None, doc_md=__doc__, tags=["example"])
def example_fan_out_and_ssh_operator() -> None:
    """Address, login, keys and host key stand in the connection, once for both."""
    look = SSHOperator(
        task_id="look_at_the_gpu",
        ssh_conn_id="gpu_a",
        command="nvidia-smi",
        cmd_timeout=30,
        execution_timeout=timedelta(minutes=5),
    )
    free_space = SSHFanOutOperator(
        task_id="free_space",
        command="df --output=avail -BG . | tail -1",
        role="training",
        execution_timeout=timedelta(minutes=10),
    )
    chain(look, free_space)


example_fan_out_and_ssh_operator()
