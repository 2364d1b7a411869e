"""Indexes by which the games of a time, of a player or of a host are found, the newest first."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Index what the page Games filters by."""
    op.create_index(op.f("ix_games_ingested_at"), "games", ["ingested_at"], unique=False)
    op.create_index(op.f("ix_games_player_ingested_at"), "games", ["player", "ingested_at"], unique=False)
    op.create_index(op.f("ix_games_host_ingested_at"), "games", ["host", "ingested_at"], unique=False)


def downgrade() -> None:
    """Forget them."""
    op.drop_index(op.f("ix_games_host_ingested_at"), table_name="games")
    op.drop_index(op.f("ix_games_player_ingested_at"), table_name="games")
    op.drop_index(op.f("ix_games_ingested_at"), table_name="games")
