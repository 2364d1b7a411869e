"""Where played blocks are kept: in the match log, or in memory for a model that the ledger does not know."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Protocol

from sqlalchemy import Connection

from ringrift_loop.errors import LedgerError
from ringrift_loop.ledger import matches, models
from ringrift_loop.ledger.matches import MatchRow, Participant
from ringrift_loop.loop import Loop
from ringrift_loop.tournament.arena import Arena
from ringrift_loop.tournament.blocks import BlockPlan
from ringrift_loop.tournament.participants import participant_of

_GAMES_PER_WRITE = 48
"""A write to the ledger waits for the disk: one for every block would take longer than some games."""


class Shelf(Protocol):
    """Keeps the games of blocks."""

    def load(self, plans: Sequence[BlockPlan]) -> dict[str, list[MatchRow]]:
        """Return the games of those blocks that are there, by block."""

    def keep(self, rows: Sequence[MatchRow]) -> int:
        """Keep the games of whole blocks; return how many were new."""


class LedgerShelf:
    """The match log; every game that comes to it is counted."""

    def __init__(self, loop: Loop) -> None:
        self._ledger, self._metrics = loop.ledger, loop.metrics

    def load(self, plans: Sequence[BlockPlan]) -> dict[str, list[MatchRow]]:
        """See Shelf."""
        with self._ledger.read() as conn:
            return matches.of_blocks(conn, [plan.id for plan in plans])

    def keep(self, rows: Sequence[MatchRow]) -> int:
        """Write the games and their participants in one transaction.

        Raises:
            LedgerError: a game names a model that is not registered for its variant.
        """
        with self._ledger.begin() as conn:
            for name, variant in sorted({(seat, row.variant) for row in rows for seat in row.seats}):
                participant = participant_of(name, variant)
                _require_model(conn, participant)
                matches.ensure_participant(conn, participant)
            new = Counter(
                {key: matches.add(conn, list(group)) for key, group in groupby(sorted(rows, key=_kind), key=_kind)}
            )
        for (variant, purpose), number in new.items():
            self._metrics.incr("ringrift_match_games_total", number, config=variant, purpose=purpose)
        return new.total()


def _kind(row: MatchRow) -> tuple[str, str]:
    return row.variant, row.purpose


def _require_model(conn: Connection, participant: Participant) -> None:
    """Refuse weights that are not registered for the variant they played."""
    if participant.model_digest is not None:
        model = models.get(conn, participant.model_digest)
        if model is None or model.variant != participant.variant:
            found = "not registered" if model is None else f"registered for {model.variant}"
            raise LedgerError(f"{participant.id} cannot enter the match log of {participant.variant}: it is {found}")


class MemoryShelf:
    """A shelf that ends with the process."""

    def __init__(self) -> None:
        self._blocks: dict[str, list[MatchRow]] = {}

    def load(self, plans: Sequence[BlockPlan]) -> dict[str, list[MatchRow]]:
        """See Shelf."""
        return {plan.id: self._blocks[plan.id] for plan in plans if plan.id in self._blocks}

    def keep(self, rows: Sequence[MatchRow]) -> int:
        """See Shelf."""
        for row in rows:
            self._blocks.setdefault(row.block, []).append(row)
        return len(rows)


def keep_all(shelf: Shelf, blocks: Iterable[Sequence[MatchRow]]) -> int:
    """Keep blocks as they end, some dozens of games at a time; return how many games were new.

    An error while playing loses the unfinished blocks only, a killed process the last few as well.
    """
    new = 0
    waiting: list[MatchRow] = []
    try:
        for rows in blocks:
            waiting += rows
            if len(waiting) >= _GAMES_PER_WRITE:
                new += shelf.keep(waiting)
                waiting = []
    finally:
        if waiting:
            new += shelf.keep(waiting)
    return new


def completed(
    shelf: Shelf, arena: Arena, plans: Sequence[BlockPlan], *, deadline: float | None = None
) -> list[MatchRow]:
    """Return the games of all blocks, after playing those that the shelf lacks.

    Raises:
        TimeoutError: the deadline passed first; what was finished is on the shelf.
        IllegalMoveError: a player chose a move that is not legal.
    """
    known = shelf.load(plans)
    missing = [plan for plan in plans if plan.id not in known]
    if missing:
        taken = {row.opening for rows in known.values() for row in rows}
        keep_all(shelf, arena.play(missing, deadline=deadline, taken=taken))
        known = shelf.load(plans)
    return [row for plan in plans for row in known[plan.id]]
