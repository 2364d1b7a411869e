"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create every table."""
    op.create_table(
        "curriculum_weights",
        sa.Column("variant", sa.String(length=32), nullable=False),
        sa.Column("weight", sa.Float(), nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("variant", name=op.f("pk_curriculum_weights")),
    )
    op.create_table(
        "events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("kind", sa.String(length=48), nullable=False),
        sa.Column("variant", sa.String(length=32), nullable=True),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        comment="Append-only history for people",
    )
    op.create_index(op.f("ix_events_at"), "events", ["at"], unique=False)
    op.create_table(
        "gate_reports",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("variant", sa.String(length=32), nullable=False),
        sa.Column("model_digest", sa.String(length=64), nullable=False),
        sa.Column("gate", sa.String(length=16), nullable=False, comment="regression or champion"),
        sa.Column("passed", sa.Boolean(), nullable=False),
        sa.Column("report", sa.JSON(), nullable=False, comment="every test with figure, limit, verdict"),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gate_reports")),
    )
    op.create_index(op.f("ix_gate_reports_model_digest_gate"), "gate_reports", ["model_digest", "gate"], unique=False)
    op.create_table(
        "hosts",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("last_seen_at", sa.Float(), nullable=True, comment="last successful round trip"),
        sa.Column("consecutive_failures", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", sa.Float(), nullable=False, comment="backoff: not asked before this time"),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("sync_count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_hosts")),
        comment="What the coordinator knows of each host of the inventory",
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("holder", sa.String(length=160), nullable=False),
        sa.Column("acquired_at", sa.Float(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
        comment="Mutual exclusion between processes; an expired lease is free",
    )
    op.create_table(
        "loop_state",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_loop_state")),
        comment="Single values of the loop: started_at, last_cycle_at, halt",
    )
    op.create_table(
        "matches",
        sa.Column(
            "id",
            sa.String(length=64),
            nullable=False,
            comment="hash of block, rotation and seats: a game is stored once",
        ),
        sa.Column(
            "block",
            sa.String(length=64),
            nullable=False,
            comment="same opening, every seat rotation: the sampling unit",
        ),
        sa.Column("variant", sa.String(length=32), nullable=False),
        sa.Column(
            "purpose", sa.String(length=16), nullable=False, comment="shadow, gate, champion, tournament, manual"
        ),
        sa.Column("seats", sa.JSON(), nullable=False, comment="participant id per seat"),
        sa.Column("opening", sa.Text(), nullable=False, comment="the random opening moves, space-joined"),
        sa.Column("moves", sa.Text(), nullable=False),
        sa.Column("winner", sa.Integer(), nullable=True, comment="seat 1..4, or null when cut off"),
        sa.Column("places", sa.JSON(), nullable=False, comment="finishing place per seat, 1 = first"),
        sa.Column("result", sa.String(length=16), nullable=False),
        sa.Column("plies", sa.Integer(), nullable=False),
        sa.Column("host", sa.String(length=64), nullable=False),
        sa.Column("engine_version", sa.String(length=32), nullable=False),
        sa.Column("played_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_matches")),
        comment="The immutable match log; ratings are a pure function of it",
    )
    op.create_index(op.f("ix_matches_block"), "matches", ["block"], unique=False)
    op.create_index(op.f("ix_matches_variant"), "matches", ["variant"], unique=False)
    op.create_table(
        "quarantine",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("host", sa.String(length=64), nullable=False),
        sa.Column("segment", sa.String(length=160), nullable=False, comment="name of the segment"),
        sa.Column("position", sa.Integer(), nullable=True, comment="record number, or null for a whole segment"),
        sa.Column("game_id", sa.String(length=64), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=True, comment="the record as met, at most 64 KiB"),
        sa.Column("quarantined_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quarantine")),
        sa.UniqueConstraint("host", "segment", "position", name=op.f("uq_quarantine_host_segment_position")),
    )
    op.create_table(
        "rating_history",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("variant", sa.String(length=32), nullable=False),
        sa.Column("participant", sa.String(length=160), nullable=False),
        sa.Column("elo", sa.Float(), nullable=False),
        sa.Column("stderr", sa.Float(), nullable=False),
        sa.Column("games", sa.Integer(), nullable=False),
        sa.Column("fitted_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rating_history")),
        comment="The champion's rating at each fit, for the trend",
    )
    op.create_index(
        op.f("ix_rating_history_variant_fitted_at"), "rating_history", ["variant", "fitted_at"], unique=False
    )
    op.create_table(
        "ratings",
        sa.Column("variant", sa.String(length=32), nullable=False),
        sa.Column("participant", sa.String(length=160), nullable=False),
        sa.Column("elo", sa.Float(), nullable=False),
        sa.Column("stderr", sa.Float(), nullable=False, comment="standard error, Elo"),
        sa.Column("games", sa.Integer(), nullable=False),
        sa.Column("fitted_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("variant", "participant", name=op.f("pk_ratings")),
        comment="Derived: rewritten as a whole per variant from the match log",
    )
    op.create_table(
        "training_runs",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("variant", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False, comment="claimed, running, succeeded, failed"),
        sa.Column("games", sa.Integer(), nullable=False, comment="games newly consumed by this run"),
        sa.Column("window_games", sa.Integer(), nullable=False),
        sa.Column("window_rows", sa.Integer(), nullable=False),
        sa.Column("parent_digest", sa.String(length=64), nullable=True, comment="the model that training started from"),
        sa.Column("model_digest", sa.String(length=64), nullable=True, comment="the candidate, when it succeeded"),
        sa.Column("started_at", sa.Float(), nullable=False),
        sa.Column("finished_at", sa.Float(), nullable=True),
        sa.Column("report", sa.JSON(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "state in ('claimed', 'running', 'succeeded', 'failed')", name=op.f("ck_training_runs_state_known")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_training_runs")),
    )
    op.create_index(op.f("ix_training_runs_variant_state"), "training_runs", ["variant", "state"], unique=False)
    op.create_table(
        "models",
        sa.Column("digest", sa.String(length=64), nullable=False, comment="sha256 of the weights file"),
        sa.Column("variant", sa.String(length=32), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False, comment="1, 2, 3, ... per variant"),
        sa.Column("parent_digest", sa.String(length=64), nullable=True),
        sa.Column("training_run", sa.String(length=64), nullable=True),
        sa.Column("manifest", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["training_run"], ["training_runs.id"], name=op.f("fk_models_training_run_training_runs")
        ),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_models")),
        sa.UniqueConstraint("variant", "generation", name=op.f("uq_models_variant_generation")),
    )
    op.create_table(
        "segments",
        sa.Column("host", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=160), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False, comment="of the file as pulled"),
        sa.Column("epoch", sa.String(length=32), nullable=False, comment="random id of the worker's data folder"),
        sa.Column("seq", sa.Integer(), nullable=False, comment="1, 2, 3, ... within (host, epoch)"),
        sa.Column("records", sa.Integer(), nullable=False, comment="records the segment claims and holds"),
        sa.Column("games_new", sa.Integer(), nullable=False),
        sa.Column("games_known", sa.Integer(), nullable=False, comment="already in the ledger: counted once"),
        sa.Column("games_quarantined", sa.Integer(), nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("ingested_at", sa.Float(), nullable=False),
        sa.Column("released_at", sa.Float(), nullable=True, comment="when the host was first seen without it"),
        sa.CheckConstraint(
            "records = games_new + games_known + games_quarantined", name=op.f("ck_segments_records_add_up")
        ),
        sa.ForeignKeyConstraint(["host"], ["hosts.name"], name=op.f("fk_segments_host_hosts")),
        sa.PrimaryKeyConstraint("host", "name", name=op.f("pk_segments")),
        comment="Sealed segments taken in; a row and its games are written in one transaction",
    )
    op.create_index(op.f("ix_segments_host_epoch_seq"), "segments", ["host", "epoch", "seq"], unique=False)
    op.create_index(op.f("ix_segments_host_released_at"), "segments", ["host", "released_at"], unique=False)
    op.create_table(
        "workers",
        sa.Column("host", sa.String(length=64), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=False),
        sa.Column("variant", sa.String(length=32), nullable=False, comment="what it should play"),
        sa.Column("assigned_at", sa.Float(), nullable=False),
        sa.Column("heartbeat", sa.JSON(), nullable=True, comment="the last heartbeat read, as the worker wrote it"),
        sa.Column("heartbeat_at", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(["host"], ["hosts.name"], name=op.f("fk_workers_host_hosts")),
        sa.PrimaryKeyConstraint("host", "slot", name=op.f("pk_workers")),
        comment="Desired and reported state of each worker slot",
    )
    op.create_table(
        "champions",
        sa.Column("variant", sa.String(length=32), nullable=False),
        sa.Column("model_digest", sa.String(length=64), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False, comment="counts promotions of the variant: 1, 2, 3, ..."),
        sa.Column("promoted_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["model_digest"], ["models.digest"], name=op.f("fk_champions_model_digest_models")),
        sa.PrimaryKeyConstraint("variant", name=op.f("pk_champions")),
        comment="The pointer: swapped in the transaction that writes its promotions row",
    )
    op.create_table(
        "games",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column(
            "move_hash", sa.String(length=64), nullable=False, comment="sha256 of variant, start state and moves"
        ),
        sa.Column("variant", sa.String(length=32), nullable=False),
        sa.Column("host", sa.String(length=64), nullable=False),
        sa.Column("segment", sa.String(length=160), nullable=False, comment="name of the segment that holds its moves"),
        sa.Column("position", sa.Integer(), nullable=False, comment="record number within the segment"),
        sa.Column("plies", sa.Integer(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False, comment="plies with a choice: training rows"),
        sa.Column("winner", sa.Integer(), nullable=True, comment="seat 1..4, or null when cut off"),
        sa.Column("result", sa.String(length=16), nullable=False),
        sa.Column("player", sa.String(length=80), nullable=False, comment="model digest or baseline that played it"),
        sa.Column("search", sa.JSON(), nullable=False),
        sa.Column("engine_version", sa.String(length=32), nullable=False),
        sa.Column("played_at", sa.Float(), nullable=False),
        sa.Column("ingested_at", sa.Float(), nullable=False),
        sa.Column("training_run", sa.String(length=64), nullable=True, comment="the run that first consumed it"),
        sa.ForeignKeyConstraint(
            ["host", "segment"], ["segments.host", "segments.name"], name=op.f("fk_games_host_segments")
        ),
        sa.ForeignKeyConstraint(
            ["training_run"], ["training_runs.id"], name=op.f("fk_games_training_run_training_runs")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_games")),
        sa.UniqueConstraint("move_hash", name=op.f("uq_games_move_hash")),
        comment="Self-play games; every one was replayed through the rules engine before it was written",
    )
    op.create_index(op.f("ix_games_host_segment"), "games", ["host", "segment"], unique=False)
    op.create_index(op.f("ix_games_variant_ingested_at"), "games", ["variant", "ingested_at"], unique=False)
    op.create_index(op.f("ix_games_variant_training_run"), "games", ["variant", "training_run"], unique=False)
    op.create_table(
        "participants",
        sa.Column("id", sa.String(length=160), nullable=False, comment="'<model digest>|<search>' or '<baseline>'"),
        sa.Column("variant", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False, comment="model or baseline"),
        sa.Column("model_digest", sa.String(length=64), nullable=True),
        sa.Column("search", sa.JSON(), nullable=False),
        sa.Column("anchor_elo", sa.Float(), nullable=True, comment="fixed rating, for anchors"),
        sa.CheckConstraint(
            "(kind = 'model') = (model_digest is not null)", name=op.f("ck_participants_model_has_digest")
        ),
        sa.CheckConstraint("kind in ('model', 'baseline')", name=op.f("ck_participants_kind_known")),
        sa.ForeignKeyConstraint(["model_digest"], ["models.digest"], name=op.f("fk_participants_model_digest_models")),
        sa.PrimaryKeyConstraint("id", "variant", name=op.f("pk_participants")),
        comment="A player under one variant: weights and search settings together",
    )
    op.create_table(
        "promotions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("variant", sa.String(length=32), nullable=False),
        sa.Column("model_digest", sa.String(length=64), nullable=False),
        sa.Column("previous_digest", sa.String(length=64), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False, comment="promoted, rejected or rolled_back"),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("elo_gain", sa.Float(), nullable=True),
        sa.Column("games", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["model_digest"], ["models.digest"], name=op.f("fk_promotions_model_digest_models")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_promotions")),
        comment="The pointer's history, rejections included",
    )
    op.create_index(op.f("ix_promotions_variant_created_at"), "promotions", ["variant", "created_at"], unique=False)
    op.create_table(
        "match_players",
        sa.Column("match_id", sa.String(length=64), nullable=False),
        sa.Column("seat", sa.Integer(), nullable=False),
        sa.Column("variant", sa.String(length=32), nullable=False),
        sa.Column("participant", sa.String(length=160), nullable=False),
        sa.ForeignKeyConstraint(["match_id"], ["matches.id"], name=op.f("fk_match_players_match_id_matches")),
        sa.ForeignKeyConstraint(
            ["participant", "variant"],
            ["participants.id", "participants.variant"],
            name=op.f("fk_match_players_participant_participants"),
        ),
        sa.PrimaryKeyConstraint("match_id", "seat", name=op.f("pk_match_players")),
        comment="Who sat where; the foreign key keeps participants of another variant out",
    )
    op.create_index(op.f("ix_match_players_participant"), "match_players", ["participant"], unique=False)


def downgrade() -> None:
    """Drop every table; its indexes go with it."""
    for table in (
        "match_players",
        "promotions",
        "participants",
        "games",
        "champions",
        "workers",
        "segments",
        "models",
        "training_runs",
        "ratings",
        "rating_history",
        "quarantine",
        "matches",
        "loop_state",
        "leases",
        "hosts",
        "gate_reports",
        "events",
        "curriculum_weights",
    ):
        op.drop_table(table)
