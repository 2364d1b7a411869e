"""What a training run starts from: the last candidate, a champion, a related variant's champion, or random weights.

Or the model that a person named, whatever it was trained on, as long as its weights fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection

from ringrift_loop.config.schema import Training
from ringrift_loop.errors import ConfigError, ModelError
from ringrift_loop.layout import RunDirectory
from ringrift_loop.ledger import models, promotions, training
from ringrift_loop.network.artifact import ONNX, WEIGHTS, read_checked, verify, write_model
from ringrift_loop.network.export import architecture_for, load_network
from ringrift_loop.network.model import Architecture, RingRiftNet
from ringrift_loop.network.nearest import nearest_variants

REWIND_AFTER = 3
"""Candidates in a row without a promotion after which training goes back to the champion."""
LENT_AGAIN_AFTER = 3
"""Promotions of the nearest lender, and candidates of its own, after which a variant tries the lender's champion once
more."""


@dataclass(frozen=True)
class Start:
    """Where a run's first weights come from."""

    digest: str | None
    """The model; None for random weights."""
    variant: str | None
    """The model's variant."""
    seen_until: float
    """Start of the training run that made the model, UTC seconds: it has seen the games of that run and of earlier
    ones."""
    why: str
    """In words, for the report."""
    borrowed: bool = False
    """Whether the weights are another variant's, chosen since they play this one well already: the candidate is they
    themselves, next to unchanged."""

    @property
    def is_cold(self) -> bool:
        """Whether the weights are random."""
        return self.digest is None


def choose_start(conn: Connection, variant: str, settings: Training, lenders: Mapping[str, tuple[str, ...]]) -> Start:
    """The model that a new run of the variant starts from.

    A rejected candidate is no reason to rewind: training goes on from it, and returns to the champion after
    REWIND_AFTER rejections in a row, or at once from one that another variant lent. That is a variant's first
    candidate, and one after LENT_AGAIN_AFTER others: a small board gets better while a large one still plays its first
    hundred games. A model of another architecture than the configured one cannot be started from.

    Args:
        conn: the ledger.
        variant: what is trained.
        settings: blocks and channels among them.
        lenders: the configuration's `selfplay.lenders`.
    """
    architecture = architecture_for(variant, blocks=settings.blocks, channels=settings.channels).name
    reasons = []
    for digest, why, lent in _wishes(conn, variant, lenders):
        found = models.get(conn, digest)
        if found is None:
            continue
        name = _architecture_name(found)
        if name == architecture:
            start = _start(conn, found.digest, found.variant, variant, why)
            return replace(start, why=f"{why}, next to unchanged", borrowed=True) if lent else start
        reasons.append(f"{why} is {name}")
    why = f"random weights: the configuration asks for {architecture}, " + (
        ", ".join(reasons) or "no model to start from"
    )
    return Start(None, None, float("-inf"), why)


def named_start(conn: Connection, variant: str, folder: Path, directory: RunDirectory, settings: Training) -> Start:
    """The start that a person asked for, to learn from there; the model is copied to the run directory where it lies
    elsewhere.

    Args:
        conn: the ledger.
        variant: what is trained.
        folder: the model's, anywhere.
        directory: the run directory.
        settings: blocks and channels among them.

    Raises:
        ConfigError: its weights do not fit the network that the configuration asks for.
        ModelError: the folder does not verify, or its weights do not load.
    """
    manifest = verify(folder)
    needed = architecture_for(variant, blocks=settings.blocks, channels=settings.channels)
    if manifest.architecture.name != needed.name:
        raise ConfigError(
            f"{variant} cannot start from model {manifest.digest[:12]} of {manifest.variant}: it is "
            f"{manifest.architecture.name[:40]}, training.blocks and training.channels ask for {needed.name}; "
            "square and hex boards lend each other nothing"
        )
    _network(folder, needed)
    write_model(directory.models, manifest, read_checked(folder / WEIGHTS), read_checked(folder / ONNX))
    return _start(
        conn, manifest.digest, manifest.variant, variant, f"the model that was asked for, of {manifest.variant}"
    )


def recorded_start(conn: Connection, run: training.TrainingRunRow, directory: RunDirectory) -> Start:
    """What a run started from before it was killed.

    Raises:
        ModelError: the model is not in the run directory any more.
    """
    if run.parent_digest is None:
        return Start(None, None, float("-inf"), "random weights")
    lender = verify(directory.model(run.parent_digest), run.parent_digest).variant
    start = _start(conn, run.parent_digest, lender, run.variant, f"{lender} model as before")
    return replace(start, borrowed=training.is_lent(conn, run))


def start_weights(start: Start, directory: RunDirectory, variant: str, settings: Training) -> tuple[bytes | None, int]:
    """The weights file that a run starts from, None for random weights, and the version of its encoding.

    Raises:
        ModelError: the model does not load, or is not of the configured architecture.
    """
    architecture = architecture_for(variant, blocks=settings.blocks, channels=settings.channels)
    if start.digest is None:
        return None, architecture.encoding
    folder = directory.model(start.digest)
    name = verify(folder, start.digest).architecture.name
    if name != architecture.name:
        raise ModelError(f"model {start.digest} is {name[:40]}, the run needs {architecture.name}")
    net = _network(folder, architecture)
    return read_checked(folder / WEIGHTS), net.architecture.encoding


def _network(folder: Path, needed: Architecture) -> RingRiftNet:
    """The network of a model's folder, of which the manifest has said that it fits."""
    net, manifest = load_network(folder)
    if net.architecture.name != needed.name:
        raise ModelError(f"model {manifest.digest} is called {needed.name} and is {net.architecture.name}")
    return net


class _Wish(NamedTuple):
    digest: str
    why: str
    lent: bool = False
    """Whether it shall be the candidate as it is: another variant's, which plays this one well already."""


def _wishes(conn: Connection, variant: str, lenders: Mapping[str, tuple[str, ...]]) -> list[_Wish]:
    """Models to start from, the best first."""
    latest = models.latest(conn, variant)
    champions = promotions.all_champions(conn)
    champion = champions.get(variant)
    near = [other for other in nearest_variants(variant, lenders) if other in champions]
    lent = [_Wish(champions[other].model_digest, f"the champion of {other}", latest is None) for other in near]
    wishes = []
    if near and latest is not None and _is_due_again(conn, variant, near[0]):
        wishes.append(lent[0]._replace(lent=True))
    if latest is not None and (champion is None or not _was_lent(conn, latest)):
        promoted = None if champion is None else models.get(conn, champion.model_digest)
        waiting = latest.generation - (0 if promoted is None else promoted.generation)
        if waiting % REWIND_AFTER != 0:
            wishes.append(_Wish(latest.digest, f"the last candidate, generation {latest.generation}"))
    if champion is not None:
        wishes.append(_Wish(champion.model_digest, "the champion"))
    return wishes + lent


def _is_due_again(conn: Connection, variant: str, lender: str) -> bool:
    """Whether both have gone on for long enough since the variant last tried the lender's champion."""
    since = training.last_lent_at(conn, variant, lender)
    own = sum(model.created_at > since for model in models.all_models(conn, variant))
    return own > LENT_AGAIN_AFTER and len(promotions.promoted_since(conn, lender, since)) >= LENT_AGAIN_AFTER


def _was_lent(conn: Connection, model: models.ModelRow) -> bool:
    parent = None if model.parent_digest is None else models.get(conn, model.parent_digest)
    return parent is not None and parent.variant != model.variant


def _start(conn: Connection, digest: str, lender: str, variant: str, why: str) -> Start:
    """A start from a model; one of another variant, or from elsewhere, has seen none of this variant's games."""
    model = models.get(conn, digest)
    if model is None or lender != variant or model.training_run is None:
        return Start(digest, lender, float("-inf"), why)
    return Start(digest, lender, training.require(conn, model.training_run).started_at, why)


def _architecture_name(model: models.ModelRow) -> str:
    record = model.manifest.get("architecture")
    return str(record.get("name")) if isinstance(record, dict) else "unknown"
