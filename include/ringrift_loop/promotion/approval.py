"""Asking a person before the champion pointer moves, when `promotion.require_approval` is on.

The question and its answer stand in the ledger, with what the person was shown: candidate, champion and the gates'
reports. Whoever moves the pointer looks at them again in the transaction of the move (`rules.decide`,
`promote.rollback`), so an answer counts for nothing else, however late it comes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from ringrift_loop.config import Promotion
from ringrift_loop.errors import ConfigError, GateError, LedgerError
from ringrift_loop.ledger import models, promotions
from ringrift_loop.ledger.promotions import Approval
from ringrift_loop.loop import Loop
from ringrift_loop.promotion.promote import facts_about, is_rolled_back, step_back
from ringrift_loop.promotion.rules import PROMOTION, ROLLBACK, decide
from ringrift_loop.text import clean

_log = logging.getLogger(__name__)

_EVENT = "approval"
_WHY_LETTERS = 500
COMMAND_LINE = "command line"
"""Who asks when a person acts on the command line: the answer is in the act."""


@dataclass(frozen=True)
class Question:
    """What a person is asked."""

    variant: str
    model_digest: str
    subject: str
    """One line."""
    body: str
    """What speaks for it, in Markdown."""


def ask_promotion(
    loop: Loop, digest: str, *, variant: str | None = None, by_hand: bool = False, run: str, wait_s: float
) -> Question | None:
    """The question that a person has to answer before a candidate can be promoted; it is written down.

    Args:
        loop: the loop.
        digest: a registered model.
        variant: the one that it must be of; None: any.
        by_hand: a person wants it: a question about another candidate is withdrawn, `auto_promote` does not count.
        run: who asks: `dag_id/run_id`.
        wait_s: how long the answer is waited for, s.

    Returns:
        None when there is nothing to ask: no approval is required, it is given, the candidate is rejected by the gates
        or waits for a person to start its promotion, or another candidate waits for its answer.

    Raises:
        ConfigError, LedgerError, GateError: as `promote.promote`.
    """
    if not loop.config.promotion.require_approval:
        return None
    with loop.ledger.begin() as conn:
        wanted = _promotion(conn, loop, digest, variant, by_hand=by_hand, run=run, wait_s=wait_s)
        if wanted is None:
            return None
        variant, asked, merits = wanted
        before = promotions.approval(conn, variant)
        if before is not None and _same(before, asked) and before.approved:
            _log.info("%s is approved already by %s", digest[:12], before.by)
            return None
        if before is not None and not by_hand and _waits(conn, variant, before, loop.clock()):
            told = f"{before.model_digest[:12]} is approved by {before.by} and waits for its promotion"
            _log.info("%s is not asked about: %s", digest[:12], told)
            return None
        is_open = before is not None and before.approved is None and before.until > loop.clock()
        if before is not None and is_open and before.run != run and not by_hand:
            _log.info("%s is not asked about: %s waits for its answer", digest[:12], before.model_digest[:12])
            return None
        subject = f"Make {_name(conn, digest)} the champion of {variant}?"
        _write(conn, loop, variant, asked, f"{variant}: {digest[:12]} waits for a person's approval, asked by {run}")
        over = "It is the first champion." if asked.champion is None else f"It replaces {_name(conn, asked.champion)}."
        return Question(variant, digest, subject, f"{over}\n\n{clean(merits, 4 * _WHY_LETTERS)}")


def ask_rollback(loop: Loop, variant: str, reason: str, *, key: str, run: str, wait_s: float) -> Question | None:
    """The question that a person has to answer before a rollback; arguments as for `ask_promotion` and `rollback`.

    Raises:
        GateError: there is no champion to go back to.
    """
    if not loop.config.promotion.require_approval:
        return None
    with loop.ledger.begin() as conn:
        if is_rolled_back(conn, variant, key):
            return None
        asked = _rollback(conn, loop, variant, run=run, wait_s=wait_s)
        present, former = _name(conn, asked.champion or ""), _name(conn, asked.model_digest)
        message = f"{variant}: going back to {asked.model_digest[:12]} waits for a person's approval, asked by {run}"
        _write(conn, loop, variant, asked, message)
    subject = f"Roll {variant} back from {present} to {former}?"
    return Question(variant, asked.model_digest, subject, f"Reason given: {clean(reason, _WHY_LETTERS)}")


def answer(loop: Loop, variant: str, *, run: str, approved: bool, by: str, why: str) -> None:
    """Write down what a person said; a no to a promotion is a rejection in its history.

    Args:
        loop: the loop.
        variant: which was asked about.
        run: who asked.
        approved: the answer.
        by: whose it is.
        why: in the person's words; may be empty.

    Raises:
        GateError: the question is not open any more: another one took its place, or its time is over.
    """
    by, why, now = clean(by, 100), clean(why.strip(), _WHY_LETTERS), loop.clock()
    with loop.ledger.begin() as conn:
        asked = promotions.approval(conn, variant)
        if asked is None or asked.run != run:
            raise GateError(f"the question of {run} about {variant} is not open any more: another one took its place")
        answered = replace(asked, approved=approved, by=by, why=why)
        if answered == asked:
            return  # the task is repeated
        promotions.set_approval(conn, variant, answered, at=now)
        word = "approved" if approved else "turned down"
        said = f"{by} {word} the {asked.kind} of {asked.model_digest[:12]}" + (f": {why}" if why else "")
        _record(conn, loop, variant, asked, f"{variant}: {said}", by=by, why=why, approved=approved)
        if not approved and asked.kind == PROMOTION:
            reason = f"not approved by {by}" + (f": {why}" if why else "")
            promotions.reject(conn, variant, asked.model_digest, reason=reason, elo_gain=None, games=0, at=now)
    if not approved and asked.kind == PROMOTION:
        loop.metrics.incr("ringrift_promotions_total", config=variant, status=promotions.REJECTED)


def withdraw(loop: Loop, variant: str, *, run: str) -> None:
    """Forget a question that nobody has answered in time; another one stays."""
    with loop.ledger.begin() as conn:
        asked = promotions.approval(conn, variant)
        if asked is not None and asked.run == run and asked.approved is None:
            promotions.set_approval(conn, variant, None, at=loop.clock())
            message = f"{variant}: nobody answered whether {asked.model_digest[:12]} becomes the champion"
            _record(conn, loop, variant, asked, message)


def approve_promotion_by_hand(loop: Loop, digest: str, *, variant: str | None, by: str) -> None:
    """Write down the approval that lies in a person's own `promote --by-hand`; nothing where none is required.

    Raises:
        ConfigError, LedgerError, GateError: as `promote.promote`.
    """
    _by_hand(loop, by, lambda conn: _promotion(conn, loop, digest, variant, by_hand=True, run=COMMAND_LINE, wait_s=0.0))


def approve_rollback_by_hand(loop: Loop, variant: str, *, by: str) -> None:
    """Write down the approval that lies in a person's own `rollback`; nothing where none is required.

    Raises:
        GateError: there is no champion to go back to.
    """
    _by_hand(loop, by, lambda conn: (variant, _rollback(conn, loop, variant, run=COMMAND_LINE, wait_s=0.0), ""))


def _by_hand(loop: Loop, by: str, wanted: Callable[[Connection], tuple[str, Approval, str] | None]) -> None:
    if not loop.config.promotion.require_approval:
        return
    with loop.ledger.begin() as conn:
        found = wanted(conn)
        if found is not None:
            variant, asked, _ = found
            given = replace(asked, approved=True, by=clean(by, 100), why=f"on the {COMMAND_LINE}")
            promotions.set_approval(conn, variant, given, at=loop.clock())
            message = f"{variant}: {given.by} approved the {asked.kind} of {asked.model_digest[:12]} {given.why}"
            _record(conn, loop, variant, asked, message, by=given.by, why=given.why, approved=True)


def _promotion(
    conn: Connection, loop: Loop, digest: str, variant: str | None, *, by_hand: bool, run: str, wait_s: float
) -> tuple[str, Approval, str] | None:
    """Variant, question and merits of a promotion that nothing but an approval and time keeps back."""
    model = models.get(conn, digest)
    if model is None:
        raise LedgerError(f"no model {digest} is registered")
    if variant not in (None, model.variant):
        raise ConfigError(f"the model {digest} is of {model.variant}, not of {variant}")
    now, rules = loop.clock(), loop.config.promotion
    facts = facts_about(conn, model.variant, digest, now)
    if facts.champion == digest or not (by_hand or (rules.auto_promote and not facts.taken_back)):
        return None
    merits = decide(facts, _without_approval(rules), hard_block=loop.config.regression.hard_block, by_hand=True)
    if merits.status != "promoted":
        return None
    asked = Approval(PROMOTION, digest, facts.champion, facts.evidence, run, asked_at=now, until=now + wait_s)
    return model.variant, asked, merits.reason


def _rollback(conn: Connection, loop: Loop, variant: str, *, run: str, wait_s: float) -> Approval:
    present, former = step_back(conn, variant)
    now = loop.clock()
    return Approval(ROLLBACK, former, present, (), run, asked_at=now, until=now + wait_s)


def _without_approval(rules: Promotion) -> Promotion:
    return replace(rules, require_approval=False)


def _waits(conn: Connection, variant: str, given: Approval, now: float) -> bool:
    """Whether an approved candidate waits for its time, which each sync looks at, and what was shown is still so."""
    if given.kind != PROMOTION or not given.approved or promotions.deferred(conn, variant) != given.model_digest:
        return False
    facts = facts_about(conn, variant, given.model_digest, now)
    return (facts.champion, facts.evidence) == (given.champion, given.evidence)


def _same(one: Approval, other: Approval) -> bool:
    return (one.kind, one.model_digest, one.champion, one.evidence) == (
        other.kind,
        other.model_digest,
        other.champion,
        other.evidence,
    )


def _name(conn: Connection, digest: str) -> str:
    model = models.get(conn, digest)
    return digest[:12] if model is None else f"generation {model.generation} ({digest[:12]})"


def _write(conn: Connection, loop: Loop, variant: str, asked: Approval, message: str) -> None:
    promotions.set_approval(conn, variant, asked, at=asked.asked_at)
    _record(conn, loop, variant, asked, message)


def _record(
    conn: Connection, loop: Loop, variant: str, asked: Approval, message: str, **data: str | bool | None
) -> None:
    loop.record(conn, _EVENT, message, variant=variant, model=asked.model_digest, champion=asked.champion, **data)
