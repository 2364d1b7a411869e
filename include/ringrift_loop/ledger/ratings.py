"""Ratings as last fitted; derived from the match log and rewritten per variant as a whole."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, delete, insert, select

from ringrift_loop.errors import LedgerError
from ringrift_loop.ledger.schema import rating_history, ratings


@dataclass(frozen=True)
class RatingRow:
    """One participant's rating."""

    variant: str
    participant: str
    elo: float
    stderr: float  # standard error, Elo
    games: int
    fitted_at: float
    wins: int = 0  # games in which one of its seats won; 0 in the history
    draws: int = 0  # games without a winner; 0 in the history

    @property
    def losses(self) -> int:
        """Games that another participant won."""
        return self.games - self.wins - self.draws


def replace(conn: Connection, variant: str, rows: Sequence[RatingRow], *, keep_history_of: Collection[str]) -> None:
    """Put a fit in the place of the variant's last one.

    Args:
        conn: a write transaction.
        variant: the variant that was fitted.
        rows: the whole fit.
        keep_history_of: the participants (the champion, anchors) whose rating joins the history.

    Raises:
        LedgerError: a row belongs to another variant.
    """
    strangers = sorted({row.variant for row in rows} - {variant})
    if strangers:
        raise LedgerError(f"a fit of {variant} holds ratings of {strangers}")
    conn.execute(delete(ratings).where(ratings.c.variant == variant))
    if rows:
        conn.execute(insert(ratings), [asdict(row) for row in rows])
    columns = {column.name for column in rating_history.c}
    kept = [
        {name: value for name, value in asdict(row).items() if name in columns}
        for row in rows
        if row.participant in keep_history_of
    ]
    if kept:
        conn.execute(insert(rating_history), kept)


def table(conn: Connection, variant: str) -> list[RatingRow]:
    """The variant's ratings, strongest first."""
    query = select(ratings).where(ratings.c.variant == variant).order_by(ratings.c.elo.desc(), ratings.c.participant)
    return [RatingRow(**row._mapping) for row in conn.execute(query)]


def get(conn: Connection, variant: str, participant: str) -> RatingRow | None:
    """One participant's rating."""
    query = select(ratings).where(ratings.c.variant == variant, ratings.c.participant == participant)
    row = conn.execute(query).first()
    return None if row is None else RatingRow(**row._mapping)


def history(conn: Connection, variant: str, *, since: float = 0.0) -> list[RatingRow]:
    """The kept ratings of a variant at each fit, oldest first."""
    columns = [column for column in rating_history.c if column.name != "id"]
    query = (
        select(*columns)
        .where(rating_history.c.variant == variant, rating_history.c.fitted_at >= since)
        .order_by(rating_history.c.id)
    )
    return [RatingRow(**row._mapping) for row in conn.execute(query)]
