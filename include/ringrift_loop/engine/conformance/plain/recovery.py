"""Recovery slides and strikes in the plain twin (docs/3-rules.md 11)."""

from __future__ import annotations

from ringrift_loop.engine.conformance.plain.board import Cell
from ringrift_loop.engine.conformance.plain.lines import run_through, windows
from ringrift_loop.engine.conformance.plain.position import Position
from ringrift_loop.engine.conformance.plain.text import Move, cell_text, ends_text


def may_recover(position: Position, seat: int) -> bool:
    """Whether the seat controls no stack but has a marker to slide and a buried ring to pay with."""
    if position.controls_a_stack(seat) or seat not in position.markers.values():
        return False
    return bool(position.buried(seat))


def recovery_texts(position: Position) -> list[str]:
    """The recovery moves of the seat to move, which may recover: line slides if there are any, else RF and RS."""
    pays = position.buried(position.seat)
    own = sorted(cell for cell, owner in position.markers.items() if owner == position.seat)
    lines, others = [], []
    for origin in own:
        for target in position.board.neighbours(origin):
            slide = f"{cell_text(origin)}>{cell_text(target)}"
            if position.is_empty(target):
                others += [f"RF:{slide}@{cell_text(pay)}" for pay in pays]
                run = _run_after_slide(position, origin, target)
                if run is not None:
                    lines += [f"RL1:{slide}@{cell_text(pay)}" for pay in pays]
                    lines += [f"RL2:{slide}#{ends_text(window)}" for window in _free_windows(position, run, target)]
            elif target in position.stacks:
                others += [f"RS:{slide}@{cell_text(pay)}" for pay in pays]
    return lines or others


def recover(position: Position, move: Move) -> None:
    """RL1, RL2, RF and RS: slide or strike, collapse what the move says, pay with a buried ring where it costs one."""
    origin, target = move.cells[:2]
    seat = position.seat
    collapsing: list[Cell] = []
    if move.kind in ("RL1", "RL2"):
        run = _run_after_slide(position, origin, target)
        assert run is not None  # the move is legal
        collapsing = run
        if move.kind == "RL2":
            collapsing = next(
                window for window in _free_windows(position, run, target) if set(move.cells[2:]) <= set(window)
            )
    del position.markers[origin]
    if move.kind == "RS":
        position.take_rings(target, 1, seat)
    else:
        position.markers[target] = seat
    for cell in collapsing:
        position.collapse(cell, seat)
    if move.kind != "RL2":
        position.take_lowest_ring(move.cells[2], seat)


def _run_after_slide(position: Position, origin: Cell, target: Cell) -> list[Cell] | None:
    """The run that the slid marker completes, on the first axis where it is long enough."""
    del position.markers[origin]
    try:
        for axis in position.board.axes:
            run = run_through(position, target, axis, position.seat)
            if len(run) >= position.variant.line_length:
                return run
        return None
    finally:
        position.markers[origin] = position.seat


def _free_windows(position: Position, run: list[Cell], target: Cell) -> list[list[Cell]]:
    """What RL2 may collapse: of a run that is longer than a line, each stretch of line length with the target in it."""
    length = position.variant.line_length
    return [window for window in windows(run, length) if target in window] if len(run) > length else []
