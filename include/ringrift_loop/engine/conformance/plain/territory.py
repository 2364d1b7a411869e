"""Regions and what taking one does, in the plain twin (docs/3-rules.md 9)."""

from __future__ import annotations

import zlib

from ringrift_loop.engine.conformance.plain.board import Cell
from ringrift_loop.engine.conformance.plain.position import Position, cap_height
from ringrift_loop.engine.conformance.plain.text import Move, cell_text

Region = frozenset[Cell]


def candidate_regions(position: Position) -> set[Region]:
    """The connected areas from which at least one colour that is on the board is shut out."""
    active = {ring for stack in position.stacks.values() for ring in stack}
    regions: set[Region] = set()
    if not active:
        return regions
    for border in set(position.markers.values()):
        for region in _components(position, border):
            if len(_owners(position, region)) < len(active):
                regions.add(region)
    if len(active) > 1:
        for region in _components(position, None):
            if len(_owners(position, region)) == 1:
                regions.add(region)
    return regions


def processable_regions(position: Position) -> set[Region]:
    """The candidate regions whose price the seat to move could pay with a stack outside."""
    payers = _payers(position)
    return {region for region in candidate_regions(position) if any(cell not in region for cell in payers)}


def region_text(region: Region) -> str:
    """TR:m/k/h: smallest cell, number of cells, checksum of all of them."""
    listed = " ".join(cell_text(cell) for cell in sorted(region))
    return f"TR:{cell_text(min(region))}/{len(region)}/{zlib.crc32(listed.encode()):08x}"


def territory_texts(position: Position) -> list[str]:
    """The moves of territory processing."""
    if position.owes_region_price:
        # The region itself is collapsed by now, so every stack left stands outside it.
        kind = "TB" if position.recovered else "TE"
        return [f"{kind}:{cell_text(cell)}" for cell in _payers(position)]
    texts = [region_text(region) for region in processable_regions(position)]
    return [*texts, "ST"] if texts else ["NT"]


def take_region(position: Position, move: Move) -> None:
    """TR: the region and its border become territory, its rings are eliminated; the price comes next."""
    region = next(region for region in processable_regions(position) if region_text(region) == move.text)
    border = _border(position, region)
    for cell in region:
        if cell in position.stacks:
            position.take_rings(cell, len(position.stacks[cell]), position.seat)
    for cell in region | border:
        position.collapse(cell, position.seat)
    position.owes_region_price = True


def pay_for_region(position: Position, move: Move) -> None:
    """TE: the whole cap of a controlled stack. TB, in a turn of recovery: the seat's lowest ring of a stack."""
    (cell,) = move.cells
    if move.kind == "TE":
        position.take_rings(cell, cap_height(position.stacks[cell]), position.seat)
    else:
        position.take_lowest_ring(cell, position.seat)
    position.owes_region_price = False


def _payers(position: Position) -> list[Cell]:
    return position.buried(position.seat) if position.recovered else position.controlled(position.seat)


def _owners(position: Position, region: Region) -> set[int]:
    return {position.stacks[cell][-1] for cell in region if cell in position.stacks}


def _components(position: Position, border: int | None) -> list[Region]:
    """The areas into which collapsed cells, and the markers of seat `border` if given, divide the board."""
    left = {cell for cell in position.board.cells if cell not in position.collapsed}
    if border is not None:
        left = {cell for cell in left if position.markers.get(cell) != border}
    components = []
    while left:
        frontier = [left.pop()]
        component = set(frontier)
        while frontier:
            for other in position.board.territory[frontier.pop()]:
                if other in left:
                    left.remove(other)
                    component.add(other)
                    frontier.append(other)
        components.append(frozenset(component))
    return components


def _border(position: Position, region: Region) -> set[Cell]:
    """The markers next to the region and, where the board spreads, every marker connected with them."""

    def outside_markers(cells: tuple[Cell, ...]) -> list[Cell]:
        return [cell for cell in cells if cell in position.markers and cell not in region]

    border: set[Cell] = set()
    frontier = [cell for inside in region for cell in outside_markers(position.board.territory[inside])]
    while frontier:
        cell = frontier.pop()
        if cell not in border:
            border.add(cell)
            frontier += outside_markers(position.board.spread[cell])
    return border
