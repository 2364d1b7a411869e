"""Training runs: which games a run consumed, what it made of them.

A run goes claimed -> running -> succeeded or failed. At most one run of a variant is claimed or running. The games that
a run consumed carry its id (games.py); a failed run's games are free again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, func, insert, or_, select, update

from ringrift_loop.errors import LedgerError
from ringrift_loop.json_value import JsonValue
from ringrift_loop.ledger import games as game_rows
from ringrift_loop.ledger import state
from ringrift_loop.ledger.schema import games, models, segments, training_runs

ACTIVE = ("claimed", "running")
_LENT = "training:lent:{variant}"


@dataclass(frozen=True)
class TrainingRunRow:
    """One training run."""

    id: str
    variant: str
    state: str  # claimed, running, succeeded, failed
    games: int  # newly consumed
    window_games: int
    window_rows: int
    parent_digest: str | None
    model_digest: str | None
    started_at: float
    finished_at: float | None
    report: dict[str, JsonValue] | None
    error: str | None


@dataclass(frozen=True)
class WindowGameRow:
    """Where a game of the replay window lies, and what the ledger says of it."""

    id: str
    host: str
    segment: str  # name of the segment that holds its moves
    position: int  # record number within the segment, from 0
    rows: int
    fresh: bool  # not seen by the weights that the run starts from


def claim(conn: Connection, run_id: str, variant: str, *, at: float) -> TrainingRunRow:
    """Begin a run with every unconsumed game of the variant; call it in a write transaction.

    Raises:
        LedgerError: a run of the variant is claimed or running, the id is taken, or there is no game at all to learn
            from.
    """
    other = active(conn, variant)
    if other is not None:
        raise LedgerError(f"training run {other.id} of {variant} is {other.state}; one at a time")
    if get(conn, run_id) is not None:
        raise LedgerError(f"training run {run_id} already exists")
    values = {"id": run_id, "variant": variant, "state": "claimed", "games": 0, "started_at": at}
    conn.execute(insert(training_runs).values(values))
    claimed = game_rows.claim(conn, variant, run_id)
    if claimed == 0 and game_rows.count(conn, variant) == 0:
        raise LedgerError(f"the ledger holds no game of {variant} yet; nothing to train on")
    conn.execute(update(training_runs).where(training_runs.c.id == run_id).values(games=claimed))
    return require(conn, run_id)


def window(
    conn: Connection, run: TrainingRunRow, *, rows: int, rows_max: int, seen_until: float, engine_version: str
) -> list[WindowGameRow]:
    """The run's replay window: the games that it claimed, then consumed games, both from the newest back.

    While the run is active the answer stays the same.

    Args:
        conn: to read with.
        run: the run.
        rows: older games are added until the window has that many rows.
        rows_max: claimed games are left out, the oldest ones, once it has that many.
        seen_until: games of runs that started after this time are fresh, UTC seconds, and the run's own whatever the
            clock says.
        engine_version: games of another engine cannot be replayed and are left out; so are games whose file was
            given up, and those of a host under suspicion.
    """
    query = (
        select(
            games.c.id,
            games.c.host,
            games.c.segment,
            games.c.position,
            games.c.rows,
            training_runs.c.id,
            training_runs.c.started_at,
        )
        .join(training_runs, games.c.training_run == training_runs.c.id)
        .join(segments, (segments.c.host == games.c.host) & (segments.c.name == games.c.segment))
        .where(
            games.c.variant == run.variant,
            games.c.engine_version == engine_version,
            segments.c.pruned_at.is_(None),
            game_rows.TRUSTED,
        )
        .order_by((training_runs.c.id == run.id).desc(), games.c.ingested_at.desc(), games.c.id)
    )
    chosen: list[WindowGameRow] = []
    total = 0
    for game_id, host, segment, position, number, first_run, started_at in conn.execute(query):
        if total >= (rows_max if first_run == run.id else rows):
            break
        game = WindowGameRow(
            game_id, host, segment, position, number, fresh=first_run == run.id or started_at > seen_until
        )
        chosen.append(game)
        total += game.rows
    return chosen


def consumed_rows(conn: Connection, variant: str) -> int:
    """Rows of all games of the variant that a run has consumed; the window grows with their number."""
    query = select(func.coalesce(func.sum(games.c.rows), 0)).where(
        games.c.variant == variant, games.c.training_run.is_not(None)
    )
    return int(conn.execute(query).scalar_one())


def mark_running(
    conn: Connection, run_id: str, *, window_games: int, window_rows: int, parent_digest: str | None, lent: bool = False
) -> None:
    """Record what a run trains on, as training starts; again when it is resumed.

    `lent`: whether its candidate is to be the parent, another variant's model, next to unchanged.
    """
    _update_active(
        conn,
        run_id,
        state="running",
        window_games=window_games,
        window_rows=window_rows,
        parent_digest=parent_digest,
    )
    if lent:
        run = require(conn, run_id)
        state.put(conn, _LENT.format(variant=run.variant), run_id, at=run.started_at)


def is_lent(conn: Connection, run: TrainingRunRow) -> bool:
    """Whether a run that has begun makes another variant's model its candidate, next to unchanged."""
    return state.get(conn, _LENT.format(variant=run.variant)) == run.id


def last_lent_at(conn: Connection, variant: str, lender: str) -> float:
    """When the variant last had a run that started from a model of the lender, UTC seconds; -inf before the first."""
    query = (
        select(func.max(training_runs.c.started_at))
        .join(models, models.c.digest == training_runs.c.parent_digest)
        .where(training_runs.c.variant == variant, models.c.variant == lender)
    )
    at: float | None = conn.execute(query).scalar_one()
    return float("-inf") if at is None else at


def succeed(conn: Connection, run_id: str, *, model_digest: str, report: Mapping[str, JsonValue], at: float) -> None:
    """Record a run's candidate and its report."""
    _update_active(
        conn, run_id, state="succeeded", model_digest=model_digest, report=dict(report), finished_at=at, error=None
    )


def fail(conn: Connection, run_id: str, *, error: str, at: float) -> int:
    """Record that a run failed and give its games back; returns how many."""
    _update_active(conn, run_id, state="failed", error=error, finished_at=at)
    return game_rows.release(conn, run_id)


def get(conn: Connection, run_id: str) -> TrainingRunRow | None:
    """The run with this id."""
    row = conn.execute(select(training_runs).where(training_runs.c.id == run_id)).first()
    return None if row is None else TrainingRunRow(**row._mapping)


def require(conn: Connection, run_id: str) -> TrainingRunRow:
    """The run with this id; raises LedgerError if there is none."""
    run = get(conn, run_id)
    if run is None:
        raise LedgerError(f"no training run {run_id} in the ledger")
    return run


def active(conn: Connection, variant: str) -> TrainingRunRow | None:
    """The variant's run that is claimed or running."""
    query = select(training_runs).where(training_runs.c.variant == variant, training_runs.c.state.in_(ACTIVE))
    row = conn.execute(query).first()
    return None if row is None else TrainingRunRow(**row._mapping)


def last_started_at(conn: Connection, variant: str) -> float | None:
    """When the variant's last run was claimed."""
    query = select(func.max(training_runs.c.started_at)).where(training_runs.c.variant == variant)
    started_at: float | None = conn.execute(query).scalar_one()
    return started_at


def last_finished_at(conn: Connection, variant: str) -> float | None:
    """When the variant's last run ended, well or badly."""
    query = select(func.max(training_runs.c.finished_at)).where(training_runs.c.variant == variant)
    finished_at: float | None = conn.execute(query).scalar_one()
    return finished_at


def _update_active(conn: Connection, run_id: str, **values: object) -> None:
    states = or_(*(training_runs.c.state == state for state in ACTIVE))
    changed = conn.execute(update(training_runs).where(training_runs.c.id == run_id, states).values(**values)).rowcount
    if changed != 1:
        run = require(conn, run_id)
        raise LedgerError(f"training run {run_id} is {run.state}, not claimed or running")
