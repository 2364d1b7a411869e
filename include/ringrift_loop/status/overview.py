"""The loop at a glance, read from the ledger: what `ringrift-loop status` prints and `gauges.py` sends."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Table, func, select

from ringrift_loop.config.schema import LoopConfig
from ringrift_loop.json_value import number
from ringrift_loop.ledger import (
    curriculum,
    games,
    hosts,
    promotions,
    quarantine,
    ratings,
    state,
    utilization,
    workers,
)
from ringrift_loop.ledger.schema import events, matches, models, segments, training_runs
from ringrift_loop.ledger.schema import promotions as promotions_table
from ringrift_loop.selfplay.heartbeat import variant_plays
from ringrift_loop.text import clean, one_line

HOST_FAILED_AFTER = 3
_TREND_WINDOW_S = 86_400.0
_TREND_SPAN_S = 7200.0  # fits that lie closer together say nothing about an hour
_HOUR_S = 3600.0
_TOURNAMENT = "tournament"  # kind of the event that each tournament leaves
_LAST_FULL_GAME = select(func.max(matches.c.played_at)).where(matches.c.purpose == "tournament")
_SILENCE_S = 300.0  # the longest that one data sync takes
# A heartbeat is read once a poll; a worker whose last one is older than three polls is not counted as playing.
_FRESH_POLLS = 3
_STATE_LETTERS = 40


@dataclass(frozen=True)
class VariantOverview:
    """One variant. Times are UTC seconds; None where nothing happened yet."""

    variant: str
    champion: str | None
    """Model digest."""
    generation: int
    """Promotions that led to the champion; 0 before the first."""
    elo: float | None
    elo_stderr: float | None
    elo_trend: float | None
    """Elo per hour over the last day of fits; None with fewer than three, or with less than two hours of them."""
    elo_trend_stderr: float | None
    games: int
    games_last_hour: int
    games_pending: int
    threshold: int
    """Pending games at which a training run starts."""
    matches: int
    models: int
    training_started_at: float | None
    """Start of the open training run."""
    training_runs: dict[str, int]
    """By state."""
    promotions: dict[str, int]
    """By status."""
    last_training_at: float | None
    last_promotion_at: float | None
    last_evaluation_at: float | None
    candidates: int
    """Models made since the last promotion."""
    first_candidate_at: float | None
    """When the first of them was made."""
    workers_assigned: int
    """Each slot plays every variant, in turns."""
    workers_playing: int
    workers_behind: int
    """Of those that play it, the ones whose model is not the champion."""
    weight: float


@dataclass(frozen=True)
class PlayOverview:
    """One variant that a worker plays."""

    variant: str
    generation: int
    """The model's own; 0: before the variant's first, the heuristic or another variant's champion."""
    champion_number: int
    """How many moves of the champion pointer led to it, by which two workers differ by one champion; 0 as above."""
    games_per_hour: float
    computed_s: float
    """Seconds that the worker has computed for it."""
    behind: bool
    """It is played with another model than the champion."""


@dataclass(frozen=True)
class WorkerOverview:
    """One worker slot as its last heartbeat tells."""

    host: str
    slot: int
    state: str
    """As the worker wrote it; `unknown` before the first heartbeat, `silent` when the last is too old or the loop does
    not run: nobody reads heartbeats then."""
    variant: str | None
    """At play then; None when that is not known."""
    plays: tuple[PlayOverview, ...]
    """All that it plays in turns."""
    error: str | None = None
    """What it last wrote of something that went wrong: why it ended, or what it could not do."""


@dataclass(frozen=True)
class Overview:
    """The whole loop."""

    at: float
    runs: bool
    """Whether it started or one of its data syncs began lately, and its launcher was not seen to be gone."""
    alive_at: float | None
    """When it was last known to run."""
    started_at: float | None
    """When the time that it runs, or ran last, began."""
    free_since: float | None
    """The same without the halts: since when it has started things by itself."""
    last_cycle_at: float | None
    halted: bool
    selfplay_share: float
    """Of the self-play slots, those that may play."""
    data_syncs: int
    training_runs: int
    evaluations: int
    promotions: int
    hosts_enabled: int
    hosts_active: int
    hosts_failed: int
    hosts_suspected: int
    """Enabled ones whose games are held back from training."""
    samples: tuple[utilization.SampleRow, ...]
    """What each host last said of its machine, unless that is too old."""
    verified: tuple[float, int] | None
    """When the ledger was last verified, and how many findings that had."""
    segments: int
    quarantined: int
    last_sync_at: float | None
    last_game_at: float | None
    """When the newest game was taken in."""
    last_rebalance_at: float | None
    last_full_tournament_at: float | None
    """When the newest game of one ended."""
    variants: tuple[VariantOverview, ...]
    workers: tuple[WorkerOverview, ...]


def silence_s(config: LoopConfig) -> float:
    """How long nothing may be heard of a loop that runs."""
    return max(_SILENCE_S, _FRESH_POLLS * config.data_ingestion.poll_interval_seconds)


def loop_runs(conn: Connection, config: LoopConfig, *, now: float, stopped: bool = False) -> bool:
    """Whether something was heard of the loop lately, unless it is known that it does not run."""
    alive_at = state.last_alive_at(conn)
    return not stopped and alive_at is not None and now - alive_at <= silence_s(config)


def read_overview(
    conn: Connection, config: LoopConfig, host_names: Sequence[str], *, now: float, stopped: bool = False
) -> Overview:
    """The overview at `now`.

    Args:
        conn: a reading transaction, so that all figures belong to one state of the ledger.
        config: names the variants.
        host_names: the enabled hosts of the inventory; others that the ledger knows do not count.
        now: UTC seconds.
        stopped: it is known that the loop does not run, whatever the ledger says.
    """
    runs = loop_runs(conn, config, now=now, stopped=stopped)
    known = [host for host in hosts.all_hosts(conn) if host.name in set(host_names)]
    seen = [host.last_seen_at for host in known if host.last_seen_at is not None]
    slots = worker_overviews(conn, config, now=now, runs=runs)
    return Overview(
        at=now,
        runs=runs,
        alive_at=state.last_alive_at(conn),
        started_at=state.get_time(conn, state.STARTED_AT),
        free_since=state.free_since(conn),
        last_cycle_at=state.get_time(conn, state.LAST_CYCLE_AT),
        halted=state.halted(conn),
        selfplay_share=state.selfplay_share(conn),
        data_syncs=state.cycles(conn),
        training_runs=_count(conn, training_runs, training_runs.c.state.in_(("succeeded", "failed"))),
        evaluations=_count(conn, events, events.c.kind == _TOURNAMENT),
        promotions=promotions.count(conn),
        hosts_enabled=len(host_names),
        samples=_samples(conn, host_names, now),
        verified=state.verification(conn),
        hosts_active=sum(host.active for host in known),
        hosts_failed=sum(host.consecutive_failures >= HOST_FAILED_AFTER for host in known),
        hosts_suspected=sum(host.suspected_at is not None for host in known),
        segments=_count(conn, segments),
        quarantined=quarantine.count(conn),
        last_sync_at=max(seen, default=None),
        # One look by the index for each variant; a look at all games at once reads all of them.
        last_game_at=max(filter(None, (games.last_ingested_at(conn, name) for name in config.variants)), default=None),
        last_rebalance_at=curriculum.updated_at(conn),
        last_full_tournament_at=number(conn.execute(_LAST_FULL_GAME).scalar()),
        variants=tuple(_variant(conn, name, config, slots, now) for name in config.variants),
        workers=slots,
    )


def _variant(
    conn: Connection, name: str, config: LoopConfig, slots: Sequence[WorkerOverview], now: float
) -> VariantOverview:
    champion = promotions.champion(conn, name)
    rating = None if champion is None else champion_rating(conn, name, champion.model_digest)
    plays = [play for slot in slots if slot.state == "playing" for play in slot.plays if play.variant == name]
    runs = training_runs.c
    running = select(func.max(runs.started_at)).where(runs.variant == name, runs.state.in_(("claimed", "running")))
    trained = select(func.max(runs.finished_at)).where(runs.variant == name, runs.state == "succeeded")
    promoted = promotions_table.c
    last_promotion = select(func.max(promoted.created_at)).where(
        promoted.variant == name, promoted.status == promotions.PROMOTED
    )
    promoted_at = number(conn.execute(last_promotion).scalar())
    trend = _trend(ratings.history(conn, name, since=now - _TREND_WINDOW_S))
    made_since = (models.c.variant == name) & (models.c.created_at > (promoted_at or 0.0))
    return VariantOverview(
        variant=name,
        champion=None if champion is None else champion.model_digest,
        generation=0 if champion is None else champion.generation,
        elo=None if rating is None else rating.elo,
        elo_stderr=None if rating is None else rating.stderr,
        elo_trend=None if trend is None else trend[0],
        elo_trend_stderr=None if trend is None else trend[1],
        games=games.count(conn, name),
        games_last_hour=games.count_since(conn, name, now - _HOUR_S),
        games_pending=games.pending(conn, name),
        threshold=games.wanted(conn, name, config.training),
        matches=_count(conn, matches, matches.c.variant == name),
        models=_count(conn, models, models.c.variant == name),
        training_started_at=number(conn.execute(running).scalar()),
        training_runs=_by(conn, runs.state, runs.variant == name),
        promotions=_by(conn, promoted.status, promoted.variant == name),
        last_training_at=number(conn.execute(trained).scalar()),
        last_promotion_at=promoted_at,
        candidates=_count(conn, models, made_since),
        first_candidate_at=number(conn.execute(select(func.min(models.c.created_at)).where(made_since)).scalar()),
        last_evaluation_at=number(
            conn.execute(select(func.max(matches.c.played_at)).where(matches.c.variant == name)).scalar()
        ),
        workers_assigned=len(slots),
        workers_playing=len(plays),
        workers_behind=sum(play.behind for play in plays),
        weight=curriculum.weights(conn).get(name, 1.0),
    )


def champion_rating(conn: Connection, variant: str, digest: str) -> ratings.RatingRow | None:
    """The rating of a model, of its most played search settings when there are several."""
    rows = [row for row in ratings.table(conn, variant) if row.participant.partition("|")[0] == digest]
    return max(rows, key=lambda row: row.games, default=None)


def worker_overviews(conn: Connection, config: LoopConfig, *, now: float, runs: bool) -> tuple[WorkerOverview, ...]:
    """Every assigned slot, by host and number; while the loop does not run, all of them are silent."""
    players = promotions.generators(conn)
    heard_until = now if runs else float("inf")
    slots = workers.all_workers(conn)
    played = {play.model for row in slots for play in variant_plays(row.heartbeat or {}).values()}
    query = select(models.c.digest, models.c.generation).where(models.c.digest.in_(played - {None}))
    generations = {row.digest: row.generation for row in conn.execute(query)}
    return tuple(_worker(row, players, generations, config, heard_until) for row in slots)


def worker_errors(slots: Iterable[WorkerOverview]) -> tuple[str, ...]:
    """A sentence for each slot whose worker failed or could not do what it was told."""
    return tuple(
        f"Worker {slot.host}/{slot.slot} {'failed' if slot.state == 'failed' else 'says'}: {one_line(slot.error)}"
        for slot in slots
        if slot.error is not None
    )


def _worker(
    row: workers.WorkerRow,
    players: Mapping[str, promotions.Champion],
    generations: Mapping[str, int],
    config: LoopConfig,
    now: float,
) -> WorkerOverview:
    beat = row.heartbeat or {}
    fresh_s = _FRESH_POLLS * config.data_ingestion.poll_interval_seconds
    if row.heartbeat_at is None:
        told = "unknown"
    elif row.heartbeat_at < now - fresh_s:
        told = "silent"
    else:
        told = clean(str(beat.get("state", "unknown")), _STATE_LETTERS)
    variant = beat.get("variant")
    return WorkerOverview(
        host=row.host,
        slot=row.slot,
        state=told,
        variant=variant if isinstance(variant, str) else None,
        plays=tuple(
            PlayOverview(
                variant=name,
                generation=play.generation and generations.get(play.model or "", play.generation),
                champion_number=play.generation,
                games_per_hour=play.games_per_hour,
                computed_s=play.computed_s,
                behind=name in players and play.model != players[name].model_digest,
            )
            for name, play in variant_plays(beat).items()
        ),
        error=error if isinstance(error := beat.get("last_error"), str) else None,
    )


def _samples(conn: Connection, host_names: Sequence[str], now: float) -> tuple[utilization.SampleRow, ...]:
    newest = utilization.newest(utilization.since(conn, now - _SILENCE_S))
    return tuple(newest[name] for name in host_names if name in newest)


def _trend(history: Sequence[ratings.RatingRow]) -> tuple[float, float] | None:
    """Least-squares slope of the champions' ratings and its standard error, both in Elo per hour.

    The fits share their games, so their scatter says little of the error: it is taken from the standard errors of the
    first and the last rating, as if these shared none. Times are centred, so that nothing cancels.
    """
    points = sorted((row.fitted_at, row.elo, row.stderr) for row in history if "|" in row.participant)
    if len(points) < 3 or points[-1][0] - points[0][0] < _TREND_SPAN_S:
        return None
    mean_time = sum(time for time, _, _ in points) / len(points)
    mean_elo = sum(elo for _, elo, _ in points) / len(points)
    spread = sum((time - mean_time) ** 2 for time, _, _ in points)
    slope = sum((time - mean_time) * (elo - mean_elo) for time, elo, _ in points) / spread
    stderr = math.hypot(points[0][2], points[-1][2]) / (points[-1][0] - points[0][0])
    return _HOUR_S * slope, _HOUR_S * stderr


def _count(conn: Connection, table: Table, *conditions: ColumnElement[bool]) -> int:
    return conn.execute(select(func.count()).select_from(table).where(*conditions)).scalar_one()


def _by(conn: Connection, column: ColumnElement[str], condition: ColumnElement[bool]) -> dict[str, int]:
    rows = conn.execute(select(column, func.count()).where(condition).group_by(column))
    return {row[0]: row[1] for row in rows}
