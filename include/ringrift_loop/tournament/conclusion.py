"""How every tournament ends: ratings fitted again, one line in the history, one more on the counters."""

from __future__ import annotations

from dataclasses import dataclass

from ringrift_loop.ledger import events
from ringrift_loop.ledger.promotions import champion as champion_of
from ringrift_loop.loop import Loop
from ringrift_loop.ratings.refit import refit
from ringrift_loop.tournament.participants import evaluation_search, model_participant


@dataclass(frozen=True)
class Conclusion:
    """What a tournament leaves behind."""

    champion: str | None
    """Participant id of the champion; None before the first, or while it has no rating."""
    champion_elo: float | None
    champion_stderr: float | None
    seconds: float


def conclude(loop: Loop, variant: str, kind: str, told: str, *, started: float) -> Conclusion:
    """Refit the variant's ratings after a tournament and tell of it.

    Args:
        loop: the loop.
        variant: whose tournament.
        kind: label `type` of the metrics: `shadow` or `full`.
        told: what was played, for the history; how the champion stands is added.
        started: when it began, UTC seconds.

    Raises:
        LedgerError: the variant has no match.
    """
    table = refit(loop, variant)
    with loop.ledger.begin() as conn:
        champion = champion_of(conn, variant)
        name = None
        if champion is not None:
            name = model_participant(champion.model_digest, variant, evaluation_search(loop.config)).id
        name = name if name in table else None
        elo = None if name is None else table.elo(name)
        stderr = None if name is None else table.stderr(name)
        standing = "no champion yet" if elo is None else f"champion at {elo:.0f} ± {1.96 * (stderr or 0):.0f} Elo"
        events.record(conn, "tournament", f"{told}; {standing}", at=loop.clock(), variant=variant)
    seconds = loop.clock() - started
    loop.metrics.incr("ringrift_evaluations_total", config=variant, type=kind)
    loop.metrics.observe("ringrift_evaluation_duration_seconds", seconds, config=variant, type=kind)
    return Conclusion(name, elo, stderr, seconds)
