"""Who may train next: a run is created with its games in one transaction, and ended if nothing comes of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection

from ringrift_loop.errors import ConfigError, NoCapacity
from ringrift_loop.json_value import JsonValue
from ringrift_loop.ledger import events, games, leases, state, training
from ringrift_loop.loop import Loop
from ringrift_loop.text import counted
from ringrift_loop.tournament.duration import shortest_training, training_limit
from ringrift_loop.training.due import (
    close_candidate,
    earlier_requests,
    keep_place,
    no_place,
    open_candidate,
    open_run,
    requested,
    withdraw,
)


@dataclass(frozen=True)
class TrainingClaim:
    """A training run and the games it has got."""

    run_id: str
    variant: str
    games: int

    def as_json(self) -> dict[str, JsonValue]:
        """The claim as a JSON object."""
        return asdict(self)


STUCK = "stuck: "
"""What the error of a run begins with that `reap_stuck` has ended."""


def lease_name(variant: str) -> str:
    """The lease that a training process holds while it works on a variant."""
    return f"train:{variant}"


def claim_for_run(loop: Loop, variants: Sequence[str], *, key: str) -> TrainingClaim:
    """A training run of the first variant that can have one; asking again with the same key gives the same run.

    It waits for nobody but another run of the variant: neither for a place nor for the gates.

    Args:
        loop: the loop.
        variants: what was asked for, the most wanted first.
        key: identifies whoever asks, such as the id of a DAG run.

    Raises:
        ConfigError: a variant is not in the configuration, or none was named.
        NoCapacity: every one of them is being trained already.
        LedgerError: there is no game to train on.
    """
    _check(loop, variants)
    with loop.ledger.begin() as conn:
        for variant in variants:
            withdraw(conn, variant, at=loop.clock())
    with loop.ledger.begin() as conn:
        own = _own_active(conn, variants, key)
        if own is not None:
            return own
        busy = []
        for variant in variants:
            run = training.active(conn, variant)
            if run is None:
                return _claim(conn, loop, variant, key)
            busy.append(f"{run.id} is {run.state}")
    raise NoCapacity(f"one training run of a variant at a time: {'; '.join(busy)}")


def claim_in_turn(loop: Loop, variant: str, *, key: str) -> TrainingClaim:
    """As `claim_for_run`, once the variant's last candidate is through its gates and there is a place for a training.

    Whoever is refused for want of a place has the next one, as long as it asks again within five minutes.

    Raises:
        ConfigError, LedgerError: as `claim_for_run`.
        NoCapacity: not yet; the message says what it waits for.
    """
    _check(loop, [variant])
    with loop.ledger.begin() as conn:
        own = _own_active(conn, [variant], key)
        if own is not None:
            return own
        refusal = _refusal(conn, loop, variant, key)
        if refusal is None:
            withdraw(conn, variant, at=loop.clock())
            return _claim(conn, loop, variant, key, judged=True)
        if refusal.keeps_place:
            keep_place(conn, variant, key, at=loop.clock())
    raise NoCapacity(f"{variant}: {refusal.reason}")


def claim_due(loop: Loop, variants: Sequence[str], *, key: str) -> TrainingClaim:
    """A training run of the first of the variants that is still due; the others can ask again.

    Raises:
        ConfigError: as `claim_for_run`.
        NoCapacity: none of them is, as when a run by hand has used the games; the message says why of each.
    """
    _check(loop, variants)
    with loop.ledger.begin() as conn:
        own = _own_active(conn, variants, key)
        if own is not None:
            return own
        claim, reasons = _first_due(conn, loop, variants, key)
    if claim is None:
        raise NoCapacity("; ".join(reasons))
    return claim


def settle(loop: Loop, run_id: str) -> dict[str, JsonValue]:
    """End what a claim has begun: the variant may have its next run.

    A run that has no candidate fails and gives its games back; a run that has ended stays as it is.
    """
    with loop.ledger.begin() as conn:
        run = training.require(conn, run_id)
        close_candidate(conn, run.variant, run_id)
        if run.state not in training.ACTIVE:
            return {"run_id": run_id, "state": run.state, "games_given_back": 0}
        settled = _fail(conn, loop, run, "the training ended without a candidate")
    _count_failure(loop, run)
    return settled


def reap_stuck(loop: Loop) -> list[str]:
    """Fail runs that nobody works on any more: older than their limit (`training_limit`) and without a lease.

    The time before the loop was started last does not count: a machine that was off has its run go on. The limits are
    published, so that the alert on a run that does not end has the same ones. A person is told by `look`.
    """
    for variant in loop.config.variants:
        loop.metrics.gauge("ringrift_training_limit_seconds", training_limit(loop.config, variant), config=variant)
    at = loop.clock()
    with loop.ledger.begin() as conn:
        stuck = [
            run
            for run in (training.active(conn, variant) for variant in loop.config.variants)
            if run is not None
            and open_for(conn, run, at=at) > training_limit(loop.config, run.variant)
            and leases.holder(conn, lease_name(run.variant), at=at) is None
        ]
        for run in stuck:
            reason = f"{STUCK}{run.state} for {at - run.started_at:.0f} s and no process holds its lease"
            _fail(conn, loop, run, reason)
    for run in stuck:
        _count_failure(loop, run)
    return [run.id for run in stuck]


def open_for(conn: Connection, run: training.TrainingRunRow, *, at: float) -> float:
    """Seconds since a run was claimed; those before the loop was started last do not count."""
    return at - max(run.started_at, state.get_time(conn, state.STARTED_AT) or 0.0)


def newest_run(conn: Connection, variants: Sequence[str], key: str) -> training.TrainingRunRow | None:
    """The last run that an asker has made, of whichever of the variants, open or ended."""
    made = [run for variant in variants for run in _runs_of(conn, variant, key)]
    return max(made, key=lambda run: run.started_at, default=None)


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


def _check(loop: Loop, variants: Sequence[str]) -> None:
    unknown = [variant for variant in variants if variant not in loop.config.variants]
    if unknown or not variants:
        named = ", ".join(unknown) or "none"
        raise ConfigError(f"variants to train must be among {', '.join(loop.config.variants)}, got {named}")


def _first_due(
    conn: Connection, loop: Loop, variants: Sequence[str], key: str
) -> tuple[TrainingClaim | None, list[str]]:
    """The claim and why others got none. All requests are answered with that: they can be made again."""
    claim, reasons = None, []
    pending = games.pending_by_variant(conn)
    for variant in variants:
        refusal = _refusal(conn, loop, variant, key)
        if pending.get(variant, 0) < games.wanted(conn, variant, loop.config.training):
            reasons.append(f"another run has used the games of {variant}")
        elif refusal is not None:
            reasons.append(f"{variant}: {refusal.reason}")
        elif claim is None:
            claim = _claim(conn, loop, variant, key, judged=True)
    for variant in variants:
        withdraw(conn, variant, at=loop.clock())
    return claim, reasons


@dataclass(frozen=True)
class _Refusal:
    reason: str
    keeps_place: bool  # only a place is missing


def _refusal(conn: Connection, loop: Loop, variant: str, key: str) -> _Refusal | None:
    """Why the variant can have no run now."""
    at = loop.clock()
    run = open_run(conn, variant, at=at, own=run_name(variant, key))
    if run is not None:
        return _Refusal(f"one run of a variant at a time, {run}", keeps_place=False)
    before = earlier_requests(conn, loop, requested(conn, variant, at=at), at=at)
    full = no_place(conn, loop, before)
    return None if full is None else _Refusal(full, keeps_place=True)


def _own_active(conn: Connection, variants: Sequence[str], key: str) -> TrainingClaim | None:
    """The open run that this asker has made already."""
    for variant in variants:
        run = training.active(conn, variant)
        if run is not None and run.id == _own_run_id(conn, variant, key):
            return TrainingClaim(run.id, variant, run.games)
    return None


def _claim(conn: Connection, loop: Loop, variant: str, key: str, *, judged: bool = False) -> TrainingClaim:
    """A new run; `judged`: its candidate goes to the gates, and `settle` follows them."""
    run = training.claim(conn, _own_run_id(conn, variant, key), variant, at=loop.clock())
    if judged:
        open_candidate(conn, loop, variant, run.id, at=loop.clock())
    message = f"training of {variant} starts with {counted(run.games, 'new game')}"
    loop.record(conn, "training", message, variant=variant, run_id=run.id)
    return TrainingClaim(run.id, variant, run.games)


def _own_run_id(conn: Connection, variant: str, key: str) -> str:
    """The asker's run: `square8_2p-4f1c9a0b7d2e`, with a number when it asks again after its run has ended."""
    made = _runs_of(conn, variant, key)
    if made and made[-1].state in training.ACTIVE:
        return made[-1].id
    return _numbered(variant, key, len(made) + 1)


def _runs_of(conn: Connection, variant: str, key: str) -> list[training.TrainingRunRow]:
    """All runs of a variant that an asker has made, the oldest first."""
    made: list[training.TrainingRunRow] = []
    while (run := training.get(conn, _numbered(variant, key, len(made) + 1))) is not None:
        made.append(run)
    return made


def _numbered(variant: str, key: str, number: int) -> str:
    name = run_name(variant, key)
    return name if number == 1 else f"{name}-{number}"


def run_name(variant: str, key: str) -> str:
    """What the names of an asker's runs of a variant begin with."""
    return f"{variant}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"


def _fail(conn: Connection, loop: Loop, run: training.TrainingRunRow, reason: str) -> dict[str, JsonValue]:
    given_back = training.fail(conn, run.id, error=reason, at=loop.clock())
    close_candidate(conn, run.variant, run.id)
    message = f"training run {run.id} failed, {counted(given_back, 'game')} given back: {reason}"
    loop.record(conn, "training", message, variant=run.variant, run_id=run.id)
    return {"run_id": run.id, "state": "failed", "games_given_back": given_back}


def _count_failure(loop: Loop, run: training.TrainingRunRow) -> None:
    loop.metrics.incr("ringrift_training_runs_total", config=run.variant, status="failed")
