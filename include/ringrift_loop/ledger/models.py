"""Trained models, by the sha256 of their weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, func, insert, select

from ringrift_loop.errors import LedgerError
from ringrift_loop.json_value import JsonValue
from ringrift_loop.ledger.schema import models


@dataclass(frozen=True)
class ModelRow:
    """One model; its files stand in `RunDirectory.model(digest)`."""

    digest: str
    variant: str
    generation: int  # 1, 2, 3, ... per variant
    parent_digest: str | None
    training_run: str | None
    manifest: dict[str, JsonValue]
    created_at: float


def add(
    conn: Connection,
    digest: str,
    variant: str,
    *,
    parent_digest: str | None,
    training_run: str | None,
    manifest: Mapping[str, JsonValue],
    at: float,
) -> ModelRow:
    """Register a model under its digest with the variant's next generation.

    Registering the same digest again returns the row that is there.

    Raises:
        LedgerError: the digest is registered for another variant.
    """
    old = get(conn, digest)
    if old is not None:
        if old.variant != variant:
            raise LedgerError(f"model {digest} is registered for {old.variant}, not for {variant}")
        return old
    last = conn.execute(select(func.max(models.c.generation)).where(models.c.variant == variant)).scalar_one()
    row = ModelRow(digest, variant, (last or 0) + 1, parent_digest, training_run, dict(manifest), at)
    conn.execute(insert(models).values(vars(row)))
    return row


def get(conn: Connection, digest: str) -> ModelRow | None:
    """The model with this digest."""
    row = conn.execute(select(models).where(models.c.digest == digest)).first()
    return None if row is None else ModelRow(**row._mapping)


def latest(conn: Connection, variant: str) -> ModelRow | None:
    """The model of the variant with the highest generation."""
    query = select(models).where(models.c.variant == variant).order_by(models.c.generation.desc()).limit(1)
    row = conn.execute(query).first()
    return None if row is None else ModelRow(**row._mapping)


def count_by_variant(conn: Connection) -> dict[str, int]:
    """The number of models of each variant that has any."""
    return dict(conn.execute(select(models.c.variant, func.count()).group_by(models.c.variant)).all())


def all_models(conn: Connection, variant: str | None = None) -> list[ModelRow]:
    """Every model by variant and generation, of one variant or of all."""
    query = select(models).order_by(models.c.variant, models.c.generation)
    if variant is not None:
        query = query.where(models.c.variant == variant)
    return [ModelRow(**row._mapping) for row in conn.execute(query)]
