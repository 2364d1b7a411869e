"""Placement, plain moves and captures of the plain twin (docs/3-rules.md 5 to 7)."""

from __future__ import annotations

from collections.abc import Iterator

from ringrift_loop.engine.conformance.plain.board import Cell
from ringrift_loop.engine.conformance.plain.position import Position, Stack, cap_height
from ringrift_loop.engine.conformance.plain.text import Move, cell_text


def placements(position: Position, seat: int) -> Iterator[tuple[Cell, int]]:
    """Where the seat may place, and how many rings: 1 to 3 on an empty cell, one on a stack, never a dead stack."""
    hand = position.hands[seat]
    for cell in position.board.cells:
        if cell in position.stacks:
            counts = range(1, min(hand, 1) + 1)
        elif position.is_empty(cell):
            counts = range(1, min(hand, 3) + 1)
        else:
            continue
        below = position.stacks.get(cell, ())
        for count in counts:
            if can_act(position, cell, below + (seat,) * count):
                yield cell, count


def can_act(position: Position, cell: Cell, stack: Stack) -> bool:
    """Whether the stack, standing on the cell, would have a plain move or a capture."""
    return any(True for _ in destinations(position, cell, stack)) or any(True for _ in captures(position, cell, stack))


def destinations(position: Position, cell: Cell, stack: Stack) -> Iterator[Cell]:
    """Where the stack may move: at least its height far, over and onto cells without stack and collapse."""
    for ray in position.board.rays[cell]:
        for distance, landing in enumerate(ray, start=1):
            if not position.is_clear(landing):
                break
            if distance >= len(stack):
                yield landing


def captures(position: Position, cell: Cell, stack: Stack) -> Iterator[tuple[Cell, Cell]]:
    """The (target, landing) pairs of the stack: the first stack on a ray, its cap no larger, and room behind it."""
    for ray in position.board.rays[cell]:
        at = next((i for i, other in enumerate(ray) if not position.is_clear(other)), None)
        if at is None or ray[at] in position.collapsed:
            continue
        target = ray[at]
        if cap_height(position.stacks[target]) > cap_height(stack):
            continue
        for distance, landing in enumerate(ray[at + 1 :], start=at + 2):
            if not position.is_clear(landing):
                break
            if distance >= len(stack):
                yield target, landing


def has_real_action(position: Position, seat: int) -> bool:
    """Whether the seat could place a ring, move or capture, were it to do so now (docs/3-rules.md 14)."""
    if any(True for _ in placements(position, seat)):
        return True
    return any(can_act(position, cell, position.stacks[cell]) for cell in position.controlled(seat))


def movement_texts(position: Position) -> list[str]:
    """The moves MV and CP of the seat to move; only those of the stack that must move, if there is one."""
    origins = position.controlled(position.seat) if position.must_move is None else [position.must_move]
    texts = []
    for origin in origins:
        stack = position.stacks[origin]
        texts += [f"MV:{cell_text(origin)}>{cell_text(cell)}" for cell in destinations(position, origin, stack)]
        texts += capture_texts(position, origin, "CP")
    return texts


def capture_texts(position: Position, origin: Cell, kind: str) -> list[str]:
    """The captures of one stack as moves of `kind` (CP or CC)."""
    return [
        f"{kind}:{cell_text(origin)}>{cell_text(target)}>{cell_text(landing)}"
        for target, landing in captures(position, origin, position.stacks[origin])
    ]


def place(position: Position, move: Move) -> None:
    """PL: put the rings on top; for the rest of the turn only this stack may move."""
    (cell,) = move.cells
    position.stacks[cell] = position.stacks.get(cell, ()) + (position.seat,) * move.number
    position.hands[position.seat] -= move.number
    position.must_move = cell


def move_stack(position: Position, move: Move) -> None:
    """MV, CP and CC: carry the stack along its ray, with all that this does to the markers on the way."""
    origin, landing = move.cells[0], move.cells[-1]
    target = move.cells[1] if len(move.cells) == 3 else None
    stack = position.stacks.pop(origin)
    position.markers[origin] = position.seat
    for cell in _between(position, origin, landing):
        if cell != target:
            _pass_over(position, cell)
    if target is not None:
        taken = position.stacks.pop(target)
        if len(taken) > 1:
            position.stacks[target] = taken[:-1]
        stack = (taken[-1], *stack)
    hit = position.markers.pop(landing, None) is not None
    position.stacks[landing] = stack
    if hit:
        position.take_rings(landing, 1, position.seat)
    if position.must_move == origin:
        position.must_move = landing


def _between(position: Position, origin: Cell, landing: Cell) -> list[Cell]:
    ray = next(ray for ray in position.board.rays[origin] if landing in ray)
    return list(ray[: ray.index(landing)])


def _pass_over(position: Position, cell: Cell) -> None:
    """A foreign marker becomes the mover's, an own one becomes territory."""
    owner = position.markers.get(cell)
    if owner == position.seat:
        position.collapse(cell, position.seat)
    elif owner is not None:
        position.markers[cell] = position.seat
