"""The processes of one training: each takes its part of every batch, and all of them take the same steps.

`torchrun` starts them on one machine (cli/learning/train_bundle.py); a training in one process is a team of one, which
talks to nobody. Gradients are averaged by torch's DistributedDataParallel; what each part weighs stands in
`batches.Batch.share`.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

_TIMEOUT = timedelta(minutes=10)
"""A process that waits longer for the others gives up: longer than any validation takes, within which none waits."""


@dataclass(frozen=True)
class Team:
    """This process's place among those of its training."""

    rank: int
    size: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """Whether this process writes the files and does the talking."""
        return self.rank == 0

    def shared(self, net: nn.Module) -> nn.Module:
        """The network as its forward pass is to be called: the gradients of all processes are averaged in backward."""
        if self.size == 1:
            return net
        devices = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(net, device_ids=devices)

    def free_memory(self) -> tuple[int, int] | None:
        """Bytes that are free on this process's GPU, and all of them; None on a CPU."""
        return torch.cuda.mem_get_info(self.device) if self.device.type == "cuda" else None

    def gathering(self, net: nn.Module, *, last: bool) -> AbstractContextManager[None]:
        """Around each piece of a batch but the last: gradients are kept here until the last one's are averaged."""
        return nullcontext() if last or not isinstance(net, DistributedDataParallel) else net.no_sync()

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process; every process must ask."""
        if self.size == 1:
            return flag
        flags = torch.tensor([flag], dtype=torch.int32, device=self.device)
        dist.all_reduce(flags, dist.ReduceOp.MAX)
        return bool(flags.item())

    def leave(self) -> None:
        """End the talk with the others, at the same place in every process; a team of one has none."""
        if self.size > 1:
            dist.barrier()
            dist.destroy_process_group()


def alone(device: torch.device | None = None) -> Team:
    """A team of one, on the GPU if there is one."""
    return Team(0, 1, device or torch.device("cuda" if torch.cuda.is_available() else "cpu"))


def join(rank: int, size: int) -> Team:
    """Meet the other processes at the address that torchrun left in the environment; on GPUs, one for each.

    Args:
        rank: this process's number on its machine, which is that of its GPU.
        size: how many they are.
    """
    on_gpu = torch.cuda.is_available()
    device = torch.device("cuda", rank) if on_gpu else torch.device("cpu")
    if on_gpu:
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if on_gpu else "gloo", rank=rank, world_size=size, timeout=_TIMEOUT)
    return Team(rank, size, device)
