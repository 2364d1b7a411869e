"""# Example: a folder to every host

1. **send**: what differs, by rsync; a host that has it already costs a round trip
2. **look**: only on the hosts that it reached
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import Param, chain, dag

from ringrift_airflow.operators.ssh_fan_out import SSHFanOutOperator


@dag(
    start_date=pendulum.datetime(2025, 1, 1, tz="UTC"),
    schedule=None,
    params={
        "source": Param(type="string", description="a file or folder of this machine"),
        "target": Param("openings", type="string", description="its path on the hosts, from the login's home"),
    },
    doc_md=__doc__,
    tags=["example"],
)
def example_fan_out_rsync() -> None:
    """Half of the hosts are enough; the others stand in XCom under `failed`."""
    send = SSHFanOutOperator(
        task_id="send",
        rsync_source="{{ params.source }}",
        rsync_target="{{ params.target }}",
        min_success=0.5,
        limit_s=600,
        at_once=8,
        execution_timeout=timedelta(hours=2),
    )
    look = SSHFanOutOperator(
        task_id="look",
        command=["ls", "-l", "{{ params.target }}"],
        hosts="{{ ti.xcom_pull(task_ids='send')['succeeded'] | join(',') }}",
        execution_timeout=timedelta(minutes=10),
    )
    chain(send, look)


example_fan_out_rsync()
