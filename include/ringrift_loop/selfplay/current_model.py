"""The model that a host has for a variant, by its pointer files, and the player made of it.

A model that does not load is an error for the worker to report, never a reason to play something else unnoticed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ringrift_loop.engine.rules import Rules
from ringrift_loop.errors import ModelError
from ringrift_loop.layout import HostDirectory
from ringrift_loop.network.nearest import nearest_variants
from ringrift_loop.search.leaves import HeuristicLeaves, LeafEvaluator, NetworkLeaves
from ringrift_loop.selfplay.pointer import Pointer, read_pointer
from ringrift_loop.selfplay.records import BOOTSTRAP


@dataclass(frozen=True)
class HostModel:
    """A model that a pointer file of the host names."""

    variant: str
    """Whose champion it is."""
    pointer: Pointer


@dataclass(frozen=True)
class SelfplayPlayer:
    """Who plays new games."""

    name: str
    """The model's digest, or BOOTSTRAP."""
    generation: int
    """Of the variant's own models; 0 without one, also with that of another variant."""
    leaves: LeafEvaluator

    @property
    def digest(self) -> str | None:
        """The model's digest, None without a model."""
        return None if self.name == BOOTSTRAP else self.name


def own_model(host_dir: HostDirectory, variant: str) -> HostModel | None:
    """The variant's champion as the host was last told; None before the first.

    Raises:
        DataError: the pointer file is not what the coordinator writes.
    """
    pointer = read_pointer(host_dir, variant)
    return None if pointer is None else HostModel(variant, pointer)


def borrowed_model(host_dir: HostDirectory, variant: str, lenders: Mapping[str, tuple[str, ...]]) -> HostModel | None:
    """The champion of the nearest variant that has one on the host; None while there is none.

    Args:
        host_dir: the host's folder.
        variant: the one that has no champion.
        lenders: the configuration's `selfplay.lenders`.

    Raises:
        DataError: that variant's pointer file is not what the coordinator writes.
    """
    models = (own_model(host_dir, name) for name in nearest_variants(variant, lenders))
    return next((model for model in models if model is not None), None)


def bootstrap_player(rules: Rules) -> SelfplayPlayer:
    """The player without a model."""
    return SelfplayPlayer(BOOTSTRAP, 0, HeuristicLeaves(rules))


def model_player(host_dir: HostDirectory, variant: str, model: HostModel, rules: Rules, threads: int) -> SelfplayPlayer:
    """The player of a variant's games with a model, its files checked against their digests.

    Args:
        host_dir: where the model lies.
        variant: the one that is played.
        model: the variant's own or a borrowed one.
        rules: of the variant that is played.
        threads: of an evaluation.

    Raises:
        ModelError: it does not verify or load, or is not of the variant that its pointer is of.
    """
    from ringrift_loop.network.inference import open_evaluator  # loads ONNX Runtime, which the first games do without

    digest = model.pointer.digest
    evaluator = open_evaluator(host_dir.model(digest), threads=threads, expected_digest=digest, plays=variant)
    if evaluator.manifest.variant != model.variant:
        raise ModelError(f"model {digest} is for {evaluator.manifest.variant}, its pointer is that of {model.variant}")
    generation = model.pointer.generation if model.variant == variant else 0
    return SelfplayPlayer(digest, generation, NetworkLeaves(rules, evaluator))
