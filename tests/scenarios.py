"""Random positions that a game could show late: mixed stacks, markers, collapsed cells, often a seat without a stack.

Games from the start reach recovery, buried rings and tall stacks rarely; from here they are common. Used for golden
games and for comparing kernels and twin.
"""

from __future__ import annotations

import random

from ringrift_loop.engine.conformance.plain.board import Cell
from ringrift_loop.engine.conformance.plain.position import Position, start_position
from ringrift_loop.engine.conformance.plain.text import state_text
from ringrift_loop.engine.conformance.plain.victory import settle
from ringrift_loop.engine.rules import variant as find_variant

_MAX_HEIGHT = 6


def random_state(variant: str, rng: random.Random) -> str:
    """The text of a random undecided position at the start of a turn, with all rings accounted for."""
    while True:
        position = start_position(find_variant(variant))
        _set_up(position, rng)
        alive = [seat for seat in position.seats if position.owns_a_ring(seat)]
        if len(alive) < 2:
            continue
        position.seat = rng.choice(alive)
        settle(position, last_mover=position.seat)
        if position.winner is None:
            return state_text(position)


def _set_up(position: Position, rng: random.Random) -> None:
    cells = list(position.board.cells)
    rng.shuffle(cells)
    seats = list(position.seats)
    # In two of three positions one seat controls nothing, so that it may recover.
    without_stack = rng.choice(seats) if rng.random() < 2 / 3 else None
    supply = dict.fromkeys(seats, position.variant.rings_per_seat)
    for cell in _take(cells, rng.uniform(0.03, 0.2)):
        _stack_up(position, cell, supply, without_stack, rng)
    for cell in _take(cells, rng.uniform(0.05, 0.5)):
        position.markers[cell] = rng.choice([*seats, without_stack or rng.choice(seats)])
    for cell in _take(cells, rng.uniform(0.0, 0.25)):
        position.collapsed[cell] = rng.choice(seats)
    with_hands = rng.random() < 0.4
    for seat in seats:
        position.hands[seat] = rng.randint(0, min(4, supply[seat])) if with_hands else 0
        supply[seat] -= position.hands[seat]
    _eliminate(position, sum(supply.values()), rng)


def _take(cells: list[Cell], share: float) -> list[Cell]:
    count = max(1, int(len(cells) * share))
    taken, cells[:] = cells[:count], cells[count:]
    return taken


def _stack_up(
    position: Position, cell: Cell, supply: dict[int, int], without_stack: int | None, rng: random.Random
) -> None:
    stack: list[int] = []
    for _ in range(rng.choice((1, 1, 2, 2, 2, 3, 3, 4, _MAX_HEIGHT))):
        colours = [seat for seat in supply if supply[seat] > 0]
        if colours:
            stack.append(rng.choice(colours))
            supply[stack[-1]] -= 1
    while stack and stack[-1] == without_stack:
        supply[stack.pop()] += 1
    if stack:
        position.stacks[cell] = tuple(stack)


def _eliminate(position: Position, rings: int, rng: random.Random) -> None:
    """Credit all rings that are neither in hand nor on the board, so that nobody has won by it, if that can be."""
    below = position.variant.elimination_target - 1
    for _ in range(rings):
        open_seats = [seat for seat in position.seats if position.eliminated[seat] < below]
        position.eliminated[rng.choice(open_seats or list(position.seats))] += 1
