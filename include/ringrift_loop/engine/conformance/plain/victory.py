"""How a game of the plain twin is won, and the places of the others (docs/3-rules.md 15)."""

from __future__ import annotations

from ringrift_loop.engine.conformance.plain.movement import can_act
from ringrift_loop.engine.conformance.plain.position import Position


def settle(position: Position, last_mover: int) -> None:
    """End the game if one of the four tests holds; the first that holds decides, also over last player standing."""
    if (winner := _by_elimination(position)) is not None:
        declare(position, winner, "elimination")
    elif (winner := _by_territory(position)) is not None:
        declare(position, winner, "territory")
    elif (winner := _by_sole_survivor(position)) is not None:
        declare(position, winner, "sole_survivor")
    elif _is_bare_board(position):
        declare(position, _bare_board_winner(position, last_mover), "stalemate")


def declare(position: Position, winner: int, result: str) -> None:
    """End the game."""
    position.winner, position.result = winner, result
    position.phase, position.seat = "GO", winner
    position.must_move = position.attacker = None
    position.owes_line_ring = position.owes_region_price = False


def places(position: Position) -> dict[int, int]:
    """Place of each seat of a finished game: 1 for the winner; equal seats share a place, the next is skipped."""
    hands_count = position.result == "stalemate"

    def merit(seat: int) -> tuple[float, ...]:
        lost = position.lost_last_ring_at.get(seat, float("inf"))
        return (seat == position.winner, *_standing(position, seat, with_hand=hands_count), lost)

    return {seat: 1 + sum(merit(other) > merit(seat) for other in position.seats) for seat in position.seats}


def result_of_finished(position: Position) -> str:
    """How a finished game of which only the position is known was won; what no test explains was last standing."""
    if position.winner is None:
        return "truncated"
    again = position.copy()
    settle(again, last_mover=position.winner)
    return again.result if again.result is not None and again.winner == position.winner else "lps"


def _by_elimination(position: Position) -> int | None:
    target = position.variant.elimination_target
    return next((seat for seat in position.seats if position.eliminated[seat] >= target), None)


def _by_territory(position: Position) -> int | None:
    total = len(position.collapsed)
    for seat in position.seats:
        cells = position.territory(seat)
        if cells >= position.variant.territory_target and cells > total - cells:
            return seat
    return None


def _by_sole_survivor(position: Position) -> int | None:
    controllers = {stack[-1] for stack in position.stacks.values()}
    if len(controllers) != 1:
        return None
    (survivor,) = controllers
    others = (seat for seat in position.seats if seat != survivor)
    return None if any(position.owns_a_ring(seat) for seat in others) else survivor


def _is_bare_board(position: Position) -> bool:
    """No stack is left, and nobody who has a ring could place it anywhere."""
    if position.stacks:
        return False
    holders = [seat for seat in position.seats if position.hands[seat] > 0]
    if not holders:
        return True
    free = [cell for cell in position.board.cells if position.is_empty(cell)]
    return not any(can_act(position, cell, (holders[0],)) for cell in free)


def _bare_board_winner(position: Position, last_mover: int) -> int:
    def merit(seat: int) -> tuple[int, ...]:
        return (*_standing(position, seat, with_hand=True), int(seat == last_mover))

    return max(position.seats, key=lambda seat: (merit(seat), -seat))


def _standing(position: Position, seat: int, *, with_hand: bool) -> tuple[int, int, int]:
    """Territory, eliminated rings (with the rings in hand, if those count) and own markers: more is better."""
    rings = position.eliminated[seat] + (position.hands[seat] if with_hand else 0)
    markers = sum(1 for owner in position.markers.values() if owner == seat)
    return position.territory(seat), rings, markers
