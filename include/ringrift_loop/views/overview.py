"""The state of the loop in one sentence, and the figures behind it.

Read the sentence from the top: a loop that does not run, is halted or ill says so and nothing else. Otherwise each
variant is in one of `STATES`, and the sentence names those that a person would ask about first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from ringrift_loop.config.schema import LoopConfig
from ringrift_loop.ledger import events, games, gates, leases, models, promotions, ratings
from ringrift_loop.ledger.schema import promotions as decisions
from ringrift_loop.status.health import UNHEALTHY, Health, read_health
from ringrift_loop.status.overview import Overview, VariantOverview, read_overview, worker_errors
from ringrift_loop.text import clean, counted, span
from ringrift_loop.views.learning import Learning, read_learning

LEARNING, BOOTSTRAPPING, STALLED, WORKING = "learning", "bootstrapping", "stalled", "working"
STATES = (LEARNING, BOOTSTRAPPING, STALLED, WORKING)
"""Of a variant: a gain that its interval tells from nothing, no champion yet, long without a gain, none of these."""
NOT_RUNNING, HALTED, ILL = "not running", "halted", "ill"

_Z95 = 1.959964
_WINDOWS_S = ((3600.0, "hour"), (6 * 3600.0, "6 hours"), (86_400.0, "day"), (7 * 86_400.0, "week"))
_LEAST_S = 60.0
"""Games come in batches: the first one alone tells of no rate."""
_CLAUSES = 3
_CHART_POINTS = 120
_EVENTS = 12
_LEASES = {
    "shadow": "Tournament of {}",
    "full": "Full tournament of {}",
    "champion-gate": "Champion gate of {}",
    "regression-gate": "Regression gate of model {:.8}",
}
"""What each kind of lease is held for; the loop's own, the data sync's and the trainings' are told elsewhere."""


@dataclass(frozen=True)
class Gain:
    """What the champions of a variant gained within a time, by one fit of the ratings."""

    elo: float
    interval: float
    """Half the width of the 95 % interval, Elo; the two ratings count as independent, which makes it too wide."""
    span: str
    """The time, for people: `hour`, `6 hours`, `day` or `week`."""


@dataclass(frozen=True)
class RatingPoint:
    """A champion's rating as it was fitted then."""

    at: float
    elo: float
    interval: float
    """Half the width of the 95 % interval, Elo."""


@dataclass(frozen=True)
class Decision:
    """The last word on a candidate."""

    at: float
    model: str
    """Digest."""
    status: str
    """`promoted`, `rejected` or `rolled_back`."""
    reason: str
    elo_gain: float | None


@dataclass(frozen=True)
class VariantState:
    """One variant. Times are UTC seconds; None where nothing happened yet."""

    variant: str
    state: str
    """One of `STATES`."""
    doing: str
    """What happens next for it, as a clause: `waits for its gate`, `collects games: 120 of 2000`."""
    champion: str | None
    """Digest."""
    generation: int
    elo: float | None
    interval: float | None
    """Half the width of the 95 % interval of the rating, Elo."""
    gain: Gain | None
    """Within the shortest of an hour, six hours, a day and a week that had a promotion; None without one."""
    ratings: list[RatingPoint]
    """Of the champions of the time, oldest first."""
    games: int
    games_last_hour: int
    pending: int
    threshold: int
    """Pending games at which a training run starts."""
    full_in_s: float | None
    """Until as many are pending at the rate of the last hour, or of the time since the variant's first game; None:
    they are, or no game came."""
    last_decision: Decision | None
    last_gain_at: float | None
    """When a model was last promoted."""
    elo_per_core_hour: float | None
    """Gain for each core-hour of its self-play, trainings and gates (`learning.py`); None without a gain."""
    elo_per_core_hour_interval: float | None
    """Half the width of the 95 % interval."""
    projection: float | None
    """Elo that the next day brings if the ratings go on as in the last one; None with too few of them."""
    projection_interval: float | None
    """Half the width of the 95 % interval, Elo."""
    workers_playing: int


@dataclass(frozen=True)
class Activity:
    """Something that goes on now."""

    what: str
    since: float | None


@dataclass(frozen=True)
class EventLine:
    """A line of the history."""

    id: int
    at: float
    kind: str
    variant: str | None
    message: str


@dataclass(frozen=True)
class LoopState:
    """What the first page shows."""

    at: float
    state: str
    """`not running`, `halted`, `ill`, or the best of the variants' states."""
    sentence: str
    remedy: str | None
    """What a person can do about it, when there is something."""
    runs: bool
    halted: bool
    variants: list[VariantState]
    running: list[Activity]
    problems: list[str]
    """A sentence each, the worst first."""
    events: list[EventLine]
    """The newest first."""


def read_state(
    conn: Connection, config: LoopConfig, host_names: Sequence[str], *, now: float, stopped: bool = False
) -> LoopState:
    """The state of the loop at `now`; arguments as of `status.overview.read_overview`."""
    overview = read_overview(conn, config, host_names, now=now, stopped=stopped)
    health = read_health(conn, config, now=now, stopped=stopped)
    accounts = read_learning(conn, config, overview)
    variants = [
        _variant(conn, config, found, learns, now, overview.free_since or 0.0)
        for found, learns in zip(overview.variants, accounts, strict=True)
    ]
    state, text, remedy = _judged(overview, health, variants)
    return LoopState(
        at=now,
        state=state,
        sentence=text,
        remedy=remedy,
        runs=overview.runs,
        halted=overview.halted,
        variants=variants,
        running=_activities(conn, overview),
        problems=_problems(overview, health),
        events=[
            EventLine(event.id, event.at, event.kind, event.variant, event.message)
            for event in events.latest(conn, limit=_EVENTS)
        ],
    )


def _judged(overview: Overview, health: Health, variants: Sequence[VariantState]) -> tuple[str, str, str | None]:
    """State, sentence, remedy."""
    if overview.alive_at is None:
        return NOT_RUNNING, "Not started yet.", "`make run` starts the loop."
    if not overview.runs:
        ago = span(overview.at - overview.alive_at)
        return NOT_RUNNING, f"Not running: last heard from {ago} ago.", "`make run` starts it where it stopped."
    if overview.halted:
        return (
            HALTED,
            "Halted by a person: nothing starts by itself until it is resumed.",
            "Resume on the page Control, or with `ringrift-loop workers resume`.",
        )
    if health.status == UNHEALTHY:
        return ILL, f"Ill: {_illness(health)}.", "`ringrift-loop doctor` says more, and the failed tasks' logs."
    return _best(variants), sentence(variants), None


def sentence(variants: Sequence[VariantState]) -> str:
    """The state of a loop that runs: `Learning: square8_2p +118 ± 34 Elo in the last hour; hex8_2p waits ...`."""
    best = _best(variants)
    ranked = sorted(variants, key=lambda view: (STATES.index(view.state), -_size(view)))
    clauses = [clause(view) for view in ranked[:_CLAUSES]]
    others = len(ranked) - len(clauses)
    if others:
        clauses.append(counted(others, "other variant"))
    return f"{best.capitalize()}: {'; '.join(clauses)}."


def clause(view: VariantState) -> str:
    """One variant's part of the sentence."""
    if view.gain is not None and view.state == LEARNING:
        return f"{view.variant} {view.gain.elo:+.0f} ± {view.gain.interval:.0f} Elo in the last {view.gain.span}"
    return f"{view.variant} {view.doing}"


def _best(variants: Sequence[VariantState]) -> str:
    return min((view.state for view in variants), key=STATES.index, default=WORKING)


def _size(view: VariantState) -> float:
    return 0.0 if view.gain is None else view.gain.elo


def _illness(health: Health) -> str:
    """Why the health is bad, the first part that is."""
    for name, part in health.components.items():
        if part.status == UNHEALTHY:
            if part.consecutive_failures:
                error = f": {part.last_error}" if part.last_error else ""
                return f"the {name} failed {counted(part.consecutive_failures, 'time')} in a row{error}"
            return f"the {name} is overdue, its work has waited for {span(part.waiting or 0.0)}"
    return "unknown"


def _problems(overview: Overview, health: Health) -> list[str]:
    found = []
    for name, part in health.components.items():
        if part.consecutive_failures and part.last_error:
            found.append(f"{name}: {part.last_error}")
        elif part.status != "healthy" and part.waiting is not None:
            found.append(f"{name}: its work has waited for {span(part.waiting)}, the limit is {span(part.limit)}")
    if overview.hosts_failed:
        found.append(f"{overview.hosts_failed} of {overview.hosts_enabled} hosts failed three visits in a row or more")
    if overview.hosts_suspected:
        found.append(f"the games of {counted(overview.hosts_suspected, 'host')} are held back from training")
    return [clean(text) for text in (*found, *worker_errors(overview.workers))]


def _activities(conn: Connection, overview: Overview) -> list[Activity]:
    if not overview.runs:
        return []
    found = [
        Activity(f"Training of {view.variant}", view.training_started_at)
        for view in overview.variants
        if view.training_started_at is not None
    ]
    for lease in leases.held(conn, at=overview.at):
        kind, _, name = lease.name.partition(":")
        if kind in _LEASES:
            found.append(Activity(_LEASES[kind].format(name), lease.acquired_at))
    playing = sum(slot.state == "playing" for slot in overview.workers)
    if playing:
        rate = sum(play.games_per_hour for slot in overview.workers for play in slot.plays if slot.state == "playing")
        found.append(Activity(f"Self-play by {playing} of {len(overview.workers)} workers, {rate:.0f} games/h", None))
    return found


def _variant(
    conn: Connection, config: LoopConfig, found: VariantOverview, learns: Learning, now: float, free_since: float
) -> VariantState:
    newest = models.latest(conn, found.variant)
    decision = _last_decision(conn, found.variant)
    candidate = None if newest is None or promotions.of_model(conn, newest.digest) else newest.digest
    strengths = _Strengths.read(conn, found.variant)
    gains = (strengths.gain(now - seconds, name) for seconds, name in _WINDOWS_S)
    gain = next((each for each in gains if each is not None), None)
    state = _state(config, found, gain, learns, now, free_since)
    missing = found.threshold - found.games_pending
    return VariantState(
        variant=found.variant,
        state=state,
        doing=_doing(conn, found, state, candidate),
        champion=found.champion,
        generation=found.generation,
        elo=found.elo,
        interval=None if found.elo_stderr is None else _Z95 * found.elo_stderr,
        gain=gain,
        ratings=_points(conn, found.variant),
        games=found.games,
        games_last_hour=found.games_last_hour,
        pending=found.games_pending,
        threshold=found.threshold,
        full_in_s=None if missing <= 0 else _until(conn, found, missing, now),
        last_decision=decision,
        last_gain_at=found.last_promotion_at,
        elo_per_core_hour=learns.elo_per_core_hour,
        elo_per_core_hour_interval=learns.elo_per_core_hour_interval,
        projection=learns.projection,
        projection_interval=learns.projection_interval,
        workers_playing=found.workers_playing,
    )


def _until(conn: Connection, found: VariantOverview, missing: int, now: float) -> float | None:
    """Seconds until so many games more have come; None if none came in the last hour."""
    first = games.first_ingested_at(conn, found.variant)
    if first is None or not found.games_last_hour:
        return None
    return min(3600.0, max(_LEAST_S, now - first)) * missing / found.games_last_hour


def _state(
    config: LoopConfig, found: VariantOverview, gain: Gain | None, learns: Learning, now: float, free_since: float
) -> str:
    if found.champion is None:
        return BOOTSTRAPPING
    if gain is not None and gain.elo > gain.interval:
        return LEARNING
    # Not by the time in which the loop was off or halted.
    waited = 0.0 if found.first_candidate_at is None else now - max(found.first_candidate_at, free_since)
    if learns.failed_check is not None or waited > config.alerts.no_promotion_seconds:
        return STALLED
    return WORKING


def _doing(conn: Connection, found: VariantOverview, state: str, candidate: str | None) -> str:
    if found.training_started_at is not None:
        return "trains a candidate"
    if candidate is not None:
        return "waits for its promotion" if gates.passed(conn, candidate) else "waits for its gate"
    if state == STALLED:
        return f"has made {counted(found.candidates, 'candidate')} since its last promotion"
    if found.games_pending >= found.threshold:
        return "waits for its turn to train"
    return f"collects games: {found.games_pending} of {found.threshold}"


def _last_decision(conn: Connection, variant: str) -> Decision | None:
    columns = decisions.c
    query = select(decisions).where(columns.variant == variant).order_by(columns.created_at.desc()).limit(1)
    row = conn.execute(query).first()
    if row is None:
        return None
    return Decision(row.created_at, row.model_digest, row.status, clean(row.reason), row.elo_gain)


@dataclass(frozen=True)
class _Strengths:
    """The champions of a variant over time, and how strong each is by the last fit."""

    moves: Sequence[tuple[str, float]]
    """Digest and time of each move of the pointer, oldest first."""
    ratings: Mapping[str, ratings.RatingRow]
    """By digest, the best of a model that was rated with several search settings."""

    @classmethod
    def read(cls, conn: Connection, variant: str) -> _Strengths:
        columns = decisions.c
        query = (
            select(columns.model_digest, columns.created_at)
            .where(columns.variant == variant, columns.status.in_((promotions.PROMOTED, promotions.ROLLED_BACK)))
            .order_by(columns.created_at)
        )
        moves = [(row.model_digest, row.created_at) for row in conn.execute(query)]
        return cls(moves, {row.participant.partition("|")[0]: row for row in reversed(ratings.table(conn, variant))})

    def gain(self, since: float, name: str) -> Gain | None:
        """Of the present champion over the one of that time; None when it is the same, or one has no rating."""
        earlier = [digest for digest, at in self.moves if at <= since]
        old = self.ratings.get(earlier[-1]) if earlier else None
        new = self.ratings.get(self.moves[-1][0]) if self.moves else None
        if old is None or new is None or old.participant == new.participant:
            return None
        return Gain(new.elo - old.elo, _Z95 * math.hypot(new.stderr, old.stderr), name)


def _points(conn: Connection, variant: str) -> list[RatingPoint]:
    """At most `_CHART_POINTS`, the last one always among them."""
    kept = [row for row in ratings.history(conn, variant) if "|" in row.participant]
    step = math.ceil(len(kept) / _CHART_POINTS) or 1
    return [RatingPoint(row.fitted_at, row.elo, _Z95 * row.stderr) for row in kept[::-1][::step][::-1]]
