"""Regions and what taking one does (rules, section 9).

Regions are found in regions.py; here as there, a set of cells is a mask of one integer a grid row, one bit a column.
"""

from __future__ import annotations

from typing import Any

from ringrift_loop.engine.ground import collapse
from ringrift_loop.engine.jit import kernel, wide
from ringrift_loop.engine.moves import NT, ST, TB, TE, TR, field_a, field_b, pack
from ringrift_loop.engine.regions import find_regions, paint_masks, split
from ringrift_loop.engine.stacks import eliminate_stack, has_buried
from ringrift_loop.engine.state import CELLS, OWES_REGION, RECOVERED, STACK, TO_PLAY


@kernel
def list_territory_moves(core: Any, s: Any, work: Any, seat: int, moves: Any) -> int:
    """List the moves of territory processing: TE or TB while a price is owed; else every TR and ST; or NT."""
    if s[OWES_REGION] == 1:
        return _list_prices(core, s, seat, moves)
    found = find_regions(core, s, work, seat)
    for place in range(found):
        moves[place] = pack(
            TR, wide(work.region_cell[place]), wide(work.region_colour[place]), wide(work.region_size[place])
        )
    moves[found] = ST if found > 0 else NT
    return found + 1


@kernel
def any_region(core: Any, s: Any, work: Any, seat: int) -> bool:
    """Whether the seat could take a region now."""
    return find_regions(core, s, work, seat) > 0


@kernel
def _list_prices(core: Any, s: Any, seat: int, moves: Any) -> int:
    n = 0
    recovered = s[RECOVERED] == 1
    for cell in range(core.num_cells):
        if s[CELLS + cell] != STACK or s[core.region + cell] == 1:
            continue
        if recovered:
            if has_buried(core, s, cell, seat):
                moves[n] = pack(TB, cell)
                n += 1
        elif s[core.owner + cell] == seat:
            moves[n] = pack(TE, cell)
            n += 1
    return n


@kernel
def take_region(core: Any, s: Any, work: Any, move: int, seat: int) -> None:
    """Play TR: the region and its border collapse, its rings are eliminated, and a price is owed."""
    _mark_region(core, s, work, field_a(move), field_b(move))
    _mark_border(core, work)
    for cell in range(core.num_cells):
        row = core.row[cell]
        bit = 1 << core.col[cell]
        if work.mask[row] & bit:
            s[core.region + cell] = 1
            if s[CELLS + cell] == STACK:
                eliminate_stack(core, s, cell, seat)
            collapse(core, s, cell, seat)
        elif work.open[row] & bit:
            collapse(core, s, cell, seat)
    s[OWES_REGION] = 1


@kernel
def region_mask(core: Any, s: Any, work: Any, move: int, out: Any) -> None:
    """Write into out bool [N] which cells the region of a TR move has, its border not included."""
    _mark_region(core, s, work, field_a(move), field_b(move))
    for cell in range(core.num_cells):
        out[cell] = work.mask[core.row[cell]] >> core.col[cell] & 1 == 1


@kernel
def _mark_region(core: Any, s: Any, work: Any, cell: int, colour: int) -> None:
    """Write the cells of the region that contains `cell` into work.mask."""
    paint_masks(core, s, work, wide(s[TO_PLAY]))
    for row in range(core.side):
        work.mask[row] = 0
    runs = split(core, work, colour)
    target = -1
    for run in range(runs):
        if work.run_row[run] == core.row[cell] and work.run_bits[run] >> core.col[cell] & 1:
            target = work.run_root[run]
    for run in range(runs):
        if work.run_root[run] == target:
            work.mask[work.run_row[run]] |= work.run_bits[run]


@kernel
def _mark_border(core: Any, work: Any) -> None:
    """Write the markers that collapse with the region work.mask into work.open: those next to it and their clusters."""
    last = core.side - 1
    for row in range(core.side):
        near = work.mask[row] << 1 | work.mask[row] >> 1
        if row > 0:
            before = work.mask[row - 1]
            near |= before | (before >> 1 if core.is_hex else 0)
        if row < last:
            after = work.mask[row + 1]
            near |= after | (after << 1 if core.is_hex else 0)
        work.open[row] = near & _free_markers(work, row)
    grown = core.spreads == 1
    while grown:
        grown = False
        for row in range(core.side):
            near = work.open[row]
            if row > 0:
                near |= work.open[row - 1]
            if row < last:
                near |= work.open[row + 1]
            wider = (near | near << 1 | near >> 1) & _free_markers(work, row)
            if wider != work.open[row]:
                work.open[row] = wider
                grown = True


@kernel
def _free_markers(work: Any, row: int) -> int:
    """Markers of any colour outside the region, in one row."""
    every = work.markers[0, row] | work.markers[1, row] | work.markers[2, row] | work.markers[3, row]
    return wide(every & ~work.mask[row])


@kernel
def pay_for_region(core: Any, s: Any) -> None:
    """Note that the price of the last region has been paid."""
    s[OWES_REGION] = 0
    for cell in range(core.num_cells):
        s[core.region + cell] = 0
