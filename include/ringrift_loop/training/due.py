"""When a variant is due for training: enough new games, its pause over, and no run of it asked for or under way."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from ringrift_loop.ledger import curriculum, games, leases, state, training
from ringrift_loop.loop import Loop

# A request is a lease under this name: it runs out by itself when whoever should have answered it never does.
_REQUEST = "training-request:{variant}"


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
    """Why no run may start, in words: one is under way or asked for, or the loop is halted."""
    at: float
    """When this was looked up, UTC seconds."""

    @property
    def is_due(self) -> bool:
        """Whether a run should start now."""
        return self.busy is None and self.has_games and self.at >= self.pause_until

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
        return text


def survey(loop: Loop, *, asker: str | None = None, threshold: int | None = None) -> list[TrainingWait]:
    """Every variant of the configuration; the one with the most games for its threshold and weight first.

    Args:
        loop: the loop.
        asker: who asks. A request of its own does not keep a variant from being due: a task that was killed after
            noting its request has to make it again.
        threshold: how many games are enough; by default the configuration's number.
    """
    with loop.ledger.read() as conn:
        pending, weights = games.pending_by_variant(conn), curriculum.weights(conn)
        enough = loop.config.training.trigger_threshold_games if threshold is None else threshold
        waits = [
            _wait(conn, loop, variant, (pending.get(variant, 0), enough), weights.get(variant, 1.0), asker)
            for variant in loop.config.variants
        ]
    return sorted(waits, key=lambda wait: (-wait.weight * wait.pending_games / wait.threshold, wait.variant))


def request(loop: Loop, variant: str, *, asker: str) -> None:
    """Note that a run was asked for, so that it is asked for once; the claim or the passing of time ends it."""
    with loop.ledger.begin() as conn:
        ttl_s = float(loop.config.training.stuck_after_seconds)
        leases.acquire(conn, _REQUEST.format(variant=variant), asker, ttl_s=ttl_s, at=loop.clock())


def withdraw(conn: Connection, variant: str, *, at: float) -> None:
    """Forget a request, whoever made it: it has been answered."""
    name = _REQUEST.format(variant=variant)
    request = leases.holder(conn, name, at=at)
    if request is not None:
        leases.release(conn, name, request.holder)


def _wait(
    conn: Connection, loop: Loop, variant: str, games: tuple[int, int], weight: float, asker: str | None
) -> TrainingWait:
    finished_at = training.last_finished_at(conn, variant)
    pause_until = 0.0 if finished_at is None else finished_at + loop.config.training.min_interval_seconds
    return TrainingWait(
        variant=variant,
        pending_games=games[0],
        threshold=games[1],
        pause_until=pause_until,
        weight=weight,
        busy=_busy(conn, variant, asker, at=loop.clock()),
        at=loop.clock(),
    )


def _busy(conn: Connection, variant: str, asker: str | None, *, at: float) -> str | None:
    if state.halted(conn):
        return "the loop is halted"
    run = training.active(conn, variant)
    if run is not None:
        return f"training run {run.id} is {run.state}"
    asked = leases.holder(conn, _REQUEST.format(variant=variant), at=at)
    if asked is not None and asked.holder != asker:
        return "a training run has been asked for"
    return None
