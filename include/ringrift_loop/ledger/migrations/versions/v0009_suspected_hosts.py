"""Hosts whose games are held back from training, and what tells that they should be."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; games of before tell none, and are compared with nobody's."""
    since = "its games are held back from training since then"
    op.add_column("hosts", sa.Column("suspected_at", sa.Float(), nullable=True, comment=since))
    op.add_column("hosts", sa.Column("suspicion", sa.Text(), nullable=True, comment="why, for people"))
    trusted = "a person ended a suspicion: only games taken in since then count for a new one"
    op.add_column("hosts", sa.Column("trusted_at", sa.Float(), nullable=True, comment=trusted))
    begun = "by the host's clock"
    op.add_column("games", sa.Column("started_at", sa.Float(), nullable=True, comment=begun))
    error = "mean squared distance of its searches' shares of the win from the outcome"
    op.add_column("games", sa.Column("value_error", sa.Float(), nullable=True, comment=error))
    spread = "mean squared distance of its searches' shares of the win from an even one"
    op.add_column("games", sa.Column("value_spread", sa.Float(), nullable=True, comment=spread))


def downgrade() -> None:
    """Forget them; the games that were held back count again."""
    for name in ("value_spread", "value_error", "started_at"):
        op.drop_column("games", name)
    for name in ("trusted_at", "suspicion", "suspected_at"):
        op.drop_column("hosts", name)
