"""What the ledger refers to: segments that a training may still read, open training runs, models in use, open jobs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, select

from ringrift_loop.config.schema import LoopConfig
from ringrift_loop.engine.version import ENGINE_VERSION
from ringrift_loop.json_value import JsonValue
from ringrift_loop.ledger import jobs, models, promotions, workers
from ringrift_loop.ledger.schema import games, training_runs
from ringrift_loop.ledger.schema import promotions as decisions
from ringrift_loop.ledger.training import ACTIVE

# A replay window is at most `training.window_rows_max` rows; as much again stays, for a larger one.
_WINDOWS = 2


@dataclass(frozen=True)
class References:
    """By what is referred to: by what, in words."""

    segments: dict[tuple[str, str], str]
    """By host and name of the segment."""
    training: dict[str, str]
    """By run."""
    models: dict[str, str]
    """By digest."""
    matches: dict[str, str]
    """By job."""


def read_references(conn: Connection, config: LoopConfig) -> References:
    """Everything that the ledger refers to at this moment."""
    return References(_segments(conn, config), _training(conn), _models(conn), _matches(conn))


def _segments(conn: Connection, config: LoopConfig) -> dict[tuple[str, str], str]:
    found: dict[tuple[str, str], str] = {}
    place = (games.c.host, games.c.segment)
    wanted = _WINDOWS * config.training.window_rows_max
    for variant in conn.execute(select(games.c.variant).distinct()).scalars().all():
        columns = (*place, games.c.rows, games.c.engine_version)
        newest = select(*columns).where(games.c.variant == variant, games.c.training_run.is_not(None))
        rows = 0
        for host, segment, number, engine_version in conn.execute(newest.order_by(games.c.ingested_at.desc())):
            if rows >= wanted:
                break
            found[host, segment] = f"the replay window of {variant}"
            rows += number if engine_version == ENGINE_VERSION else 0
    open_runs = select(training_runs.c.id).where(training_runs.c.state.in_(ACTIVE))
    for host, segment in conn.execute(select(*place).where(games.c.training_run.in_(open_runs)).distinct()):
        found[host, segment] = "an open training run"
    for host, segment in conn.execute(select(*place).where(games.c.training_run.is_(None)).distinct()):
        found[host, segment] = "games that wait for training"
    return found


def _training(conn: Connection) -> dict[str, str]:
    query = select(training_runs.c.id, training_runs.c.state).where(training_runs.c.state.in_(ACTIVE))
    return {run_id: f"the run is {state}" for run_id, state in conn.execute(query)}


def _models(conn: Connection) -> dict[str, str]:
    found: dict[str, str] = {}
    every = models.all_models(conn)
    newest = {model.variant: model.digest for model in every}  # they come by generation
    decided = set(conn.execute(select(decisions.c.model_digest)).scalars())
    for model in every:
        if model.digest not in decided:
            found[model.digest] = "nobody has decided about it yet"
    found |= {digest: f"the newest of {variant}" for variant, digest in newest.items()}
    for row in conn.execute(select(training_runs.c.parent_digest).where(training_runs.c.state.in_(ACTIVE))):
        if row.parent_digest is not None:
            found[row.parent_digest] = "an open training run starts from it"
    for worker in workers.all_workers(conn):
        for digest in _played(worker.heartbeat):
            found[digest] = f"{worker.host} plays with it"
    for variant in newest:
        for digest in promotions.pointers(conn, variant):
            found[digest] = f"a champion of {variant}, one can roll back to it"
    for name, generator in promotions.generators(conn).items():
        found[generator.model_digest] = f"the generator of {name}"
    for name, champion in promotions.all_champions(conn).items():
        found[champion.model_digest] = f"the champion of {name}"
    return found


def _matches(conn: Connection) -> dict[str, str]:
    return {row.id: f"the job is {row.state} on {row.host}" for row in jobs.active(conn)}


def _played(heartbeat: Mapping[str, JsonValue] | None) -> Iterator[str]:
    """The models in a heartbeat, of whatever version its worker is."""
    variants = (heartbeat or {}).get("variants")
    for play in variants.values() if isinstance(variants, dict) else ():
        model = play.get("model") if isinstance(play, dict) else None
        if isinstance(model, str):
            yield model
