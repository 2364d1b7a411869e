"""A variant's models with their ratings and verdicts, and what the history of its pointer makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, func, select

from ringrift_loop.json_value import JsonValue, number
from ringrift_loop.ledger import gates, promotions
from ringrift_loop.ledger.promotions import PROMOTED, REJECTED, ROLLED_BACK
from ringrift_loop.ledger.schema import gate_reports, models, ratings
from ringrift_loop.ledger.schema import promotions as decisions
from ringrift_loop.text import clean_lines

CHAMPION, FORMER, TAKEN_BACK, REJECTED_CANDIDATE, CANDIDATE = (
    "champion",
    "former",
    "rolled back",
    "rejected",
    "candidate",
)
"""States of a model: FORMER was followed by another, TAKEN_BACK was left by a rollback, CANDIDATE is undecided."""

_MOST_ANCESTORS = 12
_PART = 500  # values per query, below SQLite's and PostgreSQL's limits on parameters
SENTENCE = 2000
"""Letters of a text that are shown."""


@dataclass(frozen=True)
class ModelLine:
    """One model. Times are UTC seconds."""

    digest: str
    variant: str
    generation: int
    """1, 2, 3, ... of the variant's models."""
    parent: str | None
    """Digest of the model that training started from; None: random weights, or another variant's model is not known."""
    training_run: str | None
    created_at: float
    state: str
    """`champion`, `former`, `rolled back`, `rejected` or `candidate`."""
    reign: int | None
    """As how many-th champion it last came in; None: it never was one."""
    elo: float | None
    stderr: float | None
    """Standard error of the Elo."""
    rated_games: int
    regression_passed: bool | None
    """The last verdict of the six tests; None: there is none."""
    contest_passed: bool | None
    """The last verdict of the champion gate; None: there is none."""
    gain: float | None
    """Elo over the champion that it was judged against."""
    gain_stderr: float | None


@dataclass(frozen=True)
class PointerStep:
    """One decision about a model, or what ended its reign."""

    status: str
    """`promoted`, `rejected`, `rolled_back` to this model; `replaced` or `taken_back`: it was followed by `other`."""
    at: float
    reason: str
    other: str | None
    """The champion before, or the one that followed."""
    reign: int | None
    """As how many-th champion it came in."""
    elo_gain: float | None
    games: int


@dataclass(frozen=True)
class LossMeans:
    """Means over some rows, nats above the targets' own entropy."""

    total: float
    policy: float
    value: float


@dataclass(frozen=True)
class Family:
    """The models of a variant and what the pointer's history makes of them."""

    rows: dict[str, Row[Any]]  # by digest, in order of generation
    history: list[Row[Any]]  # of promotions, oldest first
    rated: dict[str, Row[Any]]  # digest -> the rating of its most played search
    baselines: dict[str, Row[Any]]
    champion: str | None
    moves: int
    states: Mapping[str, str]
    reigns: Mapping[str, int]

    @classmethod
    def read(cls, conn: Connection, variant: str) -> Family:
        """The family of a variant; reads no manifest and no report."""
        names = ("digest", "variant", "generation", "parent_digest", "training_run", "created_at")
        columns = [models.c[name] for name in names]
        query = select(*columns).where(models.c.variant == variant).order_by(models.c.generation)
        rows = {row.digest: row for row in conn.execute(query)}
        history = list(conn.execute(select(decisions).where(decisions.c.variant == variant).order_by(decisions.c.id)))
        rated: dict[str, Row[Any]] = {}
        baselines = {}
        for rating in conn.execute(select(ratings).where(ratings.c.variant == variant).order_by(ratings.c.games)):
            digest, bar, _ = rating.participant.partition("|")
            if bar:
                rated[digest] = rating
            else:
                baselines[digest] = rating
        states, reigns, stack = _replay(history)
        champion = promotions.champion(conn, variant)
        return cls(
            rows,
            history,
            rated,
            baselines,
            champion=stack[-1] if stack else None,
            moves=0 if champion is None else champion.generation,
            states=states,
            reigns=reigns,
        )

    def newest(self, most: int, before: int | None) -> list[Row[Any]]:
        """The newest models, the newest first; of those with a lower generation than `before`."""
        wanted = [row for row in self.rows.values() if before is None or row.generation < before]
        return wanted[: -most - 1 : -1]

    def ancestors(self, digest: str) -> list[str]:
        """The line of parents within the variant, the nearest first."""
        found: list[str] = []
        parent = self.rows[digest].parent_digest
        while parent in self.rows and parent not in (digest, *found) and len(found) < _MOST_ANCESTORS:
            found.append(parent)
            parent = self.rows[parent].parent_digest
        return found

    def lines(self, conn: Connection, digests: Sequence[str]) -> list[ModelLine]:
        """The models as lines, in the order asked for."""
        verdicts = _last_verdicts(conn, digests)
        return [self._line(self.rows[digest], verdicts) for digest in digests]

    def _line(self, row: Row[Any], verdicts: Mapping[tuple[str, str], Row[Any]]) -> ModelLine:
        rating = self.rated.get(row.digest)
        regression = verdicts.get((row.digest, gates.REGRESSION))
        contest = verdicts.get((row.digest, gates.CHAMPION))
        report = contest.report if contest is not None and isinstance(contest.report, dict) else {}
        return ModelLine(
            digest=row.digest,
            variant=row.variant,
            generation=row.generation,
            parent=row.parent_digest,
            training_run=row.training_run,
            created_at=row.created_at,
            state=self.states.get(row.digest, CANDIDATE),
            reign=self.reigns.get(row.digest),
            elo=None if rating is None else rating.elo,
            stderr=None if rating is None else rating.stderr,
            rated_games=0 if rating is None else rating.games,
            regression_passed=None if regression is None else regression.passed,
            contest_passed=None if contest is None else contest.passed,
            gain=number(report.get("gain")),
            gain_stderr=number(report.get("stderr")),
        )

    def steps(self, digest: str) -> list[PointerStep]:
        """What was decided on a model, and what followed each of its reigns."""
        found: list[PointerStep] = []
        reign, present = 0, None
        for row in self.history:
            is_move = row.status in (PROMOTED, ROLLED_BACK)
            reign += is_move
            if is_move and present == digest != row.model_digest:
                ended = "replaced" if row.status == PROMOTED else "taken_back"
                found.append(_step(row, ended, row.model_digest, None))
            if row.model_digest == digest:
                found.append(_step(row, row.status, row.previous_digest, reign if is_move else None))
            present = row.model_digest if is_move else present
        return found


def _replay(history: Sequence[Row[Any]]) -> tuple[dict[str, str], dict[str, int], list[str]]:
    """What the pointer's history makes of each model: its state, as how many-th champion it came in, and the stack."""
    states: dict[str, str] = {}
    reigns: dict[str, int] = {}
    stack: list[str] = []
    moves = 0
    for row in history:
        if row.status == REJECTED:
            states.setdefault(row.model_digest, REJECTED_CANDIDATE)
            continue
        moves += 1
        if row.status == ROLLED_BACK and row.model_digest in stack:
            while stack[-1] != row.model_digest:
                states[stack.pop()] = TAKEN_BACK
        else:
            if stack:
                states[stack[-1]] = FORMER
            stack.append(row.model_digest)
        states[stack[-1]], reigns[stack[-1]] = CHAMPION, moves
    return states, reigns, stack


def _step(row: Row[Any], status: str, other: str | None, reign: int | None) -> PointerStep:
    reason = clean_lines(row.reason, SENTENCE)
    return PointerStep(status, row.created_at, reason, other, reign, row.elo_gain, row.games)


def _last_verdicts(conn: Connection, digests: Sequence[str]) -> dict[tuple[str, str], Row[Any]]:
    """The newest report of each gate on each model."""
    columns = gate_reports.c
    found: dict[tuple[str, str], Row[Any]] = {}
    for first in range(0, len(digests), _PART):
        part = columns.model_digest.in_(digests[first : first + _PART])
        last = select(func.max(columns.id)).where(part).group_by(columns.model_digest, columns.gate)
        for row in conn.execute(select(gate_reports).where(columns.id.in_(last))):
            found[row.model_digest, row.gate] = row
    return found


def generations_of(conn: Connection, digests: Sequence[str]) -> dict[str, int]:
    """The generations of those that are registered models, by digest."""
    found: dict[str, int] = {}
    for first in range(0, len(digests), _PART):
        part = models.c.digest.in_(digests[first : first + _PART])
        found.update(conn.execute(select(models.c.digest, models.c.generation).where(part)).all())
    return found


def losses_of(value: JsonValue) -> LossMeans | None:
    """The losses in a training's report; None where it has none."""
    if not isinstance(value, dict):
        return None
    total, policy, value_loss = (number(value.get(name)) for name in ("total", "policy", "value"))
    return None if total is None or policy is None or value_loss is None else LossMeans(total, policy, value_loss)
