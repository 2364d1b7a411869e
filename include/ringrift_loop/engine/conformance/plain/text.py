"""Texts of the plain twin: cells, moves and states (docs/3-rules.md 18)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from ringrift_loop.engine.conformance.plain.board import Cell
from ringrift_loop.engine.conformance.plain.position import Position, Stack, start_position
from ringrift_loop.engine.rules import Variant

_Entry = TypeVar("_Entry")

PHASES = {
    "RP": "ring placement",
    "MO": "movement",
    "CA": "capture",
    "CH": "chain capture",
    "LI": "line processing",
    "TE": "territory processing",
    "FE": "forced elimination",
    "GO": "game over",
}

_NUMBER = r"(?:0|-?[1-9][0-9]*)"
_CELL = f"({_NUMBER},{_NUMBER})"
_MOVES = {
    kind: re.compile(pattern)
    for kind, pattern in {
        "PL": f"PL:{_CELL}x([1-9][0-9]*)",
        "MV": f"MV:{_CELL}>{_CELL}",
        "CP": f"CP:{_CELL}>{_CELL}>{_CELL}",
        "CC": f"CC:{_CELL}>{_CELL}>{_CELL}",
        "RL1": f"RL1:{_CELL}>{_CELL}@{_CELL}",
        "RL2": rf"RL2:{_CELL}>{_CELL}#{_CELL}\.\.{_CELL}",
        "RF": f"RF:{_CELL}>{_CELL}@{_CELL}",
        "RS": f"RS:{_CELL}>{_CELL}@{_CELL}",
        "LP": rf"LP:{_CELL}\.\.{_CELL}",
        "LO": rf"LO:{_CELL}\.\.{_CELL}#{_CELL}\.\.{_CELL}",
        "LE": f"LE:{_CELL}",
        "TR": f"TR:{_CELL}/([1-9][0-9]*)/([0-9a-f]{{8}})",
        "TE": f"TE:{_CELL}",
        "TB": f"TB:{_CELL}",
        "FE": f"FE:{_CELL}",
        **{bare: bare for bare in ("SP", "NP", "SW", "SC", "NM", "SR", "NL", "ST", "NT")},
    }.items()
}


@dataclass(frozen=True)
class Move:
    """A move taken apart: its kind, the cells it names in order, and the number of rings or cells it names."""

    text: str
    kind: str
    cells: tuple[Cell, ...] = ()
    number: int = 0


def cell_text(cell: Cell) -> str:
    """The cell as `x,y`."""
    return f"{cell[0]},{cell[1]}"


def ends_text(cells: list[Cell]) -> str:
    """A run of cells as `c..d`, its two ends, the smaller (x, y) first."""
    return f"{cell_text(min(cells))}..{cell_text(max(cells))}"


def parse_move(text: str, position: Position) -> Move:
    """Take a move text apart; whether it is legal is not looked at.

    Raises:
        ValueError: the text is not a move, or names a cell that the board does not have.
    """
    kind = text.partition(":")[0]
    pattern = _MOVES.get(kind)
    if pattern is None:
        raise ValueError(f"malformed move {text!r}: unknown kind {kind!r}, known are {' '.join(_MOVES)}")
    match = pattern.fullmatch(text)
    if match is None:
        raise ValueError(f"malformed move {text!r}: a {kind} move reads {pattern.pattern.replace(_CELL, 'x,y')}")
    parts = [part for part in match.groups() if part is not None]
    cells = tuple(_cell(part, position, text) for part in parts if "," in part)
    number = next((int(part) for part in parts if "," not in part), 0)
    return Move(text=text, kind=kind, cells=cells, number=number)


def state_text(position: Position) -> str:
    """The state as one line; the digest of a state is that of this text."""
    seats = position.seats
    moving = position.phase in ("MO", "CA", "CH")
    capturing = position.phase in ("CA", "CH")
    fields = {
        "ph": position.phase,
        "cp": str(position.seat),
        "w": "-" if position.winner is None else str(position.winner),
        "pe": "1" if position.owes_line_ring else "0",
        "mm": cell_text(position.must_move) if moving and position.must_move is not None else "-",
        "at": cell_text(position.attacker) if capturing and position.attacker is not None else "-",
        "H": ",".join(str(position.hands[seat]) for seat in seats),
        "E": ",".join(str(position.eliminated[seat]) for seat in seats),
        "T": ",".join(str(position.territory(seat)) for seat in seats),
        "S": "|".join(
            f"{cell_text(cell)}:{''.join(map(str, stack))}" for cell, stack in sorted(position.stacks.items())
        ),
        "M": "|".join(f"{cell_text(cell)}:{seat}" for cell, seat in sorted(position.markers.items())),
        "C": "|".join(f"{cell_text(cell)}:{seat}" for cell, seat in sorted(position.collapsed.items())),
    }
    return ";".join(f"{name}={value}" for name, value in fields.items())


def lps_text(position: Position) -> str:
    """The last-player-standing tracker as `first/mask/lead/count`."""
    standing = position.standing
    mask = "".join({True: "1", False: "0", None: "-"}[standing.mask.get(seat)] for seat in position.seats)
    return f"{standing.first or '-'}/{mask}/{standing.lead or '-'}/{standing.count}"


def parse_state(variant: Variant, text: str) -> Position:
    """The position that a state text describes.

    What the text does not carry starts afresh: no tracker, no pie rule, and the turn so far is taken to have changed
    the board exactly if the text shows it (a stack that must move, a capture under way, a line ring owed).

    Raises:
        ValueError: the text is not a state of the variant; the message says which field is wrong.
    """
    names = ("ph", "cp", "w", "pe", "mm", "at", "H", "E", "T", "S", "M", "C")
    parts = text.split(";")
    found = tuple(part.partition("=")[0] for part in parts)
    if found != names:
        raise ValueError(f"malformed state: fields are {' '.join(names)} in this order, got {' '.join(found)!r}")
    value = {part.partition("=")[0]: part.partition("=")[2] for part in parts}
    position = start_position(variant)
    _read_turn(position, value)
    _read_counters(position, value)
    _read_cells(position, value)
    _check(position, value)
    position.lost_last_ring_at = {seat: 0 for seat in position.seats if not position.owns_a_ring(seat)}
    if state_text(position) != text:
        raise ValueError(f"malformed state: not in canonical form, expected {state_text(position)!r}, got {text!r}")
    return position


def _read_turn(position: Position, value: dict[str, str]) -> None:
    if value["ph"] not in PHASES:
        raise ValueError(f"malformed state: ph is one of {' '.join(PHASES)}, got {value['ph']!r}")
    position.phase = value["ph"]
    position.seat = _seat(value["cp"], position, "cp")
    position.winner = None if value["w"] == "-" else _seat(value["w"], position, "w")
    if position.winner is not None and position.phase != "GO":
        raise ValueError(f"malformed state: a winner stands in phase GO only, got ph={position.phase}, w={value['w']}")
    if position.winner not in (None, position.seat):
        raise ValueError(f"malformed state: once a game is won cp is the winner, got {value['cp']}, w={value['w']}")
    if value["pe"] not in ("0", "1") or (value["pe"] == "1" and position.phase != "LI"):
        raise ValueError(f"malformed state: pe is 0, or 1 in phase LI, got pe={value['pe']} in {position.phase}")
    position.owes_line_ring = value["pe"] == "1"
    position.must_move = None if value["mm"] == "-" else _cell(value["mm"], position, "mm")
    position.attacker = None if value["at"] == "-" else _cell(value["at"], position, "at")
    position.acted = position.must_move is not None or position.attacker is not None or position.owes_line_ring


def _read_counters(position: Position, value: dict[str, str]) -> None:
    for name, counters in (("H", position.hands), ("E", position.eliminated)):
        counters.update(_counters(value[name], position, name))


def _counters(text: str, position: Position, name: str) -> dict[int, int]:
    parts = text.split(",")
    if len(parts) != len(position.seats) or not all(re.fullmatch("0|[1-9][0-9]*", part) for part in parts):
        raise ValueError(f"malformed state: {name} has {len(position.seats)} numbers joined by commas, got {text!r}")
    most = max(len(position.seats) * position.variant.rings_per_seat, len(position.board.cells))
    if any(len(part) > len(str(most)) or int(part) > most for part in parts):
        raise ValueError(f"malformed state: {name} has a number above {most}, got {text[:80]!r}")
    return dict(zip(position.seats, map(int, parts), strict=True))


def _read_cells(position: Position, value: dict[str, str]) -> None:
    def rings(text: str) -> Stack:
        if not text:
            raise ValueError("malformed state: a stack in S has no rings")
        return tuple(_seat(digit, position, "S") for digit in text)

    def owner(name: str) -> Callable[[str], int]:
        return lambda text: _seat(text, position, name)

    position.stacks = _entries(value["S"], position, "S", rings)
    position.markers = _entries(value["M"], position, "M", owner("M"))
    position.collapsed = _entries(value["C"], position, "C", owner("C"))
    twice = (
        (position.stacks.keys() & position.markers.keys())
        | (position.stacks.keys() & position.collapsed.keys())
        | (position.markers.keys() & position.collapsed.keys())
    )
    if twice:
        raise ValueError(f"malformed state: cell {cell_text(min(twice))} is listed twice among S, M and C")


def _entries(text: str, position: Position, name: str, read: Callable[[str], _Entry]) -> dict[Cell, _Entry]:
    entries: dict[Cell, _Entry] = {}
    for part in text.split("|") if text else ():
        cell_part, colon, content = part.partition(":")
        if not colon:
            raise ValueError(f"malformed state: an entry of {name} reads x,y:value, got {part!r}")
        cell = _cell(cell_part, position, name)
        if cell in entries:
            raise ValueError(f"malformed state: cell {cell_part} stands twice in {name}")
        entries[cell] = read(content)
    return entries


def _check(position: Position, value: dict[str, str]) -> None:
    """Refuse what no game can show: too many rings, territory that is not on the board, a cell named in vain."""
    territory = _counters(value["T"], position, "T")
    for seat in position.seats:
        rings = position.hands[seat] + sum(stack.count(seat) for stack in position.stacks.values())
        if rings > position.variant.rings_per_seat:
            limit = position.variant.rings_per_seat
            raise ValueError(
                f"malformed state: seat {seat} has {rings} rings in hand and on the board, at most {limit}"
            )
        if territory[seat] != position.territory(seat):
            cells = position.territory(seat)
            raise ValueError(f"malformed state: T says {territory[seat]} for seat {seat}, but C lists {cells} cells")
    capturing = position.phase in ("CA", "CH")
    if capturing != (position.attacker is not None):
        raise ValueError(f"malformed state: at names a cell in phases CA and CH only, got {value['at']!r}")
    if position.must_move is not None and position.phase not in ("MO", "CA", "CH"):
        raise ValueError(f"malformed state: mm names a cell in phases MO, CA and CH only, got {value['mm']!r}")
    for name, cell in (("mm", position.must_move), ("at", position.attacker)):
        if cell is not None and position.stacks.get(cell, (0,))[-1] != position.seat:
            raise ValueError(f"malformed state: {name}={cell_text(cell)} is not a stack of seat {position.seat}")


def _seat(text: str, position: Position, name: str) -> int:
    if text not in [str(seat) for seat in position.seats]:
        raise ValueError(f"malformed state: {name} names a seat 1 to {len(position.seats)}, got {text!r}")
    return int(text)


def _cell(text: str, position: Position, where: str) -> Cell:
    if not re.fullmatch(f"{_NUMBER},{_NUMBER}", text):
        raise ValueError(f"malformed cell {text!r} in {where}: a cell reads x,y")
    x, y = map(int, text.split(","))
    if (x, y) not in position.board.rays:
        raise ValueError(f"cell {text} in {where} is not on the board {position.board.name}")
    return (x, y)
