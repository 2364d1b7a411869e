"""Making a candidate the champion, or saying why not; and returning to the previous champion.

The rules are in rules.py. What they look at, the decision and the new pointer are one transaction: two processes
cannot both use the last free promotion of the day, and a crash leaves the old champion in place.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from ringrift_loop.errors import ConfigError, GateError, LedgerError
from ringrift_loop.ledger import events, gates, models, promotions, state
from ringrift_loop.loop import Loop
from ringrift_loop.promotion.rules import DAY_S, ROLLBACK, Contest, Decision, Facts, decide
from ringrift_loop.text import one_line

_log = logging.getLogger(__name__)
KEPT = "kept"
IMPORTED = "imported"
"""Kind of the event when a model comes from elsewhere."""
_ROLLBACK = "rollback:{variant}"  # who asked for the last one
_TOLD = 20  # events about promotions that are looked back at


@dataclass(frozen=True)
class PromotionRecord:
    """What became of a candidate."""

    variant: str
    model_digest: str
    previous_digest: str | None
    """The champion before the decision."""
    status: str
    """promoted, rejected, deferred, rolled_back; or kept: it is the champion already."""
    reason: str
    elo_gain: float | None
    games: int
    generation: int | None
    """Of the variant's champion after the decision; None if it has none."""
    retry_at: float | None
    """When a deferred candidate may be tried again, UTC seconds."""


def promote(
    loop: Loop, digest: str, *, variant: str | None = None, by_hand: bool = False, said: str = ""
) -> PromotionRecord:
    """Decide about a candidate from the gates' reports in the ledger, and act on it.

    Doing it again changes nothing: a champion is kept, a rejection is not recorded twice. A candidate that is deferred
    to a time is promoted then by `promote_waiting`, which every sync calls.

    Args:
        loop: the loop.
        digest: a registered model.
        variant: the one that whoever asks takes it to be of; None: it may be of any.
        by_hand: a person asks; see `rules.decide`.
        said: who that is and why, for the history of a promotion.

    Raises:
        ConfigError: it is of another variant.
        LedgerError: the model is not registered.
        GateError: a gate that must judge the candidate has not done so.
    """
    with loop.ledger.begin() as conn:
        model = models.get(conn, digest)
        if model is None:
            raise LedgerError(f"no model {digest} is registered")
        if variant not in (None, model.variant):
            raise ConfigError(f"the model {digest} is of {model.variant}, not of {variant}")
        variant, now = model.variant, loop.clock()
        facts = facts_about(conn, variant, digest, now)
        if facts.champion == digest:
            champion = promotions.champion(conn, variant)
            generation = champion.generation if champion else None
            return PromotionRecord(variant, digest, digest, KEPT, "already the champion", None, 0, generation, None)
        config = loop.config
        decision = decide(facts, config.promotion, hard_block=config.regression.hard_block, by_hand=by_hand)
        if said and decision.status == promotions.PROMOTED:
            decision = replace(decision, reason=f"{decision.reason} ({one_line(said)})")
        record = _act(conn, loop, variant, digest, facts, decision)
    _emit(loop, record)
    return record


def promote_waiting(loop: Loop) -> list[PromotionRecord]:
    """Promote the candidates whose cool-down or daily maximum is over; gives what became of those whose time has come.

    Of a variant only the candidate that was deferred last waits; whoever becomes champion before, it waits no longer.
    """
    with loop.ledger.read() as conn:
        if state.halted(conn):
            return []
        waiting = {variant: promotions.deferred(conn, variant) for variant in loop.config.variants}
    decided = []
    for variant, digest in waiting.items():
        if digest is not None:
            try:
                record = promote(loop, digest, variant=variant)
            except GateError as error:  # another verdict of a gate has come since
                _log.warning("%s: %s waits for its promotion no longer: %s", variant, digest[:12], error)
                with loop.ledger.begin() as conn:
                    promotions.defer(conn, variant, None, at=loop.clock())
            else:
                decided += [record] if record.status != "deferred" else []
    return decided


def rollback(
    loop: Loop, variant: str, reason: str, *, key: str | None = None, only: str | None = None
) -> PromotionRecord:
    """Make the champion before the present one the champion again.

    Args:
        loop: the loop.
        variant: whose champion.
        reason: why, in a person's words.
        key: identifies whoever asks, such as the id of a DAG run: asking again with it goes back no further.
        only: the champion that shall go; another one is kept.

    Raises:
        GateError: there is none to go back to, or `promotion.require_approval` is on and nobody approved this step.
    """
    with loop.ledger.begin() as conn:
        champion = promotions.champion(conn, variant)
        if champion is not None and is_rolled_back(conn, variant, key):
            digest, generation = champion.model_digest, champion.generation
            return PromotionRecord(variant, digest, None, KEPT, "rolled back already", None, 0, generation, None)
        if champion is not None and only not in (None, champion.model_digest):
            digest, generation = champion.model_digest, champion.generation
            return PromotionRecord(variant, digest, None, KEPT, "another champion", None, 0, generation, None)
        pointers = step_back(conn, variant)
        reason += _approved_by(conn, loop, variant, pointers)
        now = loop.clock()
        status = promotions.ROLLED_BACK
        champion = promotions.promote(
            conn, variant, pointers[1], reason=reason, elo_gain=None, games=0, at=now, status=status
        )
        message = f"{variant} rolled back from {pointers[0][:12]} to {pointers[1][:12]}: {reason}"
        loop.record(conn, "promotion", message, variant=variant, model=pointers[1])
        state.put(conn, _ROLLBACK.format(variant=variant), key, at=now)
        promotions.defer(conn, variant, None, at=now)
        promotions.set_approval(conn, variant, None, at=now)
    record = PromotionRecord(variant, pointers[1], pointers[0], status, reason, None, 0, champion.generation, None)
    _emit(loop, record)
    return record


def promote_imported(conn: Connection, loop: Loop, variant: str, digest: str, origin: str) -> bool:
    """Make a model from elsewhere the champion of a variant that has none, in the transaction that registers it.

    No gate of this loop has judged it; the history says so. Candidates have to beat it from then on.

    Args:
        conn: a write transaction.
        loop: the loop.
        variant: whose champion.
        digest: a registered model of the variant.
        origin: where it came from, for people.

    Returns:
        Whether it is the champion now; False when the variant has another.
    """
    if promotions.champion(conn, variant) is not None:
        return False
    reason = f"imported from {origin}; no gate of this loop has judged it"
    promotions.promote(conn, variant, digest, reason=reason, elo_gain=None, games=0, at=loop.clock())
    message = f"{variant}: {digest[:12]} imported from {origin} as its first champion"
    loop.record(conn, IMPORTED, message, variant=variant, model=digest)
    return True


def is_rolled_back(conn: Connection, variant: str, key: str | None) -> bool:
    """Whether whoever asks with this key has had the rollback already."""
    return key is not None and state.get(conn, _ROLLBACK.format(variant=variant)) == key


def step_back(conn: Connection, variant: str) -> tuple[str, str]:
    """The champion, and the one that a rollback leads to.

    Raises:
        GateError: there is none to go back to.
    """
    pointers = promotions.pointers(conn, variant)
    if len(pointers) < 2:
        raise GateError(f"{variant} has had {len(pointers)} champions; there is none to go back to")
    return pointers[0], pointers[1]


def _approved_by(conn: Connection, loop: Loop, variant: str, pointers: tuple[str, str]) -> str:
    """Who approved this very step back, to be added to its reason; empty when nobody has to."""
    if not loop.config.promotion.require_approval:
        return ""
    answer = promotions.approval(conn, variant)
    shown = None if answer is None else (answer.kind, answer.champion, answer.model_digest)
    if answer is None or answer.approved is not True or shown != (ROLLBACK, *pointers):
        raise GateError(
            f"promotion.require_approval is on, and no person has approved going back from {pointers[0][:12]} to "
            f"{pointers[1][:12]}: start ringrift_rollback, which asks"
        )
    return f" (approved by {answer.by}" + (f": {answer.why})" if answer.why else ")")


def facts_about(conn: Connection, variant: str, digest: str, now: float) -> Facts:
    """What the rules look at, from the ledger."""
    champion = promotions.champion(conn, variant)
    regression = gates.latest(conn, model_digest=digest, gate=gates.REGRESSION)
    contest = gates.latest(conn, model_digest=digest, gate=gates.CHAMPION)
    return Facts(
        variant=variant,
        champion=None if champion is None else champion.model_digest,
        regression_passed=None if regression is None else regression.passed,
        regression_reason="" if regression is None else _failures(regression),
        contest=None if contest is None else _contest(contest),
        moved_at=promotions.last_promoted_at(conn, variant),
        promoted_at=promotions.promoted_since(conn, variant, now - DAY_S),
        now=now,
        taken_back=promotions.taken_back(conn, variant, digest),
        candidate=digest,
        evidence=tuple(row.id for row in (regression, contest) if row is not None),
        approval=promotions.approval(conn, variant),
    )


def _failures(row: gates.GateRow) -> str:
    tests = row.report["tests"]
    assert isinstance(tests, list)
    failed = [test for test in tests if isinstance(test, dict) and not test["passed"]]
    return "; ".join(f"{test['name']}: {test['detail']}" for test in failed) or "not every test was run"


def _contest(row: gates.GateRow) -> Contest:
    report = row.report
    champion, gain, games, reasons = (report[key] for key in ("champion_digest", "gain", "games", "reasons"))
    assert isinstance(games, int)
    assert isinstance(reasons, list)
    return Contest(
        against=None if champion is None else str(champion),
        passed=row.passed,
        reason="; ".join(str(reason) for reason in reasons),
        gain=float(gain) if isinstance(gain, int | float) else None,
        games=games,
    )


def _act(conn: Connection, loop: Loop, variant: str, digest: str, facts: Facts, decision: Decision) -> PromotionRecord:
    gain, games = (facts.contest.gain, facts.contest.games) if facts.contest else (None, 0)
    champion = promotions.champion(conn, variant)
    message = f"{variant}: {digest[:12]} {decision.status}. {decision.reason}"
    # A deferred candidate is tried at every sync and any task may be repeated: what was told is not told again.
    told = {event.message for event in events.latest(conn, kind="promotion", limit=_TOLD)}
    is_news = decision.status == promotions.PROMOTED or message not in told
    if decision.status == promotions.PROMOTED:
        champion = promotions.promote(
            conn, variant, digest, reason=decision.reason, elo_gain=gain, games=games, at=facts.now
        )
        promotions.defer(conn, variant, None, at=facts.now)
        promotions.set_approval(conn, variant, None, at=facts.now)  # it was for this move, and is used up
    elif decision.status == promotions.REJECTED:
        if promotions.deferred(conn, variant) == digest:
            promotions.defer(conn, variant, None, at=facts.now)
        promotions.reject(conn, variant, digest, reason=decision.reason, elo_gain=gain, games=games, at=facts.now)
    elif decision.retry_at is not None:
        promotions.defer(conn, variant, digest, at=facts.now)
    if is_news:
        loop.record(conn, "promotion", message, variant=variant, model=digest)
    return PromotionRecord(
        variant=variant,
        model_digest=digest,
        previous_digest=facts.champion,
        status=decision.status,
        reason=decision.reason,
        elo_gain=gain,
        games=games,
        generation=None if champion is None else champion.generation,
        retry_at=decision.retry_at,
    )


def _emit(loop: Loop, record: PromotionRecord) -> None:
    if record.status in (promotions.PROMOTED, promotions.REJECTED, promotions.ROLLED_BACK):
        loop.metrics.incr("ringrift_promotions_total", config=record.variant, status=record.status)
    if record.status == promotions.PROMOTED and record.elo_gain is not None:
        loop.metrics.observe("ringrift_elo_gain_on_promotion", record.elo_gain, config=record.variant)
