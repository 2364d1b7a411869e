"""A game of RingRift played by move texts, over the compiled kernels."""

from __future__ import annotations

import hashlib

import numpy as np

from ringrift_loop.engine.kernels import apply_move, make_work, new_states, places
from ringrift_loop.engine.rules import rules_for
from ringrift_loop.engine.state import GAME_OVER, PHASE, RESULT, TO_PLAY, WINNER
from ringrift_loop.engine.text.notation import list_moves, lps_text, move_text, parse_move, parse_state, state_text

RESULT_NAMES = ("none", "elimination", "territory", "sole_survivor", "stalemate", "lps", "truncated")
"""Text of each result in state.py."""


class Game:
    """A game of one variant, from its start or from a state text.

    Attributes:
        variant: its name.
        rules: the variant's numbers.
        row: the state, int16 [W].
        moves: texts of the moves played so far.
    """

    def __init__(self, variant: str, *, pie_rule: bool = False) -> None:
        self.variant = variant
        self.rules = rules_for(variant, pie_rule=pie_rule)
        self.row = new_states(self.rules, 1)[0]
        self.moves: list[str] = []
        self._work = make_work(self.rules)
        self._scratch = np.empty(self.rules.max_moves, np.int64)

    @classmethod
    def from_text(cls, variant: str, text: str) -> Game:
        """Return the game that goes on from a state text; ValueError if it is not a state of the variant."""
        game = cls(variant)
        game.row = parse_state(game.rules, text)
        return game

    def copy(self) -> Game:
        """Return a game that can be played on without touching this one."""
        twin = Game(self.variant, pie_rule=bool(self.rules.pie_rule))
        twin.row[:] = self.row
        twin.moves = list(self.moves)
        return twin

    def legal(self) -> list[str]:
        """Return the legal moves as sorted texts; none when the game is over."""
        return list_moves(self.rules, self.row, self._work, self._scratch)

    def play(self, text: str) -> None:
        """Play one move.

        Raises:
            ValueError: the text is no move of this board.
            IllegalMoveError: it is, but it is not legal now.
        """
        move = parse_move(self.rules, self.row, text, self._work, self._scratch)
        # Written anew: a line option over the whole line is recorded as the LP that it equals.
        self.moves.append(move_text(self.rules, self.row, move, self._work))
        apply_move(self.rules, self.row, self._work, move)

    def text(self) -> str:
        """Return the state text."""
        return state_text(self.rules, self.row)

    def digest(self) -> str:
        """Return blake2b of the state text, 8 bytes in hex."""
        return hashlib.blake2b(self.text().encode(), digest_size=8).hexdigest()

    def lps_text(self) -> str:
        """Return the last-player-standing tracker as `first/mask/lead/count`."""
        return lps_text(self.rules, self.row)

    def places(self) -> list[int]:
        """Return the place of each seat, in seat order, 1 is best."""
        out = np.zeros(self.rules.players, np.int64)
        places(self.rules, self.row, out)
        return [int(place) for place in out]

    @property
    def to_play(self) -> int:
        """The seat to move, from 1; the winner once the game is won."""
        return int(self.row[TO_PLAY]) + 1

    @property
    def is_over(self) -> bool:
        """Whether the game has ended."""
        return bool(self.row[PHASE] == GAME_OVER)

    @property
    def winner(self) -> int | None:
        """The winning seat, from 1."""
        return None if self.row[WINNER] < 0 else int(self.row[WINNER]) + 1

    @property
    def result(self) -> str | None:
        """How the game ended, one of RESULT_NAMES; None while it goes on."""
        return RESULT_NAMES[self.row[RESULT]] if self.is_over else None
