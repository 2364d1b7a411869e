"""What a training run starts from: the last candidate, a champion, a related variant's champion, or random weights."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from ringrift_loop.config.schema import Training
from ringrift_loop.errors import ModelError
from ringrift_loop.layout import RunDirectory
from ringrift_loop.ledger import models, promotions, training
from ringrift_loop.network.artifact import WEIGHTS, read_checked, verify
from ringrift_loop.network.export import architecture_for, network_from
from ringrift_loop.network.nearest import nearest_variants

REWIND_AFTER = 3
"""Candidates in a row without a promotion after which training goes back to the champion."""


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

    @property
    def is_cold(self) -> bool:
        """Whether the weights are random."""
        return self.digest is None


def choose_start(conn: Connection, variant: str, settings: Training) -> Start:
    """The model that a new run of the variant starts from.

    A rejected candidate is no reason to rewind: training goes on from it, and returns to the champion after
    REWIND_AFTER rejections in a row. A model of another architecture than the configured one cannot be started from.
    """
    architecture = architecture_for(variant, blocks=settings.blocks, channels=settings.channels).name
    reasons = []
    for digest, why in _wishes(conn, variant):
        found = models.get(conn, digest)
        if found is None:
            continue
        name = _architecture_name(found)
        if name == architecture:
            return Start(found.digest, found.variant, _seen_until(conn, found, variant), why)
        reasons.append(f"{why} is {name}")
    why = f"random weights: the configuration asks for {architecture}, " + (
        ", ".join(reasons) or "no model to start from"
    )
    return Start(None, None, float("-inf"), why)


def recorded_start(conn: Connection, run: training.TrainingRunRow) -> Start:
    """The start that a run chose before it was killed."""
    if run.parent_digest is None:
        return Start(None, None, float("-inf"), "random weights")
    found = models.get(conn, run.parent_digest)
    if found is None:
        raise ModelError(
            f"training run {run.id} started from model {run.parent_digest}, which the ledger does not know"
        )
    return Start(found.digest, found.variant, _seen_until(conn, found, run.variant), f"{found.variant} model as before")


def start_weights(start: Start, directory: RunDirectory, variant: str, settings: Training) -> bytes | None:
    """The weights file that a run starts from; None for random weights.

    Raises:
        ModelError: the model does not load, or is not of the configured architecture.
    """
    if start.digest is None:
        return None
    architecture = architecture_for(variant, blocks=settings.blocks, channels=settings.channels)
    folder = directory.model(start.digest)
    name = verify(folder, start.digest).architecture.name
    if name != architecture.name:
        raise ModelError(f"model {start.digest} is {name[:40]}, the run needs {architecture.name}")
    weights = read_checked(folder / WEIGHTS)
    network_from(weights, architecture, str(folder))
    return weights


def _wishes(conn: Connection, variant: str) -> list[tuple[str, str]]:
    """Models to start from, the best first, with words for each."""
    latest = models.latest(conn, variant)
    champion = promotions.champion(conn, variant)
    wishes = []
    if latest is not None:
        promoted = None if champion is None else models.get(conn, champion.model_digest)
        waiting = latest.generation - (0 if promoted is None else promoted.generation)
        if waiting % REWIND_AFTER != 0:
            wishes.append((latest.digest, f"the last candidate, generation {latest.generation}"))
    if champion is not None:
        wishes.append((champion.model_digest, "the champion"))
    champions = promotions.all_champions(conn)
    wishes += [
        (champions[other].model_digest, f"the champion of {other}")
        for other in nearest_variants(variant)
        if other in champions
    ]
    return wishes


def _seen_until(conn: Connection, model: models.ModelRow, variant: str) -> float:
    """A model of another variant has seen none of this one's games."""
    if model.variant != variant or model.training_run is None:
        return float("-inf")
    return training.require(conn, model.training_run).started_at


def _architecture_name(model: models.ModelRow) -> str:
    record = model.manifest.get("architecture")
    return str(record.get("name")) if isinstance(record, dict) else "unknown"
