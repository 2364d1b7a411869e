"""A training over its limit, told once to whoever looks after the run that has asked for it."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from ringrift_loop.ledger import events, training
from ringrift_loop.loop import Loop
from ringrift_loop.tournament.duration import shortest_training, training_limit
from ringrift_loop.training.claim import STUCK, newest_run, open_for


@dataclass(frozen=True)
class Standing:
    """How an asker's training stands against its limit."""

    left_s: float | None
    """When to look again, s from now; None: there is nothing more to look for."""
    message: str = ""
    """What a person should be told now."""


def look(loop: Loop, key: str, *, may_claim: bool) -> Standing:
    """How the last training of an asker stands; one over its limit gets its line in the history, and its sentence once.

    It is told as well when `reap_stuck` has ended it first.

    Args:
        loop: the loop.
        key: whose training, as it was claimed with.
        may_claim: whether the asker may still get one when it has none.
    """
    at = loop.clock()
    with loop.ledger.begin() as conn:
        run = newest_run(conn, loop.config.variants, key)
        if run is None:
            return Standing(shortest_training(loop.config) if may_claim else None)
        limit_s = training_limit(loop.config, run.variant)
        open_s = open_for(conn, run, at=at)
        if run.state in training.ACTIVE:
            if open_s < limit_s:
                return Standing(limit_s - open_s)
            fate = f"it has been open for {open_s / 60:.0f} min and goes on"
        elif (run.error or "").startswith(STUCK):
            fate = f"it has failed, {run.error}"
        else:
            return Standing(None)
        if _was_told(conn, run):
            return Standing(None)
        message = f"training run {run.id} did not end within its limit of {limit_s / 60:.0f} min: {fate}"
        loop.record(conn, "training", message, variant=run.variant, run_id=run.id, overdue=True)
    return Standing(None, message)


def _was_told(conn: Connection, run: training.TrainingRunRow) -> bool:
    told = events.since(conn, run.started_at, kind="training")
    return any(event.data.get("run_id") == run.id and event.data.get("overdue") for event in told)
