"""The four boards as flat index tables (docs/3-rules.md, section 1).

A cell is its place in the list of all cells sorted by (x, y). Directions, axes and neighbourhoods are tables over these
numbers, so the kernels know no coordinates and treat square and hex boards alike. Open rules.py next.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Int16 = NDArray[np.int16]
Int32 = NDArray[np.int32]

_SQUARE_SIDES = {"square8": 8, "square19": 19}
_HEX_RADII = {"hex8": 4, "hexagonal": 12}
BOARD_NAMES = (*_SQUARE_SIDES, *_HEX_RADII)

# Opposite directions stand half a list apart.
_SQUARE_DIRECTIONS = ((1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1))
_HEX_DIRECTIONS = ((1, 0), (0, 1), (-1, 1), (-1, 0), (0, -1), (1, -1))

# The order matters: a recovery slide counts on the first axis that qualifies (rules, section 11).
_SQUARE_AXES = ((1, 0), (1, 1), (0, 1), (1, -1))
_HEX_AXES = ((1, 0), (1, -1), (0, -1))

Cell = tuple[int, int]


class Board(NamedTuple):
    """One board's geometry; N cells, D directions, A line axes. Arrays are read-only; -1 means "off the board".

    On hex boards x and y are signed cube coordinates (z = -x-y).
    """

    num_cells: int
    side: int
    """Side of the square grid that holds the board: 8, 19, 9 (hex8), 25 (hexagonal)."""
    is_hex: bool
    offset: int
    """Added to x and y to get the grid row and column: 0 on square boards, the radius on hex boards."""
    num_dirs: int
    """8 on square boards, 6 on hex boards."""
    num_axes: int
    """4 on square boards, 3 on hex boards."""
    x: Int16
    """[N]."""
    y: Int16
    """[N]."""
    grid: Int32
    """[N]: (x + offset) * side + (y + offset), the cell's place in a [side, side] plane."""
    step: Int16
    """[8, N]: the next cell in a movement direction. Direction (d + num_dirs / 2) % num_dirs is d's opposite."""
    axis_fwd: Int16
    """[4]: the direction along each line axis, -1 where there is no such axis."""
    axis_bwd: Int16
    """[4]: its opposite."""
    spread_nbr: Int16
    """[N, 8]: neighbours over which a marker cluster collapses (rules, section 9.4), real ones first. On hex8 the eight
    square directions of (x, y); none on hexagonal."""
    sym: Int16
    """[S, N]: sym[s, c] is where symmetry s sends cell c; S = 8 or 12, sym[0] is the identity. They keep movement,
    lines and territory; on hex8 only the four that map (1, 1) to itself or (-1, -1) also keep the spreading rule."""


@cache
def board_for(name: str) -> Board:
    """Return the board of that name; raises ValueError for another name than BOARD_NAMES."""
    if name in _SQUARE_SIDES:
        side = _SQUARE_SIDES[name]
        cells = [(x, y) for x in range(side) for y in range(side)]
        return _build(cells, side, 0, _SQUARE_DIRECTIONS, _SQUARE_AXES, _SQUARE_DIRECTIONS)
    if name in _HEX_RADII:
        radius = _HEX_RADII[name]
        span = range(-radius, radius + 1)
        cells = [(x, y) for x in span for y in span if abs(x + y) <= radius]
        spread = _SQUARE_DIRECTIONS if name == "hex8" else ()
        return _build(cells, 2 * radius + 1, radius, _HEX_DIRECTIONS, _HEX_AXES, spread)
    raise ValueError(f"no board named {name!r}; the boards are {', '.join(BOARD_NAMES)}")


def _build(
    cells: list[Cell],
    side: int,
    offset: int,
    directions: tuple[Cell, ...],
    axes: tuple[Cell, ...],
    spread: tuple[Cell, ...],
) -> Board:
    index = {cell: number for number, cell in enumerate(cells)}
    half = len(directions) // 2
    forward = [directions.index(axis) for axis in axes]
    backward = [(d + half) % len(directions) for d in forward]
    is_hex = offset > 0
    return Board(
        num_cells=len(cells),
        side=side,
        is_hex=is_hex,
        offset=offset,
        num_dirs=len(directions),
        num_axes=len(axes),
        x=_frozen([x for x, _ in cells]),
        y=_frozen([y for _, y in cells]),
        grid=_frozen_grid(cells, side, offset),
        step=_frozen(np.ascontiguousarray(_neighbours(cells, index, directions, 8).T)),
        axis_fwd=_frozen(forward + [-1] * (4 - len(axes))),
        axis_bwd=_frozen(backward + [-1] * (4 - len(axes))),
        spread_nbr=_frozen(_packed(_neighbours(cells, index, spread, 8))),
        sym=_frozen(_hex_symmetries(cells, index) if is_hex else _square_symmetries(cells, index, side)),
    )


def _neighbours(cells: list[Cell], index: dict[Cell, int], offsets: tuple[Cell, ...], width: int) -> Int16:
    """[N, width]: the neighbour at each offset, in the offsets' order, -1 where there is none."""
    table = np.full((len(cells), width), -1, np.int16)
    for number, (x, y) in enumerate(cells):
        for place, (dx, dy) in enumerate(offsets):
            table[number, place] = index.get((x + dx, y + dy), -1)
    return table


def _packed(table: Int16) -> Int16:
    """Moves the real neighbours of each row to its front."""
    order = np.argsort(table < 0, axis=1, kind="stable")
    return np.take_along_axis(table, order, axis=1)


def _square_symmetries(cells: list[Cell], index: dict[Cell, int], side: int) -> Int16:
    last = side - 1
    rows = []
    for swap in (False, True):
        for flip_x in (False, True):
            for flip_y in (False, True):
                images = []
                for x, y in cells:
                    a, b = (y, x) if swap else (x, y)
                    images.append(index[(last - a if flip_x else a, last - b if flip_y else b)])
                rows.append(images)
    return np.array(rows, np.int16)


def _hex_symmetries(cells: list[Cell], index: dict[Cell, int]) -> Int16:
    """Six rotations by 60 degrees, (x, y, z) -> (-y, -z, -x), then the same after exchanging x and y."""
    rows = []
    for mirror in (False, True):
        images = [(y, x) if mirror else (x, y) for x, y in cells]
        for _ in range(6):
            rows.append([index[image] for image in images])
            images = [(-y, x + y) for x, y in images]
    return np.array(rows, np.int16)


def _frozen(values: list[int] | Int16) -> Int16:
    array = np.array(values, np.int16)
    array.flags.writeable = False
    return array


def _frozen_grid(cells: list[Cell], side: int, offset: int) -> Int32:
    array = np.array([(x + offset) * side + y + offset for x, y in cells], np.int32)
    array.flags.writeable = False
    return array
