"""Lines of markers in the plain twin (docs/3-rules.md 8)."""

from __future__ import annotations

from ringrift_loop.engine.conformance.plain.board import Cell, Step
from ringrift_loop.engine.conformance.plain.position import Position
from ringrift_loop.engine.conformance.plain.text import Move, cell_text, ends_text


def run_through(position: Position, cell: Cell, axis: Step, seat: int) -> list[Cell]:
    """The longest straight run of the seat's markers through `cell`, from its back end to its front end.

    The cell itself is taken to hold a marker of the seat.
    """
    run = [cell]
    for other in position.board.along(cell, axis, -1):
        if position.markers.get(other) != seat:
            break
        run.insert(0, other)
    for other in position.board.along(cell, axis, +1):
        if position.markers.get(other) != seat:
            break
        run.append(other)
    return run


def eligible_lines(position: Position, seat: int) -> list[list[Cell]]:
    """Every maximal line of the seat that is long enough to be processed."""
    lines = []
    for axis in position.board.axes:
        for cell, owner in position.markers.items():
            if owner == seat:
                run = run_through(position, cell, axis, seat)
                if run[0] == cell and len(run) >= position.variant.line_length:
                    lines.append(run)
    return lines


def windows(run: list[Cell], length: int) -> list[list[Cell]]:
    """All stretches of `length` neighbouring cells of the run, from back to front."""
    return [run[i : i + length] for i in range(len(run) - length + 1)]


def line_texts(position: Position) -> list[str]:
    """The moves of line processing."""
    seat = position.seat
    if position.owes_line_ring:
        return [f"LE:{cell_text(cell)}" for cell in position.controlled(seat)]
    texts = []
    for line in eligible_lines(position, seat):
        texts.append(f"LP:{ends_text(line)}")
        if len(line) > position.variant.line_length:
            for window in windows(line, position.variant.line_length):
                texts.append(f"LO:{ends_text(line)}#{ends_text(window)}")
    return texts or ["NL"]


def whole_line_as_lp(move: Move) -> str:
    """The move's text, with LO over the whole line written as the LP that it equals (docs/3-rules.md 8.3)."""
    if move.kind == "LO" and move.cells[:2] == move.cells[2:]:
        return "LP:" + move.text.partition("#")[2]
    return move.text


def process_line(position: Position, move: Move) -> None:
    """LP and LO: collapse the line, or a window of it; a whole line costs a ring if the seat controls a stack."""
    first, last = move.cells[-2:]
    line = next(line for line in eligible_lines(position, position.seat) if {first, last} <= set(line))
    start, end = sorted((line.index(first), line.index(last)))
    for cell in line[start : end + 1]:
        position.collapse(cell, position.seat)
    if move.kind == "LP":
        position.owes_line_ring = position.controls_a_stack(position.seat)


def pay_for_line(position: Position, move: Move) -> None:
    """LE: the top ring of one controlled stack."""
    position.take_rings(move.cells[0], 1, position.seat)
    position.owes_line_ring = False
