"""What each host's workers were told they may use, beside what they did with it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; samples of before tell none, so every host is told anew."""
    told = "what the workers were told they may use (pace.json)"
    op.add_column(
        "utilization_samples", sa.Column("allowance", sa.JSON(none_as_null=True), nullable=True, comment=told)
    )


def downgrade() -> None:
    """Forget it."""
    op.drop_column("utilization_samples", "allowance")
