"""What backpressure looks at: the disks of hosts, and games that were due and are still there."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TABLE = "utilization_samples"
_COLUMNS = (
    ("disk", sa.Float(), "percent of the file system of the host's root folder"),
    ("unsynced", sa.Integer(), "segments that were due and are still on the host after the visit"),
    ("unsynced_s", sa.Float(), "age of the oldest of them, s"),
)


def upgrade() -> None:
    """Add the columns; earlier samples tell nothing of them."""
    for name, kind, comment in _COLUMNS:
        op.add_column(_TABLE, sa.Column(name, kind, nullable=True, comment=comment))


def downgrade() -> None:
    """Drop them."""
    for name, _, _ in reversed(_COLUMNS):
        op.drop_column(_TABLE, name)
