"""A position of the plain twin, and the small board operations that every rule uses (docs/3-rules.md 3)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ringrift_loop.engine.conformance.plain.board import Cell, PlainBoard, plain_board
from ringrift_loop.engine.rules import Variant

Stack = tuple[int, ...]
"""Ring colours (seats) from the bottom to the top, never empty."""


@dataclass
class LastStanding:
    """The last-player-standing tracker (docs/3-rules.md 14)."""

    first: int | None = None
    mask: dict[int, bool] = field(default_factory=dict)
    lead: int | None = None
    count: int = 0


@dataclass
class Position:
    """Everything that decides what may be played and what it does. Seats are numbered from 1."""

    variant: Variant
    board: PlainBoard
    hands: dict[int, int]
    eliminated: dict[int, int]
    stacks: dict[Cell, Stack] = field(default_factory=dict)
    markers: dict[Cell, int] = field(default_factory=dict)
    collapsed: dict[Cell, int] = field(default_factory=dict)
    phase: str = "RP"
    seat: int = 1
    winner: int | None = None
    result: str | None = None
    must_move: Cell | None = None
    attacker: Cell | None = None
    owes_line_ring: bool = False
    owes_region_price: bool = False
    acted: bool = False
    recovered: bool = False
    swap_open: bool = False
    turn: int = 1
    standing: LastStanding = field(default_factory=LastStanding)
    lost_last_ring_at: dict[int, int] = field(default_factory=dict)
    """Turn, from 1, in which a seat lost its last ring; 0 for before the text that the position was read from."""

    @property
    def seats(self) -> range:
        """All seats, 1 to N."""
        return range(1, self.variant.players + 1)

    def copy(self) -> Position:
        """A position that shares nothing that changes with this one."""
        return replace(
            self,
            hands=dict(self.hands),
            eliminated=dict(self.eliminated),
            stacks=dict(self.stacks),
            markers=dict(self.markers),
            collapsed=dict(self.collapsed),
            standing=replace(self.standing, mask=dict(self.standing.mask)),
            lost_last_ring_at=dict(self.lost_last_ring_at),
        )

    def is_clear(self, cell: Cell) -> bool:
        """Whether a stack may pass over or land on the cell: markers do not block, stacks and collapse do."""
        return cell not in self.stacks and cell not in self.collapsed

    def is_empty(self, cell: Cell) -> bool:
        """Whether the cell holds nothing at all."""
        return self.is_clear(cell) and cell not in self.markers

    def controlled(self, seat: int) -> list[Cell]:
        """Cells of the stacks whose top ring is `seat`'s, sorted."""
        return sorted(cell for cell, stack in self.stacks.items() if stack[-1] == seat)

    def controls_a_stack(self, seat: int) -> bool:
        """Whether some top ring is `seat`'s."""
        return any(stack[-1] == seat for stack in self.stacks.values())

    def buried(self, seat: int) -> list[Cell]:
        """Cells of the stacks that hold a ring of `seat` below their top ring, sorted."""
        return sorted(cell for cell, stack in self.stacks.items() if seat in stack[:-1])

    def owns_a_ring(self, seat: int) -> bool:
        """Whether the seat has a ring in hand or anywhere in a stack."""
        return self.hands[seat] > 0 or any(seat in stack for stack in self.stacks.values())

    def territory(self, seat: int) -> int:
        """Number of cells collapsed for the seat."""
        return sum(1 for owner in self.collapsed.values() if owner == seat)

    def collapse(self, cell: Cell, seat: int) -> None:
        """Make the cell the seat's territory for good; a marker on it vanishes."""
        self.markers.pop(cell, None)
        self.collapsed[cell] = seat

    def take_rings(self, cell: Cell, count: int, credit: int) -> None:
        """Eliminate the top `count` rings of a stack, credited to `credit`; an emptied stack vanishes."""
        rest = self.stacks[cell][: len(self.stacks[cell]) - count]
        self.eliminated[credit] += count
        self._put(cell, rest)

    def take_lowest_ring(self, cell: Cell, seat: int) -> None:
        """Eliminate the seat's own lowest ring of a stack, credited to the seat; an emptied stack vanishes."""
        stack = self.stacks[cell]
        at = stack.index(seat)
        self.eliminated[seat] += 1
        self._put(cell, stack[:at] + stack[at + 1 :])

    def _put(self, cell: Cell, stack: Stack) -> None:
        if stack:
            self.stacks[cell] = stack
        else:
            del self.stacks[cell]


def cap_height(stack: Stack) -> int:
    """Length of the run of the controller's rings, counted from the top; at least 1."""
    height = 1
    while height < len(stack) and stack[-1 - height] == stack[-1]:
        height += 1
    return height


def start_position(variant: Variant, *, pie_rule: bool = False) -> Position:
    """The empty board with full hands, seat 1 to place."""
    seats = range(1, variant.players + 1)
    return Position(
        variant=variant,
        board=plain_board(variant.board),
        hands=dict.fromkeys(seats, variant.rings_per_seat),
        eliminated=dict.fromkeys(seats, 0),
        swap_open=pie_rule and variant.players == 2,
    )
