"""The twelve variants and the numbers that the kernels need about one of them (docs/3-rules.md, sections 1 and 2)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from ringrift_loop.engine.board import BOARD_NAMES, Board, board_for
from ringrift_loop.engine.state import CELLS

_RINGS_PER_SEAT = {"square8": 18, "square19": 72, "hex8": 18, "hexagonal": 96}
_PLY_BUDGETS = {
    "square8": (600, 900, 1400),
    "square19": (2400, 3000, 3600),
    "hex8": (600, 900, 1400),
    "hexagonal": (3600, 4200, 4800),
}
_SMALL_BOARDS = ("square8", "hex8")

MAX_CELLS = 469
MAX_SIDE = 25
MAX_RINGS = 4 * 96


@dataclass(frozen=True)
class Variant:
    """One rules setting: a board and a number of players."""

    name: str
    """`<board>_<players>p`, for example `hex8_2p`."""
    board: str
    players: int
    rings_per_seat: int
    line_length: int
    """Markers in a row that make a line."""
    elimination_target: int
    """Eliminated rings that win."""
    territory_target: int
    """Collapsed cells that win, if they are also more than all others' together."""
    ply_budget: int
    """Plies after which hosts cut a game off; the rules themselves have no limit."""


def _variant(board: str, players: int) -> Variant:
    rings = _RINGS_PER_SEAT[board]
    return Variant(
        name=f"{board}_{players}p",
        board=board,
        players=players,
        rings_per_seat=rings,
        line_length=3 if board in _SMALL_BOARDS and players > 2 else 4,
        elimination_target=round(rings * (players + 1) / 3),
        territory_target=board_for(board).num_cells // players + 1,
        ply_budget=_PLY_BUDGETS[board][players - 2],
    )


VARIANTS: dict[str, Variant] = {v.name: v for v in (_variant(board, n) for board in BOARD_NAMES for n in (2, 3, 4))}
"""All variants by name."""


def variant(name: str) -> Variant:
    """Return the variant of that name; raises ValueError with the twelve names for any other."""
    try:
        return VARIANTS[name]
    except KeyError:
        raise ValueError(f"no variant named {name!r}; the variants are {', '.join(VARIANTS)}") from None


CORE_DTYPE = np.dtype(
    [
        ("num_cells", np.int64),
        ("num_dirs", np.int64),
        ("num_axes", np.int64),
        ("side", np.int64),
        ("is_hex", np.int64),
        ("spreads", np.int64),
        ("players", np.int64),
        ("rings_per_seat", np.int64),
        ("line_length", np.int64),
        ("elimination_target", np.int64),
        ("territory_target", np.int64),
        ("pie_rule", np.int64),
        ("width", np.int64),
        ("owner", np.int64),
        ("height", np.int64),
        ("cap", np.int64),
        ("top", np.int64),
        ("bottom", np.int64),
        ("region", np.int64),
        ("below", np.int64),
        ("axis_fwd", np.int16, (4,)),
        ("axis_bwd", np.int16, (4,)),
        ("row", np.int16, (MAX_CELLS,)),
        ("col", np.int16, (MAX_CELLS,)),
        ("board_row", np.int32, (MAX_SIDE,)),
        ("cell_at", np.int16, (MAX_SIDE * MAX_SIDE,)),
        ("toward", np.int16, (9,)),
        ("step", np.int16, (8, MAX_CELLS)),
        ("seat_of", np.int16, (MAX_RINGS,)),
    ],
    align=True,
)
"""The record that kernels hand each other: what `Rules` and its `Board` say, in tables of one size for all variants.

A record is passed as one pointer. Passing `Rules` itself to every small kernel would copy some hundred words a call.
`row` and `col` are x and y plus the board's offset; `board_row` has a bit for every column of a grid row that is on the
board; `cell_at[row * side + col]` goes back; `toward[3 * (dx + 1) + dy + 1]` is the direction with those signs;
`seat_of` is a ring's owner; `spreads` says whether marker clusters collapse as a whole.
"""


class Rules(NamedTuple):
    """Everything the kernels know about a variant; the same numba type for all, so that kernels compile once.

    The fields from `kind` to `below` are offsets into a state row (state.py): `state[rules.kind + cell]` and so on.
    """

    board: Board
    players: int
    rings_per_seat: int
    line_length: int
    elimination_target: int
    territory_target: int
    ply_budget: int
    pie_rule: int
    """1 if seat 2 may swap sides at its first turn (two players only)."""
    num_rings: int
    """Rings of all seats; ring r belongs to seat r // rings_per_seat."""
    width: int
    """W, length of a state row."""
    max_moves: int
    """No state has more legal moves. A proven bound, far above what occurs: for one scratch buffer, not for a batch."""
    kind: int
    """+ cell: EMPTY, MARKER, STACK or COLLAPSED."""
    owner: int
    """+ cell: seat of the marker or of the collapsed cell, controller of the stack; -1 if empty."""
    height: int
    """+ cell: rings in the stack, 0 without one."""
    cap: int
    """+ cell: rings of the controller's colour counted from the top, 0 without a stack."""
    top: int
    """+ cell: the top ring, -1 without a stack."""
    bottom: int
    """+ cell: the bottom ring, -1 without a stack."""
    region: int
    """+ cell: 1 for the cells of the region whose price is owed."""
    below: int
    """+ ring: the ring under it, -1 if it is the lowest or not on the board."""
    core: Any
    """The same as one record (CORE_DTYPE), which kernels pass on."""


@cache
def rules_for(name: str, *, pie_rule: bool = False) -> Rules:
    """Return the numbers of a variant; raises ValueError for an unknown one.

    Args:
        name: one of VARIANTS.
        pie_rule: whether seat 2 may swap sides at its first turn; without effect for more than two players.
    """
    chosen = variant(name)
    board = board_for(chosen.board)
    cells = board.num_cells
    fields = {
        field: CELLS + place * cells
        for place, field in enumerate(("kind", "owner", "height", "cap", "top", "bottom", "region", "below"))
    }
    num_rings = chosen.players * chosen.rings_per_seat
    numbers = {
        "players": chosen.players,
        "rings_per_seat": chosen.rings_per_seat,
        "line_length": chosen.line_length,
        "elimination_target": chosen.elimination_target,
        "territory_target": chosen.territory_target,
        "pie_rule": int(pie_rule and chosen.players == 2),
        "width": fields["below"] + num_rings,
        **fields,
    }
    return Rules(
        board=board,
        ply_budget=chosen.ply_budget,
        num_rings=num_rings,
        max_moves=_move_bound(board, chosen),
        core=_core(board, num_rings, chosen.rings_per_seat, numbers),
        **numbers,
    )


def _move_bound(board: Board, chosen: Variant) -> int:
    """An upper bound of the legal moves of any state, from the phases that can have many.

    Placement: three counts a cell. Movement: a pair of cells on one ray is at most one move. Recovery: with m markers,
    at most D * min(m, N - m) slides and strikes, each paid from one of b stacks (b <= rings of a seat) or free with one
    of L windows.
    """
    cells = board.num_cells
    rays = 0
    for direction in range(board.num_dirs):
        step = board.step[direction]
        for cell in range(cells):
            current = int(step[cell])
            while current >= 0:
                rays += 1
                current = int(step[current])
    recovery = board.num_dirs * (cells // 2) * (chosen.rings_per_seat + chosen.line_length)
    return max(3 * cells + 2, rays + 1, recovery + 1)


def _core(board: Board, num_rings: int, rings_per_seat: int, numbers: dict[str, int]) -> Any:
    cells = board.num_cells
    core = np.zeros(1, CORE_DTYPE)
    for field, value in numbers.items():
        if field in CORE_DTYPE.names:  # type: ignore[operator]
            core[field] = value
    for field in ("num_cells", "num_dirs", "num_axes", "side", "is_hex"):
        core[field] = int(getattr(board, field))
    core["row"][0, :cells] = board.x + board.offset
    core["col"][0, :cells] = board.y + board.offset
    core["spreads"] = int(bool((board.spread_nbr >= 0).any()))
    core["cell_at"] = -1
    core["cell_at"][0, board.grid] = np.arange(cells)
    np.bitwise_or.at(core["board_row"][0], core["row"][0, :cells], 1 << core["col"][0, :cells].astype(np.int32))
    core["toward"][0] = _toward(board)
    core["axis_fwd"][0] = board.axis_fwd
    core["axis_bwd"][0] = board.axis_bwd
    core["step"][0, :, :cells] = board.step
    core["seat_of"][0, :num_rings] = np.arange(num_rings) // rings_per_seat
    return core[0]


def _toward(board: Board) -> list[int]:
    """The direction for each pair of signs, [9], -1 where there is none; read off a cell in the middle."""
    middle = int(np.flatnonzero((board.step[: board.num_dirs] >= 0).all(axis=0))[0])
    directions = [-1] * 9
    for direction in range(board.num_dirs):
        there = int(board.step[direction, middle])
        dx, dy = int(board.x[there] - board.x[middle]), int(board.y[there] - board.y[middle])
        directions[3 * (dx + 1) + dy + 1] = direction
    return directions
