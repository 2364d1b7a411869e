"""The games of the regression gate: a model against copies of each baseline, in every seat equally often."""

from __future__ import annotations

from collections.abc import Callable

from ringrift_loop.config.schema import Regression
from ringrift_loop.engine.rules import variant as variant_of
from ringrift_loop.ledger.matches import MatchRow
from ringrift_loop.loop import Loop
from ringrift_loop.promotion.subject import Subject
from ringrift_loop.ratings.floors import FloorRule
from ringrift_loop.tournament.arena import Arena, EngineArena
from ringrift_loop.tournament.blocks import paired_block
from ringrift_loop.tournament.participants import baseline_id
from ringrift_loop.tournament.store import LedgerShelf, MemoryShelf, Shelf, completed

PURPOSE = "gate"


def rule_of(limits: Regression, baseline: str, players: int) -> FloorRule:
    """How many games against the baseline are enough, and for what."""
    floors = {"random": limits.min_win_rate_random, "heuristic": limits.min_win_rate_heuristic}[baseline]
    return FloorRule(limits.games, players, floors[players])


def games_won(subject: Subject, rows: list[MatchRow]) -> int:
    """The games that the model won; one that was cut off is not won."""
    return sum(row.winner == row.seats.index(subject.participant) + 1 for row in rows)


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
        self._limits = loop.config.regression
        self._arena = arena or EngineArena(loop, folders={subject.digest: str(subject.folder)})
        self._shelf: Shelf = LedgerShelf(loop) if subject.registered else MemoryShelf()

    def against(self, baseline: str, deadline: Callable[[], float]) -> list[MatchRow]:
        """Return the games against the baseline, each seat equally often: as many as the rule of its floor asks for.

        Args:
            baseline: such as `random`.
            deadline: UTC seconds; asked before each portion of games.

        Raises:
            TimeoutError: the deadline passed first; finished blocks are kept.
            IllegalMoveError: a player chose a move that is not legal.
        """
        name, variant = self._subject.participant, self._subject.variant
        other, players = baseline_id(baseline, variant), variant_of(variant).players
        rule = rule_of(self._limits, baseline, players)
        rows: list[MatchRow] = []
        for games in rule.looks:
            seeds = range(games // players)
            plans = [paired_block(variant, PURPOSE, name, other, players, seed) for seed in seeds]
            rows = completed(self._shelf, self._arena, plans, deadline=deadline())
            if rule.judge(games, games_won(self._subject, rows)) != "continue":
                break
        return rows
