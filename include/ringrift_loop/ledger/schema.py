"""The ledger's tables. One module per subject in this package writes each of them; nothing else does.

Times are UTC seconds since the epoch (float). Documents are JSON. Every row that can be derived from others
(`ratings`) is rebuilt as a whole, never adjusted. Migrations: `migrations/` (Alembic), checked against this file.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

# The newest migration; a test compares.
SCHEMA_REVISION = "0009"

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

loop_state = Table(
    "loop_state",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("value", JSON, nullable=False),
    Column("updated_at", Float, nullable=False),
    comment="Single values of the loop: started_at, last_cycle_at, halt",
)

hosts = Table(
    "hosts",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("last_seen_at", Float, comment="last successful round trip"),
    Column("consecutive_failures", Integer, nullable=False, default=0),
    Column("next_attempt_at", Float, nullable=False, default=0.0, comment="backoff: not asked before this time"),
    Column("last_error", Text),
    Column("sync_count", Integer, nullable=False, default=0),
    Column("suspected_at", Float, comment="its games are held back from training since then"),
    Column("suspicion", Text, comment="why, for people"),
    Column(
        "trusted_at", Float, comment="a person ended a suspicion: only games taken in since then count for a new one"
    ),
    comment="What the coordinator knows of each host of the inventory",
)

segments = Table(
    "segments",
    metadata,
    Column("host", String(64), ForeignKey("hosts.name"), primary_key=True),
    Column("name", String(160), primary_key=True),
    Column("sha256", String(64), nullable=False, comment="of the file as pulled"),
    Column("epoch", String(32), nullable=False, comment="random id of the worker's data folder"),
    Column("seq", Integer, nullable=False, comment="1, 2, 3, ... within (host, epoch)"),
    Column("records", Integer, nullable=False, comment="records the segment claims and holds"),
    Column("games_new", Integer, nullable=False),
    Column("games_known", Integer, nullable=False, comment="already in the ledger: counted once"),
    Column("games_quarantined", Integer, nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("ingested_at", Float, nullable=False),
    Column("released_at", Float, comment="when the host was first seen without it"),
    Column("pruned_at", Float, comment="when its file was given up here: no training reads it any more"),
    # Not unique: a host's folder that is set back to an older copy uses its numbers twice.
    Index(None, "host", "epoch", "seq"),
    Index(None, "host", "released_at"),
    CheckConstraint("records = games_new + games_known + games_quarantined", name="records_add_up"),
    comment="Sealed segments taken in; a row and its games are written in one transaction",
)

training_runs = Table(
    "training_runs",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("variant", String(32), nullable=False),
    Column("state", String(16), nullable=False, comment="claimed, running, succeeded, failed"),
    Column("games", Integer, nullable=False, comment="games newly consumed by this run"),
    Column("window_games", Integer, nullable=False, default=0),
    Column("window_rows", Integer, nullable=False, default=0),
    Column("parent_digest", String(64), comment="the model that training started from"),
    Column("model_digest", String(64), comment="the candidate, when it succeeded"),
    Column("started_at", Float, nullable=False),
    Column("finished_at", Float),
    Column("report", JSON),
    Column("error", Text),
    CheckConstraint("state in ('claimed', 'running', 'succeeded', 'failed')", name="state_known"),
    Index(None, "variant", "state"),
)

games = Table(
    "games",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("move_hash", String(64), nullable=False, unique=True, comment="sha256 of variant, start state and moves"),
    Column("variant", String(32), nullable=False),
    Column("host", String(64), nullable=False),
    Column("segment", String(160), nullable=False, comment="name of the segment that holds its moves"),
    Column("position", Integer, nullable=False, comment="record number within the segment"),
    Column("plies", Integer, nullable=False),
    Column("rows", Integer, nullable=False, comment="plies with a choice: training rows"),
    Column("winner", Integer, comment="seat 1..4, or null when cut off"),
    Column("result", String(16), nullable=False),
    Column("player", String(80), nullable=False, comment="model digest or baseline that played it"),
    Column("search", JSON, nullable=False),
    Column("engine_version", String(32), nullable=False),
    Column("played_at", Float, nullable=False),
    Column("ingested_at", Float, nullable=False),
    Column("training_run", String(64), ForeignKey("training_runs.id"), comment="the run that first consumed it"),
    Column("started_at", Float, comment="by the host's clock"),
    Column("value_error", Float, comment="mean squared distance of its searches' shares of the win from the outcome"),
    Column("value_spread", Float, comment="mean squared distance of its searches' shares of the win from an even one"),
    Index(None, "variant", "training_run"),
    Index(None, "variant", "ingested_at"),
    Index(None, "ingested_at"),
    Index(None, "player", "ingested_at"),
    Index(None, "host", "ingested_at"),
    Index(None, "host", "segment"),
    ForeignKeyConstraint(["host", "segment"], ["segments.host", "segments.name"]),
    comment="Self-play games; every one was replayed through the rules engine before it was written",
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("host", String(64), nullable=False),
    Column("segment", String(160), nullable=False, comment="name of the segment"),
    Column("position", Integer, comment="record number, or null for a whole segment"),
    Column("game_id", String(64)),
    Column("reason", Text, nullable=False),
    Column("payload", Text, comment="the record as met, at most 64 KiB"),
    Column("quarantined_at", Float, nullable=False),
    UniqueConstraint("host", "segment", "position"),
)

models = Table(
    "models",
    metadata,
    Column("digest", String(64), primary_key=True, comment="sha256 of the weights file"),
    Column("variant", String(32), nullable=False),
    Column("generation", Integer, nullable=False, comment="1, 2, 3, ... per variant"),
    Column("parent_digest", String(64)),
    Column("training_run", String(64), ForeignKey("training_runs.id")),
    Column("manifest", JSON, nullable=False),
    Column("created_at", Float, nullable=False),
    UniqueConstraint("variant", "generation"),
)

participants = Table(
    "participants",
    metadata,
    Column("id", String(160), primary_key=True, comment="'<model digest>|<search>' or '<baseline>'"),
    Column("variant", String(32), primary_key=True),
    Column("kind", String(16), nullable=False, comment="model or baseline"),
    Column("model_digest", String(64), ForeignKey("models.digest")),
    Column("search", JSON, nullable=False),
    Column("anchor_elo", Float, comment="fixed rating, for anchors"),
    CheckConstraint("(kind = 'model') = (model_digest is not null)", name="model_has_digest"),
    CheckConstraint("kind in ('model', 'baseline')", name="kind_known"),
    comment="A player under one variant: weights and search settings together",
)

matches = Table(
    "matches",
    metadata,
    Column("id", String(64), primary_key=True, comment="hash of block, rotation and seats: a game is stored once"),
    Column("block", String(64), nullable=False, comment="same opening, every seat rotation: the sampling unit"),
    Column("variant", String(32), nullable=False),
    Column("purpose", String(16), nullable=False, comment="shadow, gate, champion, tournament, manual"),
    Column("seats", JSON, nullable=False, comment="participant id per seat"),
    Column("opening", Text, nullable=False, comment="the random opening moves, space-joined"),
    Column("moves", Text, nullable=False),
    Column("winner", Integer, comment="seat 1..4, or null when cut off"),
    Column("places", JSON, nullable=False, comment="finishing place per seat, 1 = first"),
    Column("result", String(16), nullable=False),
    Column("plies", Integer, nullable=False),
    Column("host", String(64), nullable=False),
    Column("engine_version", String(32), nullable=False),
    Column("played_at", Float, nullable=False),
    Index(None, "variant", "played_at"),
    Index(None, "block"),
    comment="The immutable match log; ratings are a pure function of it",
)

match_players = Table(
    "match_players",
    metadata,
    Column("match_id", String(64), ForeignKey("matches.id"), primary_key=True),
    Column("seat", Integer, primary_key=True),
    Column("variant", String(32), nullable=False),
    Column("participant", String(160), nullable=False),
    # Composite: a match of one variant cannot name a participant of another.
    ForeignKeyConstraint(["participant", "variant"], ["participants.id", "participants.variant"]),
    Index(None, "participant"),
    comment="Who sat where; the foreign key keeps participants of another variant out",
)
ratings = Table(
    "ratings",
    metadata,
    Column("variant", String(32), primary_key=True),
    Column("participant", String(160), primary_key=True),
    Column("elo", Float, nullable=False),
    Column("stderr", Float, nullable=False, comment="standard error, Elo"),
    Column("games", Integer, nullable=False),
    Column("fitted_at", Float, nullable=False),
    Column("wins", Integer, nullable=False, server_default="0", comment="games in which one of its seats won"),
    Column("draws", Integer, nullable=False, server_default="0", comment="games without a winner: cut off"),
    comment="Derived: rewritten as a whole per variant from the match log",
)

rating_history = Table(
    "rating_history",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("variant", String(32), nullable=False),
    Column("participant", String(160), nullable=False),
    Column("elo", Float, nullable=False),
    Column("stderr", Float, nullable=False),
    Column("games", Integer, nullable=False),
    Column("fitted_at", Float, nullable=False),
    Index(None, "variant", "fitted_at"),
    comment="The champion's rating at each fit, for the trend",
)

gate_reports = Table(
    "gate_reports",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("variant", String(32), nullable=False),
    Column("model_digest", String(64), nullable=False),
    Column("gate", String(16), nullable=False, comment="regression or champion"),
    Column("passed", Boolean, nullable=False),
    Column("report", JSON, nullable=False, comment="every test with figure, limit, verdict"),
    Column("created_at", Float, nullable=False),
    Index(None, "model_digest", "gate"),
)

promotions = Table(
    "promotions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("variant", String(32), nullable=False),
    Column("model_digest", String(64), ForeignKey("models.digest"), nullable=False),
    Column("previous_digest", String(64)),
    Column("status", String(16), nullable=False, comment="promoted, rejected or rolled_back"),
    Column("reason", Text, nullable=False),
    Column("elo_gain", Float),
    Column("games", Integer, nullable=False, default=0),
    Column("created_at", Float, nullable=False),
    Index(None, "variant", "created_at"),
    comment="The pointer's history, rejections included",
)

champions = Table(
    "champions",
    metadata,
    Column("variant", String(32), primary_key=True),
    Column("model_digest", String(64), ForeignKey("models.digest"), nullable=False),
    Column("generation", Integer, nullable=False, comment="counts promotions of the variant: 1, 2, 3, ..."),
    Column("promoted_at", Float, nullable=False),
    comment="The pointer: swapped in the transaction that writes its promotions row",
)

curriculum_weights = Table(
    "curriculum_weights",
    metadata,
    Column("variant", String(32), primary_key=True),
    Column("weight", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
)

utilization_samples = Table(
    "utilization_samples",
    metadata,
    Column("host", String(64), primary_key=True),
    Column("at", Float, primary_key=True, comment="end of the interval, UTC seconds by the coordinator's clock"),
    Column("machine", String(128), nullable=False, comment="hosts of one machine have the same id"),
    Column("seconds", Float, nullable=False, comment="length of the interval"),
    Column("cpu", Float, nullable=False, comment="average use of the machine, percent"),
    Column("workers", Float, nullable=False, comment="of that, this host's self-play workers"),
    Column("jobs", Float, nullable=False, comment="of that, this host's detached jobs"),
    Column("control", Float, nullable=False, comment="of that, the launch on this machine: Airflow and what it runs"),
    Column("memory", Float, nullable=False, comment="percent of the machine's memory"),
    Column("duty", Float, nullable=False, comment="that the workers had in the interval, 0..1"),
    Column("gpus", JSON, nullable=False, comment="index, percent, memory_used_mib, memory_total_mib, mig of each"),
    Column("gpu_problem", Text),
    Column("disk", Float, comment="percent of the file system of the host's root folder"),
    Column("unsynced", Integer, comment="segments that were due and are still on the host after the visit"),
    Column("unsynced_s", Float, comment="age of the oldest of them, s"),
    Column("allowance", JSON(none_as_null=True), comment="what the workers were told they may use (pace.json)"),
    Index(None, "machine", "at"),
    comment="What hosts said of their machines; kept for a day",
)

resource_decisions = Table(
    "resource_decisions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("machine", String(128), nullable=False),
    Column("at", Float, nullable=False),
    Column("action", String(16), nullable=False, comment="scale_up, scale_down, hold or no_data"),
    Column("duty", Float, nullable=False, comment="of the machine's workers from now on, 0..1"),
    Column("inputs", JSON, nullable=False, comment="the sample, the band and what else was looked at"),
    Column("state", JSON, nullable=False, comment="the controllers after it"),
    Column("reason", Text, nullable=False),
    Index(None, "machine", "at"),
    comment="One row a decision; the last of a machine is what holds",
)

rate_negotiations = Table(
    "rate_negotiations",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Float, nullable=False),
    Column("requestor", String(64), nullable=False),
    Column("reason", Text, nullable=False, comment="as the requestor gave it"),
    Column("requested", Float, nullable=False, comment="games an hour"),
    Column("approved", Integer, nullable=False, comment="games an hour; the last row's is what holds"),
    Column("answer", Text, nullable=False),
    comment="What was asked for and what came of it",
)

config_weights = Table(
    "config_weights",
    metadata,
    Column("variant", String(32), primary_key=True),
    Column("weight", Float, nullable=False, comment="by games and rates, 0.5..2"),
    Column("updated_at", Float, nullable=False),
)

workers = Table(
    "workers",
    metadata,
    Column("host", String(64), ForeignKey("hosts.name"), primary_key=True),
    Column("slot", Integer, primary_key=True),
    Column("assigned_at", Float, nullable=False),
    Column("heartbeat", JSON, comment="the last heartbeat read, as the worker wrote it"),
    Column("heartbeat_at", Float),
    comment="Desired and reported state of each worker slot",
)

leases = Table(
    "leases",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("holder", String(160), nullable=False),
    Column("acquired_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    comment="Mutual exclusion between processes; an expired lease is free",
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("command_digest", String(64), nullable=False),
    Column("role", String(32), nullable=False),
    Column("host", String(64), nullable=False, comment="where its last attempt was placed"),
    Column("gpus", JSON, nullable=False, comment="indexes of the GPUs that it holds while it is active"),
    Column("fence_s", Float, nullable=False, comment="it ends by itself so long after the host last heard from us"),
    Column("state", String(16), nullable=False, comment="placed, running, unreachable, succeeded, failed, cancelled"),
    Column("attempt", Integer, nullable=False, comment="1, 2, 3, ... placements"),
    Column("placed_at", Float, nullable=False),
    Column("last_contact_at", Float, nullable=False, comment="the host may have heard from us until then"),
    Column("ended_at", Float),
    Column("log_offset", Integer, nullable=False, comment="bytes of its log that were passed on"),
    Column("failure", JSON),
    CheckConstraint(
        "state in ('placed', 'running', 'unreachable', 'succeeded', 'failed', 'cancelled')", name="state_known"
    ),
    Index(None, "state"),
    comment="Detached jobs on hosts; an active row is the lease on its GPUs",
)

events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Float, nullable=False),
    Column("kind", String(48), nullable=False),
    Column("variant", String(32)),
    Column("message", Text, nullable=False),
    Column("data", JSON, nullable=False),
    Index(None, "at"),
    Index(None, "kind", "at"),
    comment="Append-only history for people",
)
