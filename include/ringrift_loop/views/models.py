"""The models of a variant: how strong each is and what was decided on it; refused candidates and training losses.

`lineage.py` has the history of one of them, `matchups.py` who beat whom. All of it is read at each call.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from ringrift_loop.errors import ConfigError
from ringrift_loop.json_value import number
from ringrift_loop.ledger import gates, promotions
from ringrift_loop.ledger.schema import gate_reports, models, ratings, training_runs
from ringrift_loop.ledger.schema import promotions as decisions
from ringrift_loop.text import clean, clean_lines
from ringrift_loop.views.family import SENTENCE, Family, LossMeans, ModelLine, generations_of, losses_of

MOST = 60
"""Models, or trainings, that are shown at once."""
_NAME = re.compile(r"(?P<variant>[a-z0-9]+_[0-9]p)@(?P<generation>[0-9]{1,9})")
_CHAMPION = re.compile(r"champion:(?P<variant>[a-z0-9]+_[0-9]p)")
_DIGEST_PART = re.compile(r"[0-9a-f]{4,64}")


@dataclass(frozen=True)
class Baseline:
    """A reference player."""

    name: str
    elo: float
    stderr: float
    games: int


@dataclass(frozen=True)
class OpenQuestion:
    """A move of the pointer that waits for a person's approval."""

    kind: str
    """`promotion` or `rollback`."""
    digest: str
    run: str
    """The DAG run that asks, as `dag_id/run_id`."""
    asked_at: float
    until: float


@dataclass(frozen=True)
class ModelsView:
    """The newest models of a variant, its champion among them however old it is."""

    variant: str
    at: float
    champion: str | None
    champion_generation: int
    """Moves of the pointer so far; 0 before the first champion."""
    previous_champion: str | None
    """Where a rollback would lead; None: there is none."""
    generator: str | None
    """The model that self-play uses: the champion, or a candidate that was chosen since."""
    models: tuple[ModelLine, ...]
    """The newest first."""
    count: int
    """Of all models of the variant."""
    baselines: tuple[Baseline, ...]
    fitted_at: float | None
    """When the ratings were last fitted."""
    decided_at: float | None
    """When something was last decided about one of its models."""
    approval_required: bool
    question: OpenQuestion | None


RULES = "rules"


@dataclass(frozen=True)
class Refusal:
    """A candidate that was not promoted, and why. Times are UTC seconds."""

    id: int
    digest: str
    generation: int
    at: float
    by: str
    """The gate that had failed it last, `regression` or `champion`; `rules`: it had passed them, and a rule or a person
    said no."""
    reason: str
    against: str | None
    """The champion of that time."""
    against_generation: int | None
    gain: float | None
    """Elo over the champion that the champion gate measured."""
    gain_stderr: float | None
    games: int
    """Of the champion gate."""


@dataclass(frozen=True)
class LossPoint:
    """The losses of one finished training run."""

    run: str
    generation: int
    digest: str
    finished_at: float
    train: LossMeans
    validation: LossMeans
    overfit_gap: float


def read_models(
    conn: Connection,
    variant: str,
    *,
    now: float,
    approval_required: bool = False,
    most: int = MOST,
    before: int | None = None,
) -> ModelsView:
    """The variant's newest models.

    Args:
        conn: a reading transaction.
        variant: such as `square8_2p`.
        now: UTC seconds.
        approval_required: as the configuration says.
        most: models; the champion comes on top of them if it is older.
        before: only models with a lower generation.
    """
    family = Family.read(conn, variant)
    pointers = promotions.pointers(conn, variant)
    generator = promotions.generators(conn).get(variant)
    rows = family.newest(most, before)
    if before is None and family.champion is not None and all(row.digest != family.champion for row in rows):
        rows.append(family.rows[family.champion])
    fitted = select(func.max(ratings.c.fitted_at)).where(ratings.c.variant == variant)
    return ModelsView(
        variant=variant,
        at=now,
        champion=family.champion,
        champion_generation=family.moves,
        previous_champion=pointers[1] if len(pointers) > 1 else None,
        generator=None if generator is None else generator.model_digest,
        models=tuple(family.lines(conn, [row.digest for row in rows])),
        count=len(family.rows),
        baselines=tuple(
            Baseline(clean(name), rating.elo, rating.stderr, rating.games)
            for name, rating in sorted(family.baselines.items(), key=lambda item: -item[1].elo)
        ),
        fitted_at=conn.execute(fitted).scalar(),
        decided_at=family.history[-1].created_at if family.history else None,
        approval_required=approval_required,
        question=_question(conn, variant, now) if approval_required else None,
    )


def refusals(conn: Connection, variant: str, *, most: int) -> tuple[Refusal, ...]:
    """The variant's candidates that were last refused, the newest first; one that was refused twice is there twice."""
    columns = decisions.c
    query = (
        select(decisions, models.c.generation)
        .join(models, models.c.digest == columns.model_digest)
        .where(columns.variant == variant, columns.status == promotions.REJECTED)
        .order_by(columns.id.desc())
        .limit(most)
    )
    rows = list(conn.execute(query))
    listed = gate_reports.c.model_digest.in_({row.model_digest for row in rows})
    reports = list(conn.execute(select(gate_reports).where(listed).order_by(gate_reports.c.id.desc())))
    generations = generations_of(conn, sorted({row.previous_digest for row in rows if row.previous_digest}))
    found = []
    for row in rows:
        # What was known then: a gate may have been held again since.
        own = (each for each in reports if each.model_digest == row.model_digest)
        known = [each for each in own if each.created_at <= row.created_at]
        by = known[0].gate if known and not known[0].passed else RULES
        contest = next((each.report for each in known if each.gate == gates.CHAMPION), None)
        stderr = number(contest.get("stderr")) if isinstance(contest, dict) else None
        found.append(
            Refusal(
                id=row.id,
                digest=row.model_digest,
                generation=row.generation,
                at=row.created_at,
                by=by,
                reason=clean_lines(row.reason, SENTENCE),
                against=row.previous_digest,
                against_generation=generations.get(row.previous_digest or ""),
                gain=row.elo_gain,
                gain_stderr=None if row.elo_gain is None else stderr,
                games=row.games,
            )
        )
    return tuple(found)


def find_model(conn: Connection, text: str) -> tuple[str, str]:
    """The variant and digest of a model by the beginning of its digest, as `square8_2p@7` or `champion:square8_2p`.

    Raises:
        ConfigError: the text names no model, or more than one.
    """
    named, reigning = _NAME.fullmatch(text), _CHAMPION.fullmatch(text)
    if reigning is not None:
        champion = promotions.champion(conn, reigning["variant"])
        if champion is None:
            raise ConfigError(f"{reigning['variant']} has no champion; `ringrift-loop status` shows the champions")
        return reigning["variant"], champion.model_digest
    if named is not None:
        same = (models.c.variant == named["variant"], models.c.generation == int(named["generation"]))
        query = select(models.c.variant, models.c.digest).where(*same)
    elif _DIGEST_PART.fullmatch(text):
        query = select(models.c.variant, models.c.digest).where(models.c.digest.startswith(text, autoescape=True))
    else:
        raise ConfigError(
            "a model is the beginning of its digest (4 characters or more), variant@generation or champion:VARIANT, "
            f"got {text[:100]!r}"
        )
    found = [(str(row.variant), str(row.digest)) for row in conn.execute(query.order_by(models.c.digest).limit(3))]
    if len(found) == 1:
        return found[0]
    if not found:
        raise ConfigError(f"no model is named {text}; `ringrift-loop status` shows the champions")
    several = ", ".join(digest[:12] for _, digest in found)
    raise ConfigError(f"{text} is the beginning of several digests ({several}, ...): give more of it")


def loss_points(conn: Connection, variant: str, *, most: int = MOST) -> tuple[LossPoint, ...]:
    """The losses of the variant's newest finished trainings, oldest first."""
    runs = training_runs.c
    query = (
        select(runs.id, runs.report, runs.finished_at, models.c.digest, models.c.generation)
        .join(models, models.c.digest == runs.model_digest)
        .where(runs.variant == variant, runs.state == "succeeded")
        .order_by(models.c.generation.desc())
        .limit(most)
    )
    points = []
    for row in conn.execute(query):
        report = row.report if isinstance(row.report, dict) else {}
        train, validation = losses_of(report.get("train")), losses_of(report.get("validation"))
        if train is not None and validation is not None and row.finished_at is not None:
            gap = number(report.get("overfit_gap")) or 0.0
            points.append(LossPoint(row.id, row.generation, row.digest, row.finished_at, train, validation, gap))
    return tuple(reversed(points))


def _question(conn: Connection, variant: str, now: float) -> OpenQuestion | None:
    asked = promotions.approval(conn, variant)
    if asked is None or asked.approved is not None or asked.until < now:
        return None
    return OpenQuestion(asked.kind, asked.model_digest, clean(asked.run), asked.asked_at, asked.until)
