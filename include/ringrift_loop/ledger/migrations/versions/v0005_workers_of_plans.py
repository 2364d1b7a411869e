"""Worker slots without a variant of their own: they play those of their host's plan in turns."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Drop the column."""
    op.drop_column("workers", "variant")


def downgrade() -> None:
    """Add it again; the next reconcile gives every slot its variant."""
    op.execute("DELETE FROM workers")
    op.add_column(
        "workers",
        sa.Column(
            "variant", sa.String(length=32), nullable=False, server_default="square8_2p", comment="what it should play"
        ),
    )
