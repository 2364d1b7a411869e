"""Where a training runs: in a process of this machine, or as a job on a host that the inventory names for it."""

from __future__ import annotations

from dataclasses import dataclass

from ringrift_loop.config.schema import LoopConfig, Training
from ringrift_loop.hosts.inventory import SSH, Host, Inventory
from ringrift_loop.tournament.duration import longest_training

ROLE = "training"
COMMAND = ("ringrift-loop", "train-bundle", "--bundle", "{input}", "--output", "{output}")
_AROUND_SHARE = 0.1  # of a run's time, for preparing, transfers and adopting around the job


@dataclass(frozen=True)
class TrainingJob:
    """What a training asks of a host."""

    gpus: int
    gpu_memory_gb: float
    limit_s: float


def training_job(inventory: Inventory, config: LoopConfig) -> TrainingJob | None:
    """The job that a training is, or None when no enabled host reached by SSH has the role `training`.

    It asks for all GPUs of the host that has most; a smaller host is no substitute, it waits its turn.
    """
    hosts = _hosts(inventory)
    if not hosts:
        return None
    return TrainingJob(
        gpus=hosts[0].gpu_count, gpu_memory_gb=0.0, limit_s=longest_training(config) * (1.0 - _AROUND_SHARE)
    )


def places(inventory: Inventory, settings: Training) -> int:
    """How many trainings may be under way at once, at least 1.

    That is `training.max_concurrent_jobs`, or by default as many as there are hosts that can take the job. A training
    takes all GPUs of its host, so with GPUs it is never more than that.
    """
    hosts = _hosts(inventory)
    able = max(1, len(hosts))
    wanted = settings.max_concurrent_jobs or able
    return min(wanted, able) if hosts and hosts[0].gpu_count else wanted


def _hosts(inventory: Inventory) -> list[Host]:
    """The hosts that a training may be sent to: of those with the role, the ones with most GPUs."""
    hosts = [host for host in inventory.with_role(ROLE) if host.transport == SSH]
    most = max((host.gpu_count for host in hosts), default=0)
    return [host for host in hosts if host.gpu_count == most]
