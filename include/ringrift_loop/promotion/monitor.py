"""What follows from the watch over a champion: one that turned out weaker than its predecessor is rolled back."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from ringrift_loop.engine.rules import variant as variant_of
from ringrift_loop.ledger import promotions, state
from ringrift_loop.loop import Loop
from ringrift_loop.promotion.promote import PromotionRecord, rollback
from ringrift_loop.ratings.sprt import watch_rates
from ringrift_loop.tournament.watch import RULE, champion_watch

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WatchReport:
    """What the watch says of a champion, and what came of it."""

    champion: str
    """Digest of the model that is watched."""
    predecessor: str
    answer: str
    """`worse`, `sound` or `open`."""
    llr: float
    """Log-likelihood ratio of no loss of strength to one of 25 Elo."""
    games: int
    """Shadow games between the two that the answer rests on."""
    rollback: PromotionRecord | None


def watch_champion(loop: Loop, variant: str) -> WatchReport | None:
    """Ask the watch about the variant's champion, and roll it back if it is worse; None without a predecessor.

    With `promotion.auto_rollback` off or `promotion.require_approval` on, or while the loop is halted, it only says so.
    """
    with loop.ledger.read() as conn:
        pair = promotions.pointers(conn, variant)[:2]
        seen = champion_watch(conn, loop.config, variant)
        halted = state.halted(conn)
    if seen is None:
        return None
    champion, predecessor = pair
    players = variant_of(variant).players
    games, record = seen.blocks * players, None
    if seen.answer == "worse":
        rates = watch_rates(RULE, players).sentence()
        reason = f"weaker than its predecessor by {games} shadow games, log-likelihood ratio {seen.llr:.2f}; {rates}"
        rules = loop.config.promotion
        if rules.auto_rollback and not rules.require_approval and not halted:
            record = rollback(loop, variant, reason, key=f"watch:{champion}", only=champion)
        else:
            _log.warning("%s: the champion %s is %s; it is not rolled back by itself", variant, champion[:12], reason)
    return WatchReport(champion, predecessor, seen.answer, seen.llr, games, record)
