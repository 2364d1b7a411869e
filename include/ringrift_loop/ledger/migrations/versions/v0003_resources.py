"""Samples of utilization, decisions on it, negotiated rates and weights."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables of resource control."""
    op.create_table(
        "utilization_samples",
        sa.Column("host", sa.String(length=64), nullable=False),
        sa.Column(
            "at", sa.Float(), nullable=False, comment="end of the interval, UTC seconds by the coordinator's clock"
        ),
        sa.Column("machine", sa.String(length=128), nullable=False, comment="hosts of one machine have the same id"),
        sa.Column("seconds", sa.Float(), nullable=False, comment="length of the interval"),
        sa.Column("cpu", sa.Float(), nullable=False, comment="average use of the machine, percent"),
        sa.Column("workers", sa.Float(), nullable=False, comment="of that, this host's self-play workers"),
        sa.Column("jobs", sa.Float(), nullable=False, comment="of that, this host's detached jobs"),
        sa.Column(
            "control",
            sa.Float(),
            nullable=False,
            comment="of that, the launch on this machine: Airflow and what it runs",
        ),
        sa.Column("memory", sa.Float(), nullable=False, comment="percent of the machine's memory"),
        sa.Column("duty", sa.Float(), nullable=False, comment="that the workers had in the interval, 0..1"),
        sa.Column(
            "gpus",
            sa.JSON(),
            nullable=False,
            comment="index, percent, memory_used_mib, memory_total_mib, mig of each",
        ),
        sa.Column("gpu_problem", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("host", "at", name=op.f("pk_utilization_samples")),
        comment="What hosts said of their machines; kept for a day",
    )
    op.create_index(op.f("ix_utilization_samples_machine_at"), "utilization_samples", ["machine", "at"], unique=False)
    op.create_table(
        "resource_decisions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("machine", sa.String(length=128), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("action", sa.String(length=16), nullable=False, comment="scale_up, scale_down, hold or no_data"),
        sa.Column("duty", sa.Float(), nullable=False, comment="of the machine's workers from now on, 0..1"),
        sa.Column("inputs", sa.JSON(), nullable=False, comment="the sample, the band and what else was looked at"),
        sa.Column("state", sa.JSON(), nullable=False, comment="the controllers after it"),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_resource_decisions")),
        comment="One row a decision; the last of a machine is what holds",
    )
    op.create_index(op.f("ix_resource_decisions_machine_at"), "resource_decisions", ["machine", "at"], unique=False)
    op.create_table(
        "rate_negotiations",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("requestor", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False, comment="as the requestor gave it"),
        sa.Column("requested", sa.Float(), nullable=False, comment="games an hour"),
        sa.Column("approved", sa.Integer(), nullable=False, comment="games an hour; the last row's is what holds"),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rate_negotiations")),
        comment="What was asked for and what came of it",
    )
    op.create_table(
        "config_weights",
        sa.Column("variant", sa.String(length=32), nullable=False),
        sa.Column("weight", sa.Float(), nullable=False, comment="by games and rates, 0.5..2"),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("variant", name=op.f("pk_config_weights")),
    )


def downgrade() -> None:
    """Drop them; their indexes go with them."""
    for table in ("config_weights", "rate_negotiations", "resource_decisions", "utilization_samples"):
        op.drop_table(table)
