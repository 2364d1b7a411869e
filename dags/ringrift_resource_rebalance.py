"""# Resources

Keeps the machines busy, but no busier than `resource_targets` says, every 30 seconds.

1. **rebalance_resources**: for each machine a duty of its workers, the share of their time in which they compute, from
   what it did in the last half minute and whose work that was; hosts whose workers have another one are told. The
   negotiated rate, full disks, a sync and a training that are behind hold them back. Where the least duty is too much
   for minutes, whole workers rest: `ringrift_selfplay` drains them, and starts them again when there is room

Why a machine has the duty that it has: `ringrift-loop resources --why HOST`.

If it fails: docs/5-operations.md#resources
"""

from __future__ import annotations

from airflow.sdk import dag

from ringrift_airflow.dag_defaults import DAG_DEFAULTS, TAG, every
from ringrift_airflow.tasks.resources import rebalance_resources

INTERVAL_S = 30.0


@dag(
    schedule=every(INTERVAL_S, "ringrift_resource_rebalance"),
    tags=[TAG, "hosts"],
    doc_md=__doc__,
    **DAG_DEFAULTS,
)
def ringrift_resource_rebalance() -> None:
    rebalance_resources()


ringrift_resource_rebalance()
