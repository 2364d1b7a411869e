"""Playing blocks of games through the rules engine, many games at once.

In every round the games are grouped by the player to move, and each player chooses for all its games in one call. A
move that is not legal raises; nothing is ever played in its place.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ringrift_loop.engine.game import RESULT_NAMES
from ringrift_loop.engine.kernels import apply_move, make_work, new_states, places, play_forced, truncate
from ringrift_loop.engine.rules import Rules, rules_for
from ringrift_loop.engine.state import GAME_OVER, PHASE, PLY, RESULT, TO_PLAY, WINNER
from ringrift_loop.engine.text.notation import move_text, state_text
from ringrift_loop.engine.text.position_text import PHASE_CODES
from ringrift_loop.engine.version import ENGINE_VERSION
from ringrift_loop.errors import IllegalMoveError
from ringrift_loop.ledger.matches import MatchRow
from ringrift_loop.machine.giving_way import give_way
from ringrift_loop.machine.run_queue import queued_s
from ringrift_loop.tournament.blocks import BlockPlan
from ringrift_loop.tournament.openings import Opening, draw_opening

if TYPE_CHECKING:
    from ringrift_loop.tournament.players import Player

_TRAIL = 8192


@dataclass(frozen=True)
class MatchSettings:
    """How blocks are played."""

    opening_plies: int
    """Random choices that open every block."""
    games_in_parallel: int = 256
    host: str = "local"


@dataclass(eq=False)
class _Table:
    """A game being played."""

    plan: BlockPlan
    game: int
    opening: Opening
    state: npt.NDArray[np.int16]
    moves: list[int] = field(default_factory=list)
    choices: frozenset[int] = frozenset()

    @property
    def mover(self) -> str:
        """Participant to move."""
        return self.plan.seatings[self.game][int(self.state[TO_PLAY])]


def play_blocks(
    plans: Iterable[BlockPlan],
    players: Mapping[str, Player],
    settings: MatchSettings,
    *,
    clock: Callable[[], float],
    deadline: float | None = None,
    taken: Iterable[str] = (),
    queued: Callable[[], float] = queued_s,
) -> Iterator[list[MatchRow]]:
    """Yield the games of each block as it ends.

    Args:
        plans: blocks of one variant, each with its own opening.
        players: by participant id.
        settings: how to play.
        clock: UTC seconds.
        deadline: when to give up, UTC seconds; later by the time in which others had the processor, and that in which
            the games gave way to them.
        taken: openings that earlier blocks of the same match used.
        queued: seconds that this process has waited for a processor.

    Raises:
        IllegalMoveError: a player chose a move that is not legal; the message names it, the move and the state.
        TimeoutError: the deadline has passed with games unfinished.
    """
    waiting = deque(plans)
    if not waiting:
        return
    variants = {plan.variant for plan in waiting}
    if len(variants) > 1:
        raise ValueError(f"one call plays blocks of one variant, got {sorted(variants)}")
    arena = _Tables(rules_for(variants.pop()), players, settings, set(taken))
    rows: dict[str, list[MatchRow]] = {}
    queued_before = queued()
    while waiting or arena.tables:
        while waiting and len(arena.tables) < settings.games_in_parallel:
            arena.seat(waiting.popleft())
        if deadline is not None and clock() - (queued() - queued_before) > deadline:
            raise TimeoutError(
                f"{len(arena.tables)} games unfinished and {len(waiting)} blocks not begun at the deadline"
            )
        for table in arena.advance():
            finished = rows.setdefault(table.plan.id, [])
            finished.append(arena.row_of(table, clock()))
            if len(finished) == len(table.plan.seatings):
                yield sorted(rows.pop(table.plan.id), key=lambda row: row.id)
        arena.choose()
        give_way()


class _Tables:
    """The games being played, and the scratch memory for them."""

    def __init__(self, rules: Rules, players: Mapping[str, Player], settings: MatchSettings, taken: set[str]) -> None:
        self.rules = rules
        self.tables: list[_Table] = []
        self._players = players
        self._settings = settings
        self._taken = taken
        self._work = make_work(rules)
        self._scratch = np.empty(rules.max_moves, np.int64)
        self._trail = np.empty(_TRAIL, np.int64)

    def seat(self, plan: BlockPlan) -> None:
        """Begin all games of a block from its opening, which no other block of this run has."""
        opening = draw_opening(self.rules, plan.opening, self._settings.opening_plies, self._taken)
        self._taken.add(opening.text)
        for game in range(len(plan.seatings)):
            self.tables.append(_Table(plan, game, opening, opening.state.copy(), list(opening.moves)))

    def advance(self) -> list[_Table]:
        """Play every game on to its next choice; return those that ended, which leave the tables."""
        for table in self.tables:
            n, played = play_forced(self.rules, table.state, self._work, self._scratch, self._trail, 0)
            table.moves.extend(self._trail[:played].tolist())
            table.choices = frozenset(self._scratch[:n].tolist())
            if n and table.state[PLY] >= self.rules.ply_budget:
                truncate(table.state)
        ended = [table for table in self.tables if table.state[PHASE] == GAME_OVER]
        self.tables = [table for table in self.tables if table.state[PHASE] != GAME_OVER]
        return ended

    def choose(self) -> None:
        """Let each player choose in all its games, and play the moves."""
        groups: dict[str, list[_Table]] = {}
        for table in self.tables:
            groups.setdefault(table.mover, []).append(table)
        for name, tables in sorted(groups.items()):
            states = np.stack([table.state for table in tables])
            chosen = self._players[name].choose(self.rules, states)
            if chosen.shape != (len(tables),):
                raise IllegalMoveError(f"{name} returned moves of shape {chosen.shape} for {len(tables)} games")
            for table, move in zip(tables, chosen.tolist(), strict=True):
                if move not in table.choices:
                    raise IllegalMoveError(_refusal(self.rules, table, name, move))
                table.moves.append(move)
                apply_move(self.rules, table.state, self._work, move)

    def row_of(self, table: _Table, at: float) -> MatchRow:
        """The record of a finished game."""
        winner = int(table.state[WINNER])
        standing = np.ones(self.rules.players, np.int64)
        if winner >= 0:  # a game cut off is a tie of all seats
            places(self.rules, table.state, standing)
        return MatchRow(
            id=table.plan.match_id(table.game),
            block=table.plan.id,
            variant=table.plan.variant,
            purpose=table.plan.purpose,
            seats=list(table.plan.seatings[table.game]),
            opening=table.opening.text,
            moves=" ".join(self._texts(table.moves)),
            winner=winner + 1 if winner >= 0 else None,
            places=standing.tolist(),
            result=RESULT_NAMES[table.state[RESULT]],
            plies=len(table.moves),
            host=self._settings.host,
            engine_version=ENGINE_VERSION,
            played_at=at,
        )

    def _texts(self, moves: list[int]) -> Iterator[str]:
        state = new_states(self.rules, 1)[0]
        for move in moves:
            yield move_text(self.rules, state, move, self._work)
            apply_move(self.rules, state, self._work, move)


def _refusal(rules: Rules, table: _Table, name: str, move: Any) -> str:
    phase = PHASE_CODES[table.state[PHASE]]
    return (
        f"{name} chose the move {move:#x} at ply {table.state[PLY]} in {phase}, where {len(table.choices)} others are "
        f"legal; opening {table.opening.text!r}, state {state_text(rules, table.state)}"
    )
