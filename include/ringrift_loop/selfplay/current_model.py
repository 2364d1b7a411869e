"""The player made of the model that a host's pointer names.

A model that does not load is an error for the worker to report, never a reason to play something else unnoticed.
"""

from __future__ import annotations

from dataclasses import dataclass

from ringrift_loop.engine.rules import Rules
from ringrift_loop.errors import ModelError
from ringrift_loop.layout import HostDirectory
from ringrift_loop.search.leaves import HeuristicLeaves, LeafEvaluator, NetworkLeaves
from ringrift_loop.selfplay.pointer import Pointer

BOOTSTRAP = "heuristic-search"
"""Name of the player of the first games: the same search, guided by the heuristic evaluation."""


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
