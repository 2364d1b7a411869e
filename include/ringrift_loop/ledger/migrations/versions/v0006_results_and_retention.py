"""Won and drawn games beside each rating, segments whose file was given up, and indexes for quick answers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_COUNTED = """
UPDATE ratings SET wins = (
  SELECT count(*) FROM match_players p JOIN matches m ON m.id = p.match_id
  WHERE p.variant = ratings.variant AND p.participant = ratings.participant AND m.winner = p.seat
), draws = (
  SELECT count(DISTINCT p.match_id) FROM match_players p JOIN matches m ON m.id = p.match_id
  WHERE p.variant = ratings.variant AND p.participant = ratings.participant AND m.winner IS NULL
)
"""


def upgrade() -> None:
    """Count what the match log says, as the next fit will, and index what is asked for at every look."""
    won = "games in which one of its seats won"
    op.add_column("ratings", sa.Column("wins", sa.Integer(), server_default="0", nullable=False, comment=won))
    drawn = "games without a winner: cut off"
    op.add_column("ratings", sa.Column("draws", sa.Integer(), server_default="0", nullable=False, comment=drawn))
    op.execute(_COUNTED)
    given_up = "when its file was given up here: no training reads it any more"
    op.add_column("segments", sa.Column("pruned_at", sa.Float(), nullable=True, comment=given_up))
    op.create_index(op.f("ix_matches_variant_played_at"), "matches", ["variant", "played_at"], unique=False)
    op.drop_index(op.f("ix_matches_variant"), table_name="matches")
    op.create_index(op.f("ix_events_kind_at"), "events", ["kind", "at"], unique=False)


def downgrade() -> None:
    """Forget the counts, and the indexes."""
    op.drop_index(op.f("ix_events_kind_at"), table_name="events")
    op.create_index(op.f("ix_matches_variant"), "matches", ["variant"], unique=False)
    op.drop_index(op.f("ix_matches_variant_played_at"), table_name="matches")
    op.drop_column("segments", "pruned_at")
    op.drop_column("ratings", "draws")
    op.drop_column("ratings", "wins")
