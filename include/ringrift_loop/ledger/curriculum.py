"""Curriculum weights: each variant's share of self-play, 1.0 being an equal one."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, delete, insert, select

from ringrift_loop.errors import LedgerError
from ringrift_loop.ledger.schema import curriculum_weights


def weights(conn: Connection) -> dict[str, float]:
    """Stored weights by variant; a variant without one counts as 1.0."""
    rows = conn.execute(select(curriculum_weights.c.variant, curriculum_weights.c.weight))
    return dict(rows.all())


def updated_at(conn: Connection) -> float | None:
    """When the weights were last computed."""
    rows = conn.execute(select(curriculum_weights.c.updated_at)).scalars()
    return max(rows, default=None)


def replace(conn: Connection, new: Mapping[str, float], *, at: float) -> None:
    """Put new weights in the place of all old ones.

    Raises:
        LedgerError: a weight is not a positive finite number.
    """
    wrong = {variant: weight for variant, weight in new.items() if not 0.0 < weight < float("inf")}
    if wrong:
        raise LedgerError(f"curriculum weights must be positive, got {wrong}")
    conn.execute(delete(curriculum_weights))
    if new:
        rows = [{"variant": variant, "weight": weight, "updated_at": at} for variant, weight in new.items()]
        conn.execute(insert(curriculum_weights), rows)
