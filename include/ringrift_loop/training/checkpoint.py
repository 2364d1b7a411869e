"""Checkpoints: everything a killed run needs to go on as if nothing had happened, in one file.

One safetensors file holds the tensors and, in its header, the counters as JSON; it replaces the one before by a rename.
Nothing is pickled.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from ringrift_loop.errors import DataError
from ringrift_loop.machine.files import write_whole

_log = logging.getLogger(__name__)

FORMAT_VERSION = 1


@dataclass
class Progress:
    """Where a run stands; kept in the checkpoint."""

    identity: str
    """Digest of the window, the configuration and the start; a checkpoint of another identity is not continued."""
    step: int = 0
    """Steps taken."""
    samples: int = 0
    seconds: float = 0.0
    """Time trained, over all its processes."""
    best_step: int = -1
    """Step of the best validation so far; -1 before the first."""
    best_loss: float = float("inf")
    resumed: int = 0
    """How often the run was resumed."""


@dataclass
class TrainingState:
    """What changes while training: weights, their average, the best average, the optimiser."""

    net: nn.Module
    average: dict[str, Tensor]
    best: dict[str, Tensor]
    optimizer: torch.optim.AdamW
    progress: Progress


def save_checkpoint(path: Path, state: TrainingState) -> None:
    """Write the checkpoint atomically; a kill at any moment leaves the old one or the new one."""
    tensors = {f"net.{name}": tensor for name, tensor in state.net.state_dict().items()}
    tensors |= {f"average.{name}": tensor for name, tensor in state.average.items()}
    tensors |= {f"best.{name}": tensor for name, tensor in state.best.items()}
    for name, parameter in state.net.named_parameters():
        for key, tensor in state.optimizer.state[parameter].items():
            tensors[f"optimizer.{key}.{name}"] = tensor
    data = save(
        {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()},
        metadata={"v": str(FORMAT_VERSION), "progress": json.dumps(asdict(state.progress))},
    )
    write_whole(path, data)


def load_checkpoint(path: Path, state: TrainingState) -> bool:
    """Bring a freshly made training state to where the checkpoint is.

    Returns:
        False if there is no checkpoint, or it belongs to another window, configuration or start: then training begins
        anew.

    Raises:
        DataError: it is damaged, or of another version.
    """
    if not path.exists():
        return False
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError) as error:
        raise DataError(f"checkpoint {path} cannot be read: {error}; delete it to start the run anew") from error
    progress = _progress(metadata, path)
    if progress.identity != state.progress.identity:
        _log.warning("checkpoint %s belongs to another window, configuration or start: training starts over", path)
        return False
    progress.resumed += 1
    state.progress = progress
    try:
        _restore(state, tensors)
    except (KeyError, RuntimeError) as error:
        raise DataError(
            f"checkpoint {path} does not fit this network: {error}; delete it to start the run anew"
        ) from error
    return True


def _progress(metadata: dict[str, str], path: Path) -> Progress:
    if metadata.get("v") != str(FORMAT_VERSION):
        raise DataError(f"checkpoint {path} has version {metadata.get('v')!r}, this program reads {FORMAT_VERSION}")
    document = json.loads(metadata["progress"])
    return Progress(**{field.name: document[field.name] for field in fields(Progress)})


def _restore(state: TrainingState, tensors: dict[str, Tensor]) -> None:
    parts: dict[str, dict[str, Tensor]] = {"net": {}, "average": {}, "best": {}}
    moments: dict[str, dict[str, Tensor]] = {}
    for full, tensor in tensors.items():
        part, name = full.split(".", 1)
        if part == "optimizer":
            key, name = name.split(".", 1)
            moments.setdefault(name, {})[key] = tensor
        else:
            parts[part][name] = tensor
    device = next(state.net.parameters()).device
    state.net.load_state_dict(parts["net"])
    state.average = {name: parts["average"][name].to(device) for name in state.average}
    state.best = {name: parts["best"][name].to(device) for name in state.best}
    for name, parameter in state.net.named_parameters():
        if name in moments:
            state.optimizer.state[parameter] = {key: tensor.to(device) for key, tensor in moments[name].items()}
