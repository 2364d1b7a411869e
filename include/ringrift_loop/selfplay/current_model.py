"""Which model a worker should play with, and the player made of it.

The pointer file is renamed into place last, after the model's own files, so what it names is complete; it is checked
all the same, and a model that does not load is an error for the worker to report, never a reason to play something
else unnoticed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from ringrift_loop.engine.rules import Rules
from ringrift_loop.errors import ConfigError, DataError, ModelError
from ringrift_loop.layout import HostDirectory, checked_digest
from ringrift_loop.search.leaves import HeuristicLeaves, LeafEvaluator, NetworkLeaves

BOOTSTRAP = "heuristic-search"
"""Name of the player of the first games: the same search, guided by the heuristic evaluation."""

_MAX_POINTER_BYTES = 4096


@dataclass(frozen=True)
class Pointer:
    """What the pointer file says."""

    digest: str
    generation: int


@dataclass(frozen=True)
class SelfplayPlayer:
    """Who plays new games."""

    name: str
    """The model's digest, or BOOTSTRAP."""
    generation: int
    leaves: LeafEvaluator

    @property
    def digest(self) -> str | None:
        """The model's digest, None without a model."""
        return None if self.name == BOOTSTRAP else self.name


def read_pointer(host_dir: HostDirectory, variant: str) -> Pointer | None:
    """The model that the host was told to play a variant with; None before the first.

    Raises:
        DataError: the pointer file is not what the coordinator writes.
    """
    path = host_dir.current_model(variant)
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_POINTER_BYTES)
        document = json.loads(raw)
        generation = document["generation"]
        if type(generation) is not int or generation < 1:
            raise ValueError(f"generation is a whole number from 1, got {generation!r}")
        return Pointer(checked_digest(document["digest"]), generation)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, ConfigError) as error:
        raise DataError(f"{path} does not name a model: {error}") from error


def bootstrap_player(rules: Rules) -> SelfplayPlayer:
    """The player before the first model."""
    return SelfplayPlayer(BOOTSTRAP, 0, HeuristicLeaves(rules))


def model_player(host_dir: HostDirectory, variant: str, pointer: Pointer, rules: Rules, threads: int) -> SelfplayPlayer:
    """The player of the model that the pointer names, its files checked against their digests.

    Raises:
        ModelError: it does not verify or load, or is of another variant.
    """
    from ringrift_loop.network.inference import open_evaluator  # loads ONNX Runtime, which the first games do without

    evaluator = open_evaluator(host_dir.model(pointer.digest), threads=threads, expected_digest=pointer.digest)
    if evaluator.manifest.variant != variant:
        raise ModelError(f"model {pointer.digest} is for {evaluator.manifest.variant}, this worker plays {variant}")
    return SelfplayPlayer(pointer.digest, pointer.generation, NetworkLeaves(rules, evaluator))
