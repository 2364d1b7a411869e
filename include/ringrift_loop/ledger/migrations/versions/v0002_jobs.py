"""Detached jobs on hosts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table of jobs."""
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("command_digest", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=32), nullable=False),
        sa.Column("host", sa.String(length=64), nullable=False, comment="where its last attempt was placed"),
        sa.Column("gpus", sa.JSON(), nullable=False, comment="indexes of the GPUs that it holds while it is active"),
        sa.Column(
            "fence_s", sa.Float(), nullable=False, comment="it ends by itself so long after the host last heard from us"
        ),
        sa.Column(
            "state",
            sa.String(length=16),
            nullable=False,
            comment="placed, running, unreachable, succeeded, failed, cancelled",
        ),
        sa.Column("attempt", sa.Integer(), nullable=False, comment="1, 2, 3, ... placements"),
        sa.Column("placed_at", sa.Float(), nullable=False),
        sa.Column("last_contact_at", sa.Float(), nullable=False, comment="the host may have heard from us until then"),
        sa.Column("ended_at", sa.Float(), nullable=True),
        sa.Column("log_offset", sa.Integer(), nullable=False, comment="bytes of its log that were passed on"),
        sa.Column("failure", sa.JSON(), nullable=True),
        sa.CheckConstraint(
            "state in ('placed', 'running', 'unreachable', 'succeeded', 'failed', 'cancelled')",
            name=op.f("ck_jobs_state_known"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
        comment="Detached jobs on hosts; an active row is the lease on its GPUs",
    )
    op.create_index(op.f("ix_jobs_state"), "jobs", ["state"], unique=False)


def downgrade() -> None:
    """Drop it; its index goes with it."""
    op.drop_table("jobs")
