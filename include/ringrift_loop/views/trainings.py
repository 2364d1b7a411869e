"""Training runs: how far each is, its losses, and what the gates said of its candidate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, or_, select

from ringrift_loop.errors import DataError
from ringrift_loop.json_value import JsonValue, whole
from ringrift_loop.ledger import promotions
from ringrift_loop.ledger.schema import models, training_runs
from ringrift_loop.ledger.training import ACTIVE
from ringrift_loop.loop import Loop
from ringrift_loop.text import clean
from ringrift_loop.training.claim import run_name
from ringrift_loop.training.progress import Curve, TrainingProgress, read_progress

_MOST = 20


@dataclass(frozen=True)
class StepLosses:
    """The losses after a step, nats."""

    step: int
    total: float
    policy: float
    value: float


@dataclass(frozen=True)
class TrainingView:
    """One training run. Times are UTC seconds; None where it is not known."""

    id: str
    variant: str
    state: str
    """`claimed`, `running`, `succeeded` or `failed`."""
    games: int
    """New ones."""
    window_rows: int
    started_at: float
    finished_at: float | None
    error: str | None
    step: int | None
    steps: int | None
    samples_per_second: float | None
    left_s: float | None
    """Seconds until its last step, as it told last itself; None while it does not train here."""
    train: list[StepLosses]
    """Of single batches while it goes on; of the exported weights when it has ended."""
    validation: list[StepLosses]
    model: str | None
    """The candidate's digest."""
    generation: int | None
    status: str | None
    """What became of the candidate: `promoted`, `rejected` or `rolled_back`; None: not decided."""
    reason: str | None


def read_trainings(conn: Connection, loop: Loop, *, key: str | None = None) -> list[TrainingView]:
    """The newest runs, the newest first; with a `key`, those that an asker made: a run of the training's DAG."""
    columns = training_runs.c
    query = (
        select(training_runs, models.c.generation)
        .join(models, models.c.digest == columns.model_digest, isouter=True)
        .order_by(columns.started_at.desc())
        .limit(_MOST)
    )
    if key is not None:
        names = [run_name(variant, key) for variant in loop.config.variants]
        query = query.where(or_(*(columns.id.startswith(name, autoescape=True) for name in names)))
    return [_view(conn, loop, dict(row._mapping)) for row in conn.execute(query)]


def _view(conn: Connection, loop: Loop, row: dict[str, object]) -> TrainingView:
    told = _told(loop, str(row["id"])) if row["state"] in ACTIVE else None
    report = row["report"] if isinstance(row["report"], dict) else {}
    digest = row["model_digest"]
    decisions = promotions.of_model(conn, str(digest)) if digest is not None else []
    steps = whole(report.get("steps")) if told is None else told.steps
    return TrainingView(
        id=str(row["id"]),
        variant=str(row["variant"]),
        state=str(row["state"]),
        games=int(str(row["games"])),
        window_rows=int(str(row["window_rows"])),
        started_at=float(str(row["started_at"])),
        finished_at=None if row["finished_at"] is None else float(str(row["finished_at"])),
        error=None if row["error"] is None else clean(str(row["error"])),
        step=steps if told is None else told.step,
        steps=steps,
        samples_per_second=None if told is None else told.samples_per_second,
        left_s=None if told is None else told.left_s,
        train=_last(report, "train") if told is None else _points(told.train),
        validation=_last(report, "validation") if told is None else _points(told.validation),
        model=None if digest is None else str(digest),
        generation=whole(row["generation"]),
        status=decisions[0].status if decisions else None,
        reason=clean(decisions[0].reason) if decisions else None,
    )


def _told(loop: Loop, run_id: str) -> TrainingProgress | None:
    """What a run that trains on this machine says of itself."""
    try:
        return read_progress(loop.directory.training_output(run_id))
    except DataError:
        return None


def _points(curve: Curve) -> list[StepLosses]:
    return [StepLosses(point.step, point.total, point.policy, point.value) for point in curve]


def _last(report: dict[str, JsonValue], part: str) -> list[StepLosses]:
    """The one measurement that a finished run's report has."""
    figures, step = report.get(part), whole(report.get("best_step"))
    if not isinstance(figures, dict) or step is None:
        return []
    found = [figures.get(name) for name in ("total", "policy", "value")]
    numbers: Sequence[float] = [float(each) for each in found if isinstance(each, (int, float))]
    return [StepLosses(step, *numbers)] if len(numbers) == len(found) else []
