"""Whether each part of the loop does its work: what `/health` answers, computed from the ledger.

The parts and their limits are the deployment guide's: three failures in a row, or twice the time limit over, and a part
is unhealthy; once the limit over, it is degraded. A part is late only while something waits for it: with no candidate
there is nothing to promote, and a halt holds everything back but the collecting of games.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from sqlalchemy import Connection, func, select

from ringrift_loop.config.schema import LoopConfig
from ringrift_loop.json_value import JsonValue
from ringrift_loop.ledger import curriculum, events, games, gates, leases, promotions, state, training
from ringrift_loop.ledger import models as model_rows
from ringrift_loop.ledger.schema import models, training_runs
from ringrift_loop.ledger.schema import promotions as decisions
from ringrift_loop.status.overview import loop_runs
from ringrift_loop.text import clean

HEALTHY, DEGRADED, UNHEALTHY = "healthy", "degraded", "unhealthy"
FAILURES = 3
LIMITS_S: Mapping[str, float] = MappingProxyType(
    {"collector": 300.0, "evaluator": 1800.0, "training": 7200.0, "promoter": 3600.0, "curriculum": 3600.0}
)
"""How long something may wait for a part before the part is late, s; at least twice its own interval."""
_TASKS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "collector": ("ringrift_data_sync.",),
        "evaluator": ("ringrift_shadow_tournament.",),
        "training": ("ringrift_training.claim_games", "ringrift_training.train", "ringrift_training.settle_claim"),
        "promoter": (
            "ringrift_training.promote",
            "ringrift_training.distribute",
            "ringrift_training.confirm_reload",
            "ringrift_promote.",
            "ringrift_rollback.",
        ),
        "curriculum": ("ringrift_curriculum_rebalance.",),
    }
)
_LOOK_BACK_S = 86_400.0
_INTERVALS = 2.0


@dataclass(frozen=True)
class Component:
    """One part of the loop. Times are UTC seconds; None where nothing happened yet."""

    status: str
    """`healthy`, `degraded` or `unhealthy`."""
    last_success: float | None
    """When it last did its work."""
    age: float | None
    """Seconds since then."""
    waiting: float | None
    """Seconds that something has waited for it; None while nothing does."""
    limit: float
    """Seconds that something may wait; twice as long, and the part is unhealthy."""
    consecutive_failures: int
    """Of its tasks, since the last success; a try that is repeated by itself does not count."""
    last_error: str | None
    """The last of those."""


@dataclass(frozen=True)
class Health:
    """The loop: as bad as the worst of its parts."""

    status: str
    """`healthy`, `degraded` or `unhealthy`."""
    running: bool
    halted: bool
    """A person has told the loop to start nothing by itself."""
    at: float
    """UTC seconds."""
    components: dict[str, Component]


def public(health: Health) -> dict[str, JsonValue]:
    """What anybody may know who asks without a login: words and ages, no error and no name of a host or variant."""
    components: dict[str, JsonValue] = {
        name: {"status": part.status, "age": None if part.age is None else round(part.age, 1)}
        for name, part in health.components.items()
    }
    return {"status": health.status, "running": health.running, "halted": health.halted, "components": components}


@dataclass(frozen=True)
class _Work:
    """What the ledger says of one part: its last success, and since when something waits for the next."""

    last_success: float | None
    waits_since: float | None
    """None: nothing does."""


def read_health(conn: Connection, config: LoopConfig, *, now: float, stopped: bool = False) -> Health:
    """The health at `now`.

    Args:
        conn: a reading transaction.
        config: names the variants, and holds the intervals.
        now: UTC seconds.
        stopped: it is known that the loop does not run, whatever the ledger says.
    """
    halted = state.halted(conn)
    running = loop_runs(conn, config, now=now, stopped=stopped)
    started_at, free_since = state.get_time(conn, state.STARTED_AT), state.free_since(conn)
    failures = events.since(conn, now - _LOOK_BACK_S, kind="task_failed")
    components = {}
    for name, work in _works(conn, config, now).items():
        idle = work.waits_since is None or (halted and name != "collector")
        # Not by the time in which the loop was off or halted, nor by that in which the part was busy with something
        # else.
        free = started_at if name == "collector" else free_since
        begins = [at for at in (work.waits_since, work.last_success, free) if at is not None]
        waiting = None if idle else max(0.0, now - max(begins))
        components[name] = _judged(work, waiting, _limit_s(name, config), _failures_of(name, failures, work), now)
    worst = max((part.status for part in components.values()), key=(HEALTHY, DEGRADED, UNHEALTHY).index)
    return Health(worst if running else UNHEALTHY, running, halted, now, components)


def _judged(
    work: _Work, waiting: float | None, limit_s: float, failures: Sequence[events.Event], now: float
) -> Component:
    late = 0.0 if waiting is None else waiting / limit_s
    if len(failures) >= FAILURES or late > 2.0:
        status = UNHEALTHY
    else:
        status = DEGRADED if late > 1.0 else HEALTHY
    return Component(
        status=status,
        last_success=work.last_success,
        age=None if work.last_success is None else max(0.0, now - work.last_success),
        waiting=waiting,
        limit=limit_s,
        consecutive_failures=len(failures),
        last_error=clean(failures[0].message) if failures else None,
    )


def _limit_s(name: str, config: LoopConfig) -> float:
    intervals = {
        "collector": config.data_ingestion.poll_interval_seconds,
        "evaluator": config.evaluation.shadow_interval_seconds,
        "curriculum": config.curriculum.rebalance_interval_seconds,
    }
    return max(LIMITS_S[name], _INTERVALS * intervals.get(name, 0))


def _failures_of(name: str, failures: Sequence[events.Event], work: _Work) -> list[events.Event]:
    """Newest first."""
    return [
        event
        for event in failures
        if event.message.startswith(_TASKS[name])
        and event.data.get("will_be_retried") is not True
        and (work.last_success is None or event.at > work.last_success)
    ]


def _works(conn: Connection, config: LoopConfig, now: float) -> dict[str, _Work]:
    return {
        "collector": _Work(state.get_time(conn, state.LAST_CYCLE_AT), 0.0),
        "evaluator": _evaluator(conn, config),
        "training": _training(conn, config),
        "promoter": _promoter(conn, config, now),
        "curriculum": _Work(curriculum.updated_at(conn), 0.0),
    }


def _evaluator(conn: Connection, config: LoopConfig) -> _Work:
    """Tournaments are waited for once any variant has a model."""
    last = events.latest(conn, kind="tournament", limit=1)
    first_model = select(func.min(models.c.created_at)).where(models.c.variant.in_(config.variants))
    return _Work(last[0].at if last else None, conn.execute(first_model).scalar())


def _training(conn: Connection, config: LoopConfig) -> _Work:
    """A candidate is waited for from the game on that made a variant due, or the start of its open run."""
    since = []
    for variant in config.variants:
        run = training.active(conn, variant)
        if run is not None:
            since.append(run.started_at)
            continue
        full_at = games.pending_since(conn, variant, games.wanted(conn, variant, config.training))
        if full_at is not None:
            pause_over = (training.last_finished_at(conn, variant) or 0.0) + config.training.min_interval_seconds
            since.append(max(full_at, pause_over))
    runs = training_runs.c
    trained = conn.execute(select(func.max(runs.finished_at)).where(runs.state == "succeeded")).scalar()
    return _Work(trained, min(since, default=None))


def _promoter(conn: Connection, config: LoopConfig, now: float) -> _Work:
    """A decision about a variant's newest model is waited for, unless a person makes it or a rule puts it off.

    Not while a gate plays, which takes as long as its games do, and from the last verdict on.
    """
    decided = conn.execute(select(func.max(decisions.c.created_at))).scalar()
    since, held = [], {lease.name for lease in leases.held(conn, at=now)}
    by_itself = config.promotion.auto_promote and not config.promotion.require_approval
    for variant in config.variants if by_itself else ():
        newest = model_rows.latest(conn, variant)
        if newest is None or promotions.of_model(conn, newest.digest):
            continue
        judged = {f"champion-gate:{variant}", f"regression-gate:{newest.digest[:16]}"} & held
        if not judged and promotions.deferred(conn, variant) != newest.digest:
            since.append(max([newest.created_at, *(row.created_at for row in gates.verdicts(conn, newest.digest))]))
    return _Work(decided, min(since, default=None))
