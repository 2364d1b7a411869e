"""The champion pointer and its history; the pointer moves only together with its history row.

Beside it the generator: the model that self-play uses, where that is a candidate and not the champion.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from sqlalchemy import Connection, func, insert, select, update

from ringrift_loop.errors import LedgerError
from ringrift_loop.ledger import models, state
from ringrift_loop.ledger.schema import champions, promotions

PROMOTED = "promoted"
REJECTED = "rejected"
ROLLED_BACK = "rolled_back"
_GENERATOR = "generator:{variant}"
_DEFERRED = "waiting-candidate:{variant}"
_APPROVAL = "approval:{variant}"  # the last question, with its answer once there is one


@dataclass(frozen=True)
class Champion:
    """The model that a variant is played with."""

    variant: str
    model_digest: str
    generation: int  # counts promotions of the variant: 1, 2, 3, ...
    promoted_at: float


@dataclass(frozen=True)
class Promotion:
    """One decision about a model."""

    id: int
    variant: str
    model_digest: str
    previous_digest: str | None
    status: str  # PROMOTED, REJECTED or ROLLED_BACK
    reason: str
    elo_gain: float | None
    games: int
    created_at: float


@dataclass(frozen=True)
class Approval:
    """A move of a variant's pointer that a person was asked about, and the answer.

    It is worth as much as what it was shown: with another champion or other reports of the gates it counts no more.
    """

    kind: str  # "promotion" or "rollback"
    model_digest: str  # that would become the champion
    champion: str | None  # that it would take over from
    evidence: tuple[int, ...]  # ids of the gates' last reports on the model
    run: str  # who asks: `dag_id/run_id`, or the command line
    asked_at: float
    until: float  # nobody waits for the answer any more after this time
    approved: bool | None = None  # None: no answer yet
    by: str | None = None
    why: str | None = None


def champion(conn: Connection, variant: str) -> Champion | None:
    """The variant's champion; None before its first."""
    row = conn.execute(select(champions).where(champions.c.variant == variant)).first()
    return None if row is None else Champion(**row._mapping)


def all_champions(conn: Connection) -> dict[str, Champion]:
    """Champions by variant."""
    return {row.variant: Champion(**row._mapping) for row in conn.execute(select(champions))}


def generators(conn: Connection) -> dict[str, Champion]:
    """What self-play plays each variant with: its champion, or the candidate that was chosen since it became that."""
    return {variant: _generator(conn, champion) for variant, champion in all_champions(conn).items()}


def choose_generator(conn: Connection, variant: str, model_digest: str | None, *, at: float) -> None:
    """Let a candidate make the variant's self-play games until there is another champion; None: the champion does.

    Raises:
        LedgerError: the model is not registered for the variant, or the variant has no champion.
    """
    if champion(conn, variant) is None:
        raise LedgerError(f"{variant} has no champion yet, so it needs no other generator")
    if model_digest is not None:
        model = models.get(conn, model_digest)
        if model is None or model.variant != variant:
            raise LedgerError(f"{model_digest} is not a registered model of {variant}")
    state.put(conn, _GENERATOR.format(variant=variant), model_digest, at=at)


def _generator(conn: Connection, champion: Champion) -> Champion:
    chosen = state.get(conn, _GENERATOR.format(variant=champion.variant))
    return replace(champion, model_digest=chosen) if isinstance(chosen, str) else champion


def promote(
    conn: Connection,
    variant: str,
    model_digest: str,
    *,
    reason: str,
    elo_gain: float | None,
    games: int,
    at: float,
    status: str = PROMOTED,
) -> Champion:
    """Make a model the champion, and the generator: swap the pointer and append to the history, in one transaction.

    Args:
        conn: the transaction.
        variant: whose champion.
        model_digest: a registered model of that variant.
        reason: why, for people.
        elo_gain: measured advantage over the previous champion, Elo; None for the first.
        games: games that the decision rests on.
        at: UTC seconds.
        status: PROMOTED, or ROLLED_BACK when an earlier champion returns.

    Raises:
        LedgerError: the model is not registered for the variant, or is already its champion.
    """
    if status not in (PROMOTED, ROLLED_BACK):
        raise LedgerError(f"a new champion is {PROMOTED!r} or {ROLLED_BACK!r}, got {status!r}")
    model = models.get(conn, model_digest)
    if model is None or model.variant != variant:
        raise LedgerError(f"{model_digest} is not a registered model of {variant}")
    previous = champion(conn, variant)
    if previous is not None and previous.model_digest == model_digest:
        raise LedgerError(f"{model_digest} is already the champion of {variant}")
    new = Champion(variant, model_digest, 1 if previous is None else previous.generation + 1, at)
    if previous is None:
        conn.execute(insert(champions).values(vars(new)))
    else:
        conn.execute(update(champions).where(champions.c.variant == variant).values(vars(new)))
    before = None if previous is None else previous.model_digest
    _append(conn, variant, model_digest, before, status, reason, elo_gain, games, at)
    if state.get(conn, _GENERATOR.format(variant=variant)) is not None:
        state.put(conn, _GENERATOR.format(variant=variant), None, at=at)
    return new


def reject(
    conn: Connection, variant: str, model_digest: str, *, reason: str, elo_gain: float | None, games: int, at: float
) -> bool:
    """Record that a model was not promoted; the pointer stays.

    Returns:
        False when the last decision about the model was the same, and nothing was written.
    """
    decisions = of_model(conn, model_digest)
    if decisions and (decisions[0].status, decisions[0].reason) == (REJECTED, reason):
        return False
    current = champion(conn, variant)
    before = None if current is None else current.model_digest
    _append(conn, variant, model_digest, before, REJECTED, reason, elo_gain, games, at)
    return True


def pointers(conn: Connection, variant: str) -> list[str]:
    """Digests of the variant's champions: the present one, the one it took over from, and so on.

    Models that a rollback took back are left out, so that two rollbacks in a row lead two champions back.
    """
    query = (
        select(promotions.c.status, promotions.c.model_digest)
        .where(promotions.c.variant == variant, promotions.c.status.in_((PROMOTED, ROLLED_BACK)))
        .order_by(promotions.c.id)
    )
    stack: list[str] = []
    for status, digest in conn.execute(query):
        if status == ROLLED_BACK and digest in stack:
            while stack[-1] != digest:
                stack.pop()
        else:
            stack.append(digest)
    return stack[::-1]


def taken_back(conn: Connection, variant: str, model_digest: str) -> bool:
    """Whether a rollback took the model back, and nobody has made it the champion again since."""
    query = select(promotions.c.model_digest).where(
        promotions.c.variant == variant, promotions.c.status.in_((PROMOTED, ROLLED_BACK))
    )
    return model_digest not in pointers(conn, variant) and model_digest in set(conn.execute(query).scalars())


def last_promoted_at(conn: Connection, variant: str) -> float | None:
    """When the variant's pointer last moved."""
    query = select(func.max(promotions.c.created_at)).where(
        promotions.c.variant == variant, promotions.c.status.in_((PROMOTED, ROLLED_BACK))
    )
    at: float | None = conn.execute(query).scalar_one()
    return at


def promoted_since(conn: Connection, variant: str, since: float) -> tuple[float, ...]:
    """When the variant had promotions after `since`, oldest first."""
    query = (
        select(promotions.c.created_at)
        .where(
            promotions.c.variant == variant,
            promotions.c.status == PROMOTED,
            promotions.c.created_at > since,
        )
        .order_by(promotions.c.created_at)
    )
    return tuple(conn.execute(query).scalars())


def of_model(conn: Connection, model_digest: str) -> list[Promotion]:
    """Decisions about one model, newest first."""
    query = select(promotions).where(promotions.c.model_digest == model_digest).order_by(promotions.c.id.desc())
    return [Promotion(**row._mapping) for row in conn.execute(query)]


def count(conn: Connection, *, variant: str | None = None, status: str = PROMOTED) -> int:
    """Decisions with this status."""
    query = select(func.count()).where(promotions.c.status == status)
    if variant is not None:
        query = query.where(promotions.c.variant == variant)
    return conn.execute(query.select_from(promotions)).scalar_one()


def deferred(conn: Connection, variant: str) -> str | None:
    """The candidate that waits for the end of a cool-down or of a day with its most promotions; the last one counts."""
    found = state.get(conn, _DEFERRED.format(variant=variant))
    return found if isinstance(found, str) else None


def defer(conn: Connection, variant: str, model_digest: str | None, *, at: float) -> None:
    """Keep the candidate that waits, in the place of the last one; None: none does."""
    if deferred(conn, variant) != model_digest:
        state.put(conn, _DEFERRED.format(variant=variant), model_digest, at=at)


def approval(conn: Connection, variant: str) -> Approval | None:
    """The last question about the variant's pointer that still matters, answered or not."""
    found = state.get(conn, _APPROVAL.format(variant=variant))
    if not isinstance(found, dict):
        return None
    return Approval(**{**found, "evidence": tuple(found["evidence"])})  # type: ignore[arg-type]


def set_approval(conn: Connection, variant: str, value: Approval | None, *, at: float) -> None:
    """Keep a question or its answer in the place of the last one; None forgets it."""
    key = _APPROVAL.format(variant=variant)
    if value is not None:
        state.put(conn, key, {**asdict(value), "evidence": list(value.evidence)}, at=at)
    elif state.get(conn, key) is not None:
        state.put(conn, key, None, at=at)


def _append(
    conn: Connection,
    variant: str,
    digest: str,
    before: str | None,
    status: str,
    reason: str,
    elo_gain: float | None,
    games: int,
    at: float,
) -> None:
    conn.execute(
        insert(promotions).values(
            variant=variant,
            model_digest=digest,
            previous_digest=before,
            status=status,
            reason=reason,
            elo_gain=elo_gain,
            games=games,
            created_at=at,
        )
    )
