"""Where a training runs: in a process of this machine, or as a job on a host that the inventory names for it."""

from __future__ import annotations

from dataclasses import dataclass

from ringrift_loop.config.schema import Training
from ringrift_loop.hosts.inventory import SSH, Inventory

ROLE = "training"
COMMAND = ("ringrift-loop", "train-bundle", "--bundle", "{input}", "--output", "{output}")
_AROUND_SHARE = 0.1  # of a run's time, for preparing, transfers and adopting around the job


@dataclass(frozen=True)
class TrainingJob:
    """What a training asks of a host."""

    gpus: int
    gpu_memory_gb: float
    limit_s: float


def training_job(inventory: Inventory, settings: Training) -> TrainingJob | None:
    """The job that a training is, or None when no enabled host reached by SSH has the role `training`.

    It asks for all GPUs of the host that has most; a smaller host is no substitute, it waits its turn.
    """
    hosts = [host for host in inventory.with_role(ROLE) if host.transport == SSH]
    if not hosts:
        return None
    return TrainingJob(
        gpus=max(host.gpu_count for host in hosts),
        gpu_memory_gb=0.0,
        limit_s=settings.stuck_after_seconds * (1.0 - _AROUND_SHARE),
    )
