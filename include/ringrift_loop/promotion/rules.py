"""Whether a candidate becomes the champion: the rules, as a pure function of what is known."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from ringrift_loop.config import Promotion
from ringrift_loop.errors import GateError
from ringrift_loop.ledger.promotions import Approval

DAY_S = 86_400.0
PROMOTION, ROLLBACK = "promotion", "rollback"
"""What a person can be asked to approve."""


class ContestOutdated(GateError):  # noqa: N818 - the name says what happened
    """The champion gate judged the candidate against a model that is not the champion any more."""

    def __init__(self, message: str, variant: str) -> None:
        super().__init__(message)
        self.variant = variant


Status = Literal["promoted", "rejected", "deferred"]


@dataclass(frozen=True)
class Contest:
    """The champion gate's verdict on the candidate."""

    against: str | None
    """The champion it was judged against."""
    passed: bool
    reason: str
    gain: float | None
    """Elo."""
    games: int


@dataclass(frozen=True)
class Facts:
    """All that the rules look at, from the ledger."""

    variant: str
    champion: str | None
    """The present champion's digest."""
    regression_passed: bool | None
    """The regression gate's last verdict on the candidate; None: there is none."""
    regression_reason: str
    contest: Contest | None
    """None: the champion gate has not judged the candidate."""
    moved_at: float | None
    """When the variant's pointer last moved, UTC seconds."""
    promoted_at: tuple[float, ...]
    """Promotions of the variant within the last 24 hours, oldest first."""
    now: float
    taken_back: bool = False
    """Whether the candidate was the champion and a rollback took it back."""
    candidate: str = ""
    """Digest of the model that is decided about."""
    evidence: tuple[int, ...] = ()
    """Ids of the gates' last reports on it."""
    approval: Approval | None = None
    """The last question to a person about the variant, with its answer."""


@dataclass(frozen=True)
class Decision:
    """What to do with the candidate."""

    status: Status
    """deferred: nothing is wrong with it, but it is not its time yet."""
    reason: str
    retry_at: float | None = None
    """When a deferred candidate may be tried again, UTC seconds; None: when a person says so."""


def decide(facts: Facts, promotion: Promotion, *, hard_block: bool, by_hand: bool = False) -> Decision:
    """Return what the rules say.

    An approval comes last of what a person can give, and before what only time can: a candidate that is approved during
    a cool-down is promoted at its end, if what was approved still holds then.

    Args:
        facts: what is known.
        promotion: the configured rules.
        hard_block: whether a failed regression gate forbids a promotion.
        by_hand: a person asks: `auto_promote`, the cool-down, the daily maximum and an earlier rollback do not count,
            the gates do.

    Raises:
        ContestOutdated: the champion gate judged the candidate against another champion.
        GateError: a gate has not judged the candidate yet. That is not its fault, and it is no pass either.
    """
    if facts.taken_back and not by_hand:
        return Decision("rejected", "a rollback took it back; it comes again only by hand")
    note = _regression_note(facts, promotion)
    if promotion.regression_test and facts.regression_passed is False and hard_block:
        return Decision("rejected", f"regression gate: {facts.regression_reason}")
    if facts.champion is None:
        merits = f"first champion of the variant; {note}"
    else:
        contest = _require_contest(facts)
        flaw = _flaw(contest, promotion)
        if flaw:
            return Decision("rejected", flaw)
        merits = f"{contest.reason}; {note}"
    approved = ""
    if promotion.require_approval:
        answer = facts.approval
        if answer is None or not _is_approved(facts, answer):
            return Decision("deferred", _missing_approval(answer))
        approved = f", approved by {answer.by}" + (f": {answer.why}" if answer.why else "")
    hindrance = None if by_hand else _hindrance(facts, promotion)
    return hindrance or Decision("promoted", merits + (", by hand" if by_hand else "") + approved)


def _is_approved(facts: Facts, answer: Approval) -> bool:
    """Whether a person said yes to this very move: the same candidate, champion and reports of the gates."""
    shown = (answer.kind, answer.model_digest, answer.champion, answer.evidence)
    return answer.approved is True and shown == (PROMOTION, facts.candidate, facts.champion, facts.evidence)


def _missing_approval(answer: Approval | None) -> str:
    if answer is not None and answer.approved:
        return "the approval was for another candidate, champion or report of a gate: a person has to approve anew"
    return "promotion.require_approval is on, and no person has approved it: start ringrift_promote, which asks"


def _regression_note(facts: Facts, promotion: Promotion) -> str:
    if not promotion.regression_test:
        return "regression gate skipped: promotion.regression_test is off"
    if facts.regression_passed is None:
        raise GateError("the regression gate has not judged this model; run ringrift-loop regression-gate first")
    if facts.regression_passed:
        return "regression gate passed"
    return f"regression gate failed, recorded only (regression.hard_block is off): {facts.regression_reason}"


def _require_contest(facts: Facts) -> Contest:
    if facts.contest is None:
        raise GateError("the champion gate has not judged this model; run ringrift-loop champion-gate first")
    if facts.contest.against != facts.champion:
        against = facts.contest.against or "no champion"
        raise ContestOutdated(
            f"the champion gate judged this model against {against}, the champion is now {facts.champion}; "
            "run ringrift-loop champion-gate again",
            facts.variant,
        )
    return facts.contest


def _flaw(contest: Contest, promotion: Promotion) -> str:
    """What the candidate lacks; empty if nothing. The champion gate has the same limits; both must agree."""
    if not contest.passed:
        return f"champion gate: {contest.reason}"
    if contest.gain is None or contest.gain < promotion.elo_threshold:
        gain = "unknown" if contest.gain is None else f"{contest.gain:+.1f}"
        return f"Elo gain {gain}, promotion.elo_threshold asks for {promotion.elo_threshold:g}"
    if contest.games < promotion.min_games:
        return f"{contest.games} games against the champion, promotion.min_games asks for {promotion.min_games}"
    return ""


def _hindrance(facts: Facts, promotion: Promotion) -> Decision | None:
    if not promotion.auto_promote:
        return Decision("deferred", "promotion.auto_promote is off: promote it with ringrift-loop promote --by-hand")
    # A time in the future, from before the clock was set back, holds nobody up.
    if facts.moved_at is not None and 0.0 <= facts.now - facts.moved_at < promotion.cooldown_seconds:
        end = facts.moved_at + promotion.cooldown_seconds
        until = datetime.fromtimestamp(end, UTC).strftime("%H:%M:%S")
        return Decision("deferred", f"cool-down of {promotion.cooldown_seconds} s until {until} UTC", end)
    promoted_at = [at for at in facts.promoted_at if at <= facts.now]
    if len(promoted_at) >= promotion.max_promotions_per_day:
        end = promoted_at[-promotion.max_promotions_per_day] + DAY_S
        limit = f"{len(promoted_at)} promotions in 24 hours, {promotion.max_promotions_per_day} are allowed"
        return Decision("deferred", limit, end)
    return None
