"""Boards of the plain twin: their cells and the four neighbourhoods that the rules need (docs/3-rules.md 1)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

Cell = tuple[int, int]
"""A cell as (x, y). On hex boards these are the first two cube coordinates; the third is -x-y."""

Step = tuple[int, int]

_SQUARE_STEPS: tuple[Step, ...] = ((1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1))
_ORTHOGONAL_STEPS: tuple[Step, ...] = ((1, 0), (0, 1), (-1, 0), (0, -1))
_HEX_STEPS: tuple[Step, ...] = ((1, 0), (0, 1), (-1, 1), (-1, 0), (0, -1), (1, -1))

_SQUARE_SIZES = {"square8": 8, "square19": 19}
_HEX_RADII = {"hex8": 4, "hexagonal": 12}


@dataclass(frozen=True)
class PlainBoard:
    """One board's geometry.

    Attributes:
        cells: every cell, sorted by (x, y).
        rays: per cell, for each movement direction the cells from the next one to the edge.
        axes: line axes as vectors, in the order in which recovery tries them.
        territory: per cell, the neighbours that connect a region.
        spread: per cell, the neighbours along which a region's border grows; none on `hexagonal`.
    """

    name: str
    cells: tuple[Cell, ...]
    rays: dict[Cell, tuple[tuple[Cell, ...], ...]]
    axes: tuple[Step, ...]
    territory: dict[Cell, tuple[Cell, ...]]
    spread: dict[Cell, tuple[Cell, ...]]

    def neighbours(self, cell: Cell) -> list[Cell]:
        """The cells one movement step away, in direction order."""
        return [ray[0] for ray in self.rays[cell] if ray]

    def along(self, cell: Cell, axis: Step, sign: int) -> Iterable[Cell]:
        """The cells behind (`sign` -1) or ahead of (+1) `cell` on a line axis, nearest first, to the edge."""
        x, y = cell
        while True:
            x, y = x + sign * axis[0], y + sign * axis[1]
            if (x, y) not in self.rays:
                return
            yield (x, y)


@cache
def plain_board(name: str) -> PlainBoard:
    """The board `square8`, `square19`, `hex8` or `hexagonal`."""
    if name in _SQUARE_SIZES:
        size = _SQUARE_SIZES[name]
        cells = [(x, y) for x in range(size) for y in range(size)]
        return _build(name, cells, _SQUARE_STEPS, ((1, 0), (1, 1), (0, 1), (1, -1)), _ORTHOGONAL_STEPS, _SQUARE_STEPS)
    radius = _HEX_RADII[name]
    span = range(-radius, radius + 1)
    cells = [(x, y) for x in span for y in span if abs(x + y) <= radius]
    # On hex8 a border spreads along the eight *square* directions of (x, y); on hexagonal not at all (docs 9.4).
    spread = _SQUARE_STEPS if name == "hex8" else ()
    return _build(name, cells, _HEX_STEPS, ((1, 0), (1, -1), (0, -1)), _HEX_STEPS, spread)


def _build(
    name: str,
    cells: list[Cell],
    movement: tuple[Step, ...],
    axes: tuple[Step, ...],
    territory: tuple[Step, ...],
    spread: tuple[Step, ...],
) -> PlainBoard:
    on_board = frozenset(cells)

    def next_to(cell: Cell, steps: tuple[Step, ...]) -> tuple[Cell, ...]:
        around = ((cell[0] + dx, cell[1] + dy) for dx, dy in steps)
        return tuple(other for other in around if other in on_board)

    def ray(cell: Cell, step: Step) -> tuple[Cell, ...]:
        found = []
        x, y = cell[0] + step[0], cell[1] + step[1]
        while (x, y) in on_board:
            found.append((x, y))
            x, y = x + step[0], y + step[1]
        return tuple(found)

    return PlainBoard(
        name=name,
        cells=tuple(sorted(cells)),
        rays={cell: tuple(ray(cell, step) for step in movement) for cell in cells},
        axes=axes,
        territory={cell: next_to(cell, territory) for cell in cells},
        spread={cell: next_to(cell, spread) for cell in cells},
    )
