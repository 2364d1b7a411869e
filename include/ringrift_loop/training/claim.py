"""Who may train next: a run is created with its games in one transaction, and ended if nothing comes of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection

from ringrift_loop.errors import ConfigError, NoCapacity
from ringrift_loop.json_value import JsonValue
from ringrift_loop.ledger import games, leases, state, training
from ringrift_loop.loop import Loop
from ringrift_loop.training.due import withdraw


@dataclass(frozen=True)
class TrainingClaim:
    """A training run and the games it has got."""

    run_id: str
    variant: str
    games: int

    def as_json(self) -> dict[str, JsonValue]:
        """The claim as a JSON object."""
        return asdict(self)


def lease_name(variant: str) -> str:
    """The lease that a training process holds while it works on a variant."""
    return f"train:{variant}"


def claim_for_run(loop: Loop, variants: Sequence[str], *, key: str) -> TrainingClaim:
    """A training run of the first variant that can have one; asking again with the same key gives the same run.

    Args:
        loop: the loop.
        variants: what was asked for, the most wanted first.
        key: identifies whoever asks, such as the id of a DAG run.

    Raises:
        ConfigError: a variant is not in the configuration, or none was named.
        NoCapacity: every one of them is being trained already.
        LedgerError: there is no game to train on.
    """
    _answer_requests(loop, variants)
    with loop.ledger.begin() as conn:
        own = _own_active(conn, variants, key)
        return own or _claim_first(conn, loop, variants, key)


def claim_due(loop: Loop, variants: Sequence[str], *, key: str) -> TrainingClaim | None:
    """As `claim_for_run`, of the variants that have their games still: None when a run by hand has used them.

    Raises:
        ConfigError, NoCapacity: as `claim_for_run`.
    """
    _answer_requests(loop, variants)
    with loop.ledger.begin() as conn:
        own = _own_active(conn, variants, key)
        if own is not None:
            return own
        threshold, pending = loop.config.training.trigger_threshold_games, games.pending_by_variant(conn)
        due = [variant for variant in variants if pending.get(variant, 0) >= threshold]
        return _claim_first(conn, loop, due, key) if due else None


def settle(loop: Loop, run_id: str) -> dict[str, JsonValue]:
    """Fail a run that has no candidate and give its games back; a run that has ended stays as it is."""
    with loop.ledger.begin() as conn:
        run = training.require(conn, run_id)
        if run.state not in training.ACTIVE:
            return {"run_id": run_id, "state": run.state, "games_given_back": 0}
        settled = _fail(conn, loop, run, "the training ended without a candidate")
    _count_failure(loop, run)
    return settled


def reap_stuck(loop: Loop) -> list[str]:
    """Fail runs that nobody works on any more: older than `training.stuck_after_seconds` and without a lease.

    The time before the loop was started last does not count: a machine that was off has its run go on.
    """
    at = loop.clock()
    with loop.ledger.begin() as conn:
        loop_started = state.get(conn, state.STARTED_AT)
        up_since = float(loop_started) if isinstance(loop_started, int | float) else 0.0
        stuck = [
            run
            for run in (training.active(conn, variant) for variant in loop.config.variants)
            if run is not None
            and at - max(run.started_at, up_since) > loop.config.training.stuck_after_seconds
            and leases.holder(conn, lease_name(run.variant), at=at) is None
        ]
        for run in stuck:
            _fail(conn, loop, run, f"stuck: {run.state} for {at - run.started_at:.0f} s and no process holds its lease")
    for run in stuck:
        _count_failure(loop, run)
    return [run.id for run in stuck]


def _answer_requests(loop: Loop, variants: Sequence[str]) -> None:
    """Check the names and forget the requests, also when no run comes of them: they can be made again then."""
    unknown = [variant for variant in variants if variant not in loop.config.variants]
    if unknown or not variants:
        named = ", ".join(unknown) or "none"
        raise ConfigError(f"variants to train must be among {', '.join(loop.config.variants)}, got {named}")
    with loop.ledger.begin() as conn:
        for variant in variants:
            withdraw(conn, variant, at=loop.clock())


def _own_active(conn: Connection, variants: Sequence[str], key: str) -> TrainingClaim | None:
    """The open run that this asker has made already."""
    for variant in variants:
        run = training.active(conn, variant)
        if run is not None and run.id == _own_run_id(conn, variant, key):
            return TrainingClaim(run.id, variant, run.games)
    return None


def _claim_first(conn: Connection, loop: Loop, variants: Sequence[str], key: str) -> TrainingClaim:
    busy = []
    for variant in variants:
        run = training.active(conn, variant)
        if run is not None:
            busy.append(f"{run.id} is {run.state}")
            continue
        run = training.claim(conn, _own_run_id(conn, variant, key), variant, at=loop.clock())
        message = f"training of {variant} starts with {run.games} new games"
        loop.record(conn, "training", message, variant=variant, run_id=run.id)
        return TrainingClaim(run.id, variant, run.games)
    raise NoCapacity(f"one training run of a variant at a time: {'; '.join(busy)}")


def _own_run_id(conn: Connection, variant: str, key: str) -> str:
    """The asker's run: `square8_2p-4f1c9a0b7d2e`, with a number when it asks again after its run has ended."""
    base = f"{variant}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    candidate, number = base, 1
    while (run := training.get(conn, candidate)) is not None and run.state not in training.ACTIVE:
        number += 1
        candidate = f"{base}-{number}"
    return candidate


def _fail(conn: Connection, loop: Loop, run: training.TrainingRunRow, reason: str) -> dict[str, JsonValue]:
    given_back = training.fail(conn, run.id, error=reason, at=loop.clock())
    message = f"training run {run.id} failed, {given_back} games are free again: {reason}"
    loop.record(conn, "training", message, variant=run.variant, run_id=run.id)
    return {"run_id": run.id, "state": "failed", "games_given_back": given_back}


def _count_failure(loop: Loop, run: training.TrainingRunRow) -> None:
    loop.metrics.incr("ringrift_training_runs_total", config=run.variant, status="failed")
