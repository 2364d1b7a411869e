"""When a variant is due for training: enough new games, its pause over, its last candidate judged, and a place free.

The pause is counted in seconds, as the deployment guide has it, and in core-seconds of self-play, which mean the same
on one core and on a thousand; both must be over.

Trainings of different variants run side by side as far as there are places for them (`remote/placement.py`). A run has
its place until its training ends; its variant is busy until the gates have judged the candidate (`claim.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from ringrift_loop.ledger import curriculum, games, leases, models, state, training
from ringrift_loop.ledger.leases import LeaseRow
from ringrift_loop.loop import Loop
from ringrift_loop.tournament.duration import training_limit
from ringrift_loop.training.remote.placement import places
from ringrift_loop.training.selfplay_cost import game_s

# A request is a lease under this name: it runs out by itself when whoever should have answered it never does. Airflow
# may merge two events of an asset into one run, which then answers one of the two.
_REQUEST = "training-request:{variant}"
_REQUEST_S = 300.0
# The variant's candidate, from the claim of its games to the verdict of the gates.
_CANDIDATE = "candidate:{variant}"


@dataclass(frozen=True)
class TrainingWait:
    """How far one variant is from its next training run."""

    variant: str
    pending_games: int
    threshold: int
    pause_until: float
    """UTC seconds: not before this time, from `training.min_interval_seconds`; 0 when there was no run yet."""
    weight: float
    """The variant's curriculum weight: of several that are due, the one that lags behind goes first."""
    busy: str | None
    """Why the variant can have no run, in words: one is open or asked for, or the loop is halted."""
    no_place: str | None
    """Why no variant can have a run, in words: as many trainings as there may be are under way or asked for."""
    games_since: float
    """When it had its games, UTC seconds; infinite while it has too few."""
    last_started_at: float
    """When its last run was claimed, UTC seconds; 0 when there was none."""
    at: float
    """When this was looked up, UTC seconds."""
    selfplay_s: float = 0.0
    """What its new games have cost, core-seconds."""
    selfplay_least_s: float = 0.0
    """Not before they have cost so much, from `training.min_interval_core_seconds`; 0 when there is no model yet."""

    @property
    def is_due(self) -> bool:
        """Whether a run should start now."""
        return self.waits_for_place and self.no_place is None

    @property
    def waits_for_place(self) -> bool:
        """Whether a place is all that a run can still wait for."""
        return self.busy is None and self.has_games and self.at >= self.pause_until and self.has_cost_enough

    @property
    def has_cost_enough(self) -> bool:
        """Whether as much self-play lies between two runs as there shall."""
        return self.selfplay_s >= self.selfplay_least_s

    @property
    def due_since(self) -> float:
        """Since when the variant has had its games and its pause behind it, UTC seconds."""
        return max(self.games_since, self.pause_until)

    @property
    def has_games(self) -> bool:
        """Whether there are enough games, whatever else a run waits for."""
        return self.pending_games >= self.threshold

    @property
    def count(self) -> str:
        """`square8_2p: 212 of 300 games`."""
        return f"{self.variant}: {self.pending_games} of {self.threshold} games"

    def describe(self) -> str:
        """The count, with the reason why enough games do not start a run."""
        text = self.count
        if self.busy is not None:
            return f"{text}, {self.busy}"
        if self.has_games and self.at < self.pause_until:
            # Whole minutes: the line is logged when it changes, and that should not be at every look.
            return f"{text}, next run in {(self.pause_until - self.at) / 60:.0f} min at the earliest"
        if self.has_games and not self.has_cost_enough:
            return f"{text}, with {self.selfplay_s:.0f} of {self.selfplay_least_s:.0f} core-seconds of self-play"
        if self.has_games and self.no_place is not None:
            return f"{text}, {self.no_place}"
        return text


def in_turn(waits: Iterable[TrainingWait]) -> list[TrainingWait]:
    """The variants in the order in which they should be trained: the one with the most games for its weight first.

    But nobody is overtaken twice: whoever was claimed since the one that waits longest has been due goes behind all
    others. So a due variant waits for at most one training of each other one.
    """
    listed = list(waits)
    longest = min((wait.due_since for wait in listed if wait.waits_for_place), default=math.inf)
    return sorted(
        listed,
        key=lambda wait: (
            wait.last_started_at >= longest,
            -wait.weight * wait.pending_games / wait.threshold,
            wait.variant,
        ),
    )


def survey(loop: Loop, *, asker: str | None = None, threshold: int | None = None) -> list[TrainingWait]:
    """Every variant of the configuration, in the order of `in_turn`.

    Args:
        loop: the loop.
        asker: who asks. A request of its own does not keep a variant from being due: a task that was killed after
            noting its request has to make it again.
        threshold: how many games are enough; by default as the configuration says (`ledger.games.wanted`).
    """
    at = loop.clock()
    with loop.ledger.read() as conn:
        pending, weights = games.pending_by_variant(conn), curriculum.weights(conn)
        settings = loop.config.training
        wanted = {
            variant: games.wanted(conn, variant, settings) if threshold is None else threshold
            for variant in loop.config.variants
        }
        full = no_place(conn, loop, [row for row in _requests(conn, loop, at) if row.holder != asker])
        waits = [
            _wait(
                conn, loop, variant, (pending.get(variant, 0), wanted[variant]), weights.get(variant, 1.0), asker, full
            )
            for variant in loop.config.variants
        ]
    return in_turn(waits)


def request(loop: Loop, variant: str, *, asker: str) -> None:
    """Note that a run was asked for, so that it is asked for once; the claim or the passing of time ends it."""
    with loop.ledger.begin() as conn:
        keep_place(conn, variant, asker, at=loop.clock())


def keep_place(conn: Connection, variant: str, asker: str, *, at: float) -> None:
    """Note the request, or renew it: its turn is that of the first time."""
    leases.acquire(conn, _REQUEST.format(variant=variant), asker, ttl_s=_REQUEST_S, at=at)


def withdraw(conn: Connection, variant: str, *, at: float) -> None:
    """Forget a request, whoever made it: it has been answered."""
    request = requested(conn, variant, at=at)
    if request is not None:
        leases.release(conn, request.name, request.holder)


def requested(conn: Connection, variant: str, *, at: float) -> LeaseRow | None:
    """Who has asked for a run of the variant, and since when."""
    return leases.holder(conn, _REQUEST.format(variant=variant), at=at)


def earlier_requests(conn: Connection, loop: Loop, own: LeaseRow | None, *, at: float) -> list[LeaseRow]:
    """The requests that come before one's own; all, when one has made none."""
    return [
        row
        for row in _requests(conn, loop, at)
        if own is None or (row.acquired_at, row.name) < (own.acquired_at, own.name)
    ]


def no_place(conn: Connection, loop: Loop, before: Sequence[LeaseRow]) -> str | None:
    """Why no further training may start, in words; None while there is a place.

    Args:
        conn: to read with.
        loop: the loop.
        before: requests for runs that come first.
    """
    allowed = places(loop.inventory, loop.config.training)
    runs = [run for variant in loop.config.variants if (run := training.active(conn, variant)) is not None]
    taken = len(runs) + len(before)
    if taken < allowed:
        return None
    by = ", ".join([run.id for run in runs] + [row.name for row in before])
    return f"{taken} of {allowed} trainings at once are under way or asked for: {by}"


def open_candidate(conn: Connection, loop: Loop, variant: str, run_id: str, *, at: float) -> None:
    """The variant waits with its next run for this one's candidate; for two runs' time at most, should nobody end it.

    An earlier run's candidate is forgotten: call it when `open_run` knows of none, or of none but one's own.
    """
    name, ttl_s = _CANDIDATE.format(variant=variant), 2.0 * training_limit(loop.config, variant)
    earlier = leases.holder(conn, name, at=at)
    if earlier is not None:
        leases.release(conn, name, earlier.holder)
    leases.acquire(conn, name, run_id, ttl_s=ttl_s, at=at)


def close_candidate(conn: Connection, variant: str, run_id: str) -> None:
    """The run's candidate was judged, or will never be there."""
    leases.release(conn, _CANDIDATE.format(variant=variant), run_id)


def open_run(conn: Connection, variant: str, *, at: float, own: str | None = None) -> str | None:
    """Which run keeps the variant from having another one, in words: it trains, or its candidate is at the gates.

    Args:
        conn: to read with.
        variant: such as `square8_2p`.
        at: UTC seconds.
        own: how the ids of the asker's own runs begin; their candidates keep it from nothing.
    """
    run = training.active(conn, variant)
    if run is not None:
        return f"training run {run.id} is {run.state}"
    candidate = leases.holder(conn, _CANDIDATE.format(variant=variant), at=at)
    if candidate is None or (own is not None and candidate.holder.startswith(own)):
        return None
    return f"the candidate of training run {candidate.holder} is at its gates"


def _requests(conn: Connection, loop: Loop, at: float) -> list[LeaseRow]:
    rows = (requested(conn, variant, at=at) for variant in loop.config.variants)
    return [row for row in rows if row is not None]


def _wait(
    conn: Connection,
    loop: Loop,
    variant: str,
    games_of: tuple[int, int],
    weight: float,
    asker: str | None,
    full: str | None,
) -> TrainingWait:
    pending, enough = games_of
    settings = loop.config.training
    finished_at, at = training.last_finished_at(conn, variant), loop.clock()
    if finished_at is not None and finished_at > at:  # before the clock was set back
        finished_at = None
    since = games.pending_since(conn, variant, enough) if pending >= enough else None
    return TrainingWait(
        variant=variant,
        pending_games=pending,
        threshold=enough,
        pause_until=0.0 if finished_at is None else finished_at + settings.min_interval_seconds,
        weight=weight,
        busy=_busy(conn, variant, asker, at=at),
        no_place=full,
        games_since=math.inf if since is None else since,
        last_started_at=training.last_started_at(conn, variant) or 0.0,
        at=at,
        selfplay_s=pending * game_s(conn, loop.config, variant),
        selfplay_least_s=settings.min_interval_core_seconds if models.latest(conn, variant) else 0.0,
    )


def _busy(conn: Connection, variant: str, asker: str | None, *, at: float) -> str | None:
    if state.halted(conn):
        return "the loop is halted"
    run = open_run(conn, variant, at=at)
    if run is not None:
        return run
    asked = requested(conn, variant, at=at)
    if asked is not None and asked.holder != asker:
        return "a training run has been asked for"
    return None
