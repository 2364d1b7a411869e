"""Finding the regions that a seat may take (rules, sections 9.1 and 9.2).

The board becomes masks (one integer a grid row, one bit a column). The cells that a border colour does not close are
split into components by their runs of set bits, joined from row to row.
"""

from __future__ import annotations

from typing import Any

from ringrift_loop.engine.jit import kernel, wide
from ringrift_loop.engine.stacks import has_buried
from ringrift_loop.engine.state import CELLS, COLLAPSED, MARKER, MARKERS, ON_BOARD, RECOVERED, STACK, STACKS, TERR


@kernel
def find_regions(core: Any, s: Any, work: Any, seat: int) -> int:
    """Write the regions that `seat` may take into work.region_*; return their number.

    By border colour 1, 2, ..., then those that collapsed ground alone closes (colour 0), each by smallest cell. A cell
    set is listed once.
    """
    active = wide(0)
    collapsed = 0
    for other in range(core.players):
        active += s[ON_BOARD + other] > 0
        collapsed += s[TERR + other]
    recovered = s[RECOVERED] == 1
    if active == 0 or (s[STACKS + seat] == 0 and not recovered):
        return 0
    payable = paint_masks(core, s, work, seat)
    found = wide(0)
    no_colour = wide(0)
    for colour in range(1, core.players + 1):
        if s[MARKERS + colour - 1] > 0:
            found = _collect(core, work, colour, active, payable, found)
    if collapsed > 0 and active > 1:
        found = _collect(core, work, no_colour, active, payable, found)
    return found


@kernel
def paint_masks(core: Any, s: Any, work: Any, seat: int) -> int:
    """Paint work.markers, stacks, ground and payable; return the number of payable stacks.

    Payable are the stacks of `seat`, in a turn with a recovery those with a buried ring of it.
    """
    for row in range(core.side):
        work.ground[row] = 0
        work.payable[row] = 0
        for colour in range(4):
            work.markers[colour, row] = 0
            work.stacks[colour, row] = 0
    recovered = s[RECOVERED] == 1
    payable = 0
    for cell in range(core.num_cells):
        row = core.row[cell]
        bit = 1 << core.col[cell]
        kind = s[CELLS + cell]
        if kind == MARKER:
            work.markers[s[core.owner + cell], row] |= bit
        elif kind == STACK:
            owner = s[core.owner + cell]
            work.stacks[owner, row] |= bit
            if has_buried(core, s, cell, seat) if recovered else owner == seat:
                work.payable[row] |= bit
                payable += 1
        elif kind == COLLAPSED:
            work.ground[row] |= bit
    return payable


@kernel
def split(core: Any, work: Any, colour: int) -> int:
    """Split the cells that are neither collapsed nor markers of `colour` (0: no colour) into components.

    Reads the masks of `paint_masks`; writes work.run_*; a component's root is its first run. Returns the number of
    runs.
    """
    runs = wide(0)
    before = wide(0)
    before_end = wide(0)
    for row in range(core.side):
        closed = work.ground[row]
        if colour > 0:
            closed |= work.markers[colour - 1, row]
        rest = core.board_row[row] & ~closed
        here = runs
        while rest != 0:
            bits = rest & ~(rest + (rest & -rest))
            rest ^= bits
            work.run_bits[runs] = bits
            work.run_row[runs] = row
            work.run_root[runs] = runs
            reach = bits | bits << 1 if core.is_hex else bits
            for other in range(before, before_end):
                if work.run_bits[other] & reach:
                    _join(work, other, runs)
            runs += 1
        before = here
        before_end = runs
    for run in range(runs):
        work.run_root[run] = work.run_root[work.run_root[run]]
    return runs


@kernel
def _join(work: Any, one: int, two: int) -> None:
    """Join the components of two runs; the smaller root stays."""
    while work.run_root[one] != one:
        one = work.run_root[one]
    while work.run_root[two] != two:
        two = work.run_root[two]
    if one < two:
        work.run_root[two] = one
    elif two < one:
        work.run_root[one] = two


@kernel
def _collect(core: Any, work: Any, colour: int, active: int, payable: int, found: int) -> int:
    """Append the regions of one border colour (0: collapsed ground alone) that leave a payable stack outside."""
    runs = split(core, work, colour)
    # A single component, as there mostly is, holds every stack: none is left outside to pay.
    if not _is_split(work, runs):
        return found
    _sum_components(core, work, runs)
    for run in range(runs):
        if work.run_root[run] != run or work.inside[run] >= payable:
            continue
        owners = _count_bits(wide(work.owners[run]))
        if owners < active if colour > 0 else owners == 1:
            _write_region(core, work, run, runs, colour, found)
            if not _seen(core, work, found):
                found += 1
    return found


@kernel
def _is_split(work: Any, runs: int) -> bool:
    """Whether the runs are of more than one component; the first run is the root of its own."""
    others = 0
    for run in range(runs):
        others += work.run_root[run] != 0
    return others > 0


@kernel
def _sum_components(core: Any, work: Any, runs: int) -> None:
    """Sum size, owners and payable stacks of every component at its root."""
    for run in range(runs):
        root = work.run_root[run]
        if root == run:
            work.size[run] = 0
            work.owners[run] = 0
            work.inside[run] = 0
        bits = work.run_bits[run]
        row = work.run_row[run]
        work.size[root] += _count_bits(wide(bits))
        work.inside[root] += _count_bits(wide(bits) & work.payable[row])
        for seat in range(core.players):
            if bits & work.stacks[seat, row]:
                work.owners[root] |= 1 << seat


@kernel
def _count_bits(bits: int) -> int:
    count = 0
    while bits:
        bits &= bits - 1
        count += 1
    return count


@kernel
def _write_region(core: Any, work: Any, root: int, runs: int, colour: int, place: int) -> None:
    for row in range(core.side):
        work.region_rows[place, row] = 0
    for run in range(root, runs):
        if work.run_root[run] == root:
            work.region_rows[place, work.run_row[run]] |= work.run_bits[run]
    column = 0
    while not work.run_bits[root] >> column & 1:
        column += 1
    work.region_cell[place] = core.cell_at[work.run_row[root] * core.side + column]
    work.region_size[place] = work.size[root]
    work.region_colour[place] = colour


@kernel
def _seen(core: Any, work: Any, place: int) -> bool:
    """Whether the region just written has the cells of an earlier one."""
    for other in range(place):
        if work.region_cell[other] != work.region_cell[place] or work.region_size[other] != work.region_size[place]:
            continue
        same = True
        for row in range(core.side):
            if work.region_rows[other, row] != work.region_rows[place, row]:
                same = False
        if same:
            return True
    return False
