"""The plain twin's game: the same methods as `engine.game.Game`, in slow and simple Python."""

from __future__ import annotations

import hashlib

from ringrift_loop.engine.conformance.plain.lines import whole_line_as_lp
from ringrift_loop.engine.conformance.plain.position import Position, start_position
from ringrift_loop.engine.conformance.plain.text import PHASES, Move, lps_text, parse_move, parse_state, state_text
from ringrift_loop.engine.conformance.plain.turn import legal_texts, play_move
from ringrift_loop.engine.conformance.plain.victory import places, result_of_finished
from ringrift_loop.engine.rules import variant as find_variant
from ringrift_loop.errors import IllegalMoveError


class PlainGame:
    """A game of one variant, from its start or from a state text, played by move texts.

    Attributes:
        moves: the texts of the moves played so far.
        position: the position they led to.
    """

    def __init__(self, variant: str, *, pie_rule: bool = False) -> None:
        self.position: Position = start_position(find_variant(variant), pie_rule=pie_rule)
        self.moves: list[str] = []

    @classmethod
    def from_text(cls, variant: str, text: str) -> PlainGame:
        """The game that goes on from a state text; ValueError if the text is not a state of the variant."""
        game = cls(variant)
        game.position = parse_state(find_variant(variant), text)
        if game.is_over:
            game.position.result = result_of_finished(game.position)
        return game

    def copy(self) -> PlainGame:
        """A game that can be played on without touching this one."""
        twin = PlainGame(self.position.variant.name)
        twin.position = self.position.copy()
        twin.moves = list(self.moves)
        return twin

    def legal(self) -> list[str]:
        """The legal moves, sorted as text; none when the game is over."""
        return legal_texts(self.position)

    def play(self, text: str) -> None:
        """Play one move.

        Raises:
            ValueError: the text is not a move of this board.
            IllegalMoveError: the move is well-formed but not legal now.
        """
        move = parse_move(text, self.position)
        legal = self.legal()
        canonical = whole_line_as_lp(move)
        if canonical not in legal:
            raise IllegalMoveError(self._refusal(move, legal))
        if canonical != text:
            move = parse_move(canonical, self.position)
        self.moves.append(canonical)
        play_move(self.position, move)

    def text(self) -> str:
        """The state text."""
        return state_text(self.position)

    def digest(self) -> str:
        """Blake2b of the state text, 8 bytes in hex."""
        return hashlib.blake2b(self.text().encode(), digest_size=8).hexdigest()

    def lps_text(self) -> str:
        """The last-player-standing tracker as `first/mask/lead/count`."""
        return lps_text(self.position)

    @property
    def to_play(self) -> int:
        """The seat to move, from 1; the winner when the game is over."""
        return self.position.seat

    @property
    def is_over(self) -> bool:
        """Whether the game has been decided."""
        return self.position.phase == "GO"

    @property
    def winner(self) -> int | None:
        """The winning seat, from 1."""
        return self.position.winner

    @property
    def result(self) -> str | None:
        """How the game was won: elimination, territory, sole_survivor, stalemate or lps; truncated without a winner."""
        return self.position.result

    def places(self) -> list[int]:
        """The place of each seat, in seat order (docs/3-rules.md 15.1)."""
        by_seat = places(self.position)
        return [by_seat[seat] for seat in self.position.seats]

    def _refusal(self, move: Move, legal: list[str]) -> str:
        position = self.position
        if self.is_over:
            return f"{move.text} is not legal: the game is over, seat {position.winner} won"
        same_kind = [text for text in legal if text.partition(":")[0] == move.kind]
        shown = same_kind or legal
        some = " ".join(shown[:5]) + (" ..." if len(shown) > 5 else "")
        kind = f"of kind {move.kind}" if same_kind else f"none of kind {move.kind};"
        return (
            f"{move.text} is not legal in {PHASES[position.phase]} for seat {position.seat} at ply {len(self.moves)}: "
            f"{len(legal)} moves are, {kind} {some}"
        )
