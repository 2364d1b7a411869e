"""The games of the regression gate: a model against copies of each baseline, in every seat equally often."""

from __future__ import annotations

from ringrift_loop.engine.rules import variant as variant_of
from ringrift_loop.ledger.matches import MatchRow
from ringrift_loop.loop import Loop
from ringrift_loop.promotion.subject import Subject
from ringrift_loop.tournament.arena import Arena, EngineArena
from ringrift_loop.tournament.blocks import paired_block
from ringrift_loop.tournament.participants import baseline_id
from ringrift_loop.tournament.store import LedgerShelf, MemoryShelf, Shelf, completed

PURPOSE = "gate"


class GateGames:
    """Plays the games when they are first asked for."""

    def __init__(self, loop: Loop, subject: Subject, arena: Arena | None = None) -> None:
        """Play nothing yet.

        Args:
            loop: the loop.
            subject: the model under test; the games of a registered one go to the match log.
            arena: where to play; default: the rules engine.
        """
        self._subject = subject
        self._players = variant_of(subject.variant).players
        self._blocks = -(-loop.config.regression.games // self._players)
        self._arena = arena or EngineArena(loop, folders={subject.digest: str(subject.folder)})
        self._shelf: Shelf = LedgerShelf(loop) if subject.registered else MemoryShelf()

    def against(self, baseline: str, deadline: float) -> list[MatchRow]:
        """Return at least `regression.games` games against the baseline, each seat equally often.

        Raises:
            TimeoutError: the deadline, in UTC seconds, passed first; finished blocks are kept.
            IllegalMoveError: a player chose a move that is not legal.
        """
        name, variant = self._subject.participant, self._subject.variant
        other = baseline_id(baseline, variant)
        plans = [paired_block(variant, PURPOSE, name, other, self._players, seed) for seed in range(self._blocks)]
        return completed(self._shelf, self._arena, plans, deadline=deadline)
