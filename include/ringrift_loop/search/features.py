"""What the heuristic sees of a state: one row of numbers per seat, each of the order of 1 at most.

The numbers are scaled by the size of the board and the targets of the variant, so that one set of weights carries
over from board to board. heuristic.py weighs them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringrift_loop.engine.jit import kernel_decorator
from ringrift_loop.engine.state import (
    CELLS,
    COLLAPSED,
    ELIM,
    HAND,
    LPS_COUNT,
    LPS_LEAD,
    MARKER,
    MARKERS,
    ON_BOARD,
    STACK,
    STACKS,
    TERR,
    TO_PLAY,
)

kernel = kernel_decorator(Path(__file__).parent)

FEATURES = (
    "territory",  # collapsed cells / territory target
    "territory_squared",  # the last cells count more
    "eliminated",  # eliminated rings / elimination target
    "eliminated_squared",
    "hand",  # rings in hand / rings of a seat
    "stacks",  # controlled stacks, per 8 cells of the board
    "caps",  # rings in the caps of controlled stacks / rings of a seat
    "held",  # rings under those caps, of any colour / rings of a seat
    "buried",  # own rings in stacks of others / rings of a seat
    "markers",  # own markers, per 4 cells
    "mobility",  # rays along which a controlled stack can move, per 2 cells
    "captures",  # captures of others' stacks that its stacks could make, per 4 cells
    "threatened",  # captures of its stacks that others could make, per 4 cells
    "lines_ready",  # windows of line length full of own markers, per 8 cells
    "lines_near",  # windows that lack one own marker, per 8 cells
    "lines_far",  # windows that lack two, per 8 cells
    "no_stack",  # 1 if it controls no stack
    "out",  # 1 if it has no ring left in hand or on the board
    "to_play",  # 1 for the seat to move
    "last_standing",  # rounds for which it alone could act / 3
)
NUM_FEATURES = len(FEATURES)
FEATURES_VERSION = 1
"""Raised whenever a feature comes to mean something else: the players that weigh it are then other players."""

(
    _TERRITORY, _TERRITORY_2, _ELIMINATED, _ELIMINATED_2, _HAND, _STACKS, _CAPS, _HELD, _BURIED, _MARKERS,
    _MOBILITY, _CAPTURES, _THREATENED, _READY, _NEAR, _FAR, _NO_STACK, _OUT, _TO_PLAY, _LAST_STANDING,
) = range(NUM_FEATURES)  # fmt: skip


@kernel
def write_features(core: Any, s: NDArray[np.int16], out: NDArray[np.float64]) -> None:
    """Write the features of every seat of a running game into out [P, NUM_FEATURES]."""
    out[:] = 0.0
    for cell in range(core.num_cells):
        if s[CELLS + cell] == STACK:
            _add_stack(core, s, cell, out)
    _add_lines(core, s, out)
    cells, rings = float(core.num_cells), float(core.rings_per_seat)
    for seat in range(core.players):
        row = out[seat]
        row[_TERRITORY] = s[TERR + seat] / core.territory_target
        row[_TERRITORY_2] = row[_TERRITORY] ** 2
        row[_ELIMINATED] = s[ELIM + seat] / core.elimination_target
        row[_ELIMINATED_2] = row[_ELIMINATED] ** 2
        row[_HAND] = s[HAND + seat] / rings
        row[_STACKS] = s[STACKS + seat] * 8.0 / cells
        row[_CAPS] /= rings
        row[_HELD] /= rings
        row[_BURIED] /= rings
        row[_MARKERS] = s[MARKERS + seat] * 4.0 / cells
        row[_MOBILITY] *= 2.0 / cells
        row[_CAPTURES] *= 4.0 / cells
        row[_THREATENED] *= 4.0 / cells
        row[_READY] *= 8.0 / cells
        row[_NEAR] *= 8.0 / cells
        row[_FAR] *= 8.0 / cells
        row[_NO_STACK] = 1.0 if s[STACKS + seat] == 0 else 0.0
        row[_OUT] = 1.0 if s[HAND + seat] + s[ON_BOARD + seat] == 0 else 0.0
        row[_TO_PLAY] = 1.0 if s[TO_PLAY] == seat else 0.0
        row[_LAST_STANDING] = s[LPS_COUNT] / 3.0 if s[LPS_LEAD] == seat else 0.0


@kernel
def _add_stack(core: Any, s: NDArray[np.int16], cell: int, out: NDArray[np.float64]) -> None:
    seat, height, cap = s[core.owner + cell], s[core.height + cell], s[core.cap + cell]
    out[seat, _CAPS] += cap
    out[seat, _HELD] += height - cap
    ring = s[core.top + cell]
    for depth in range(height):
        if depth >= cap and core.seat_of[ring] != seat:
            out[core.seat_of[ring], _BURIED] += 1
        ring = s[core.below + ring]
    for direction in range(core.num_dirs):
        there = core.step[direction, cell]
        distance = 1
        while there >= 0 and s[CELLS + there] != STACK and s[CELLS + there] != COLLAPSED:
            there = core.step[direction, there]
            distance += 1
        if distance > height:
            out[seat, _MOBILITY] += 1
        if there < 0 or s[CELLS + there] != STACK or s[core.cap + there] > cap or s[core.owner + there] == seat:
            continue
        target = s[core.owner + there]
        landing = core.step[direction, there]
        while landing >= 0 and s[CELLS + landing] != STACK and s[CELLS + landing] != COLLAPSED:
            distance += 1
            if distance >= height:
                out[seat, _CAPTURES] += 1
                out[target, _THREATENED] += 1
                break
            landing = core.step[direction, landing]


@kernel
def _add_lines(core: Any, s: NDArray[np.int16], out: NDArray[np.float64]) -> None:
    """Count, for each seat, the windows of line length without stacks and collapsed cells by the markers they lack."""
    length = core.line_length
    owners = s[core.owner : core.owner + core.num_cells]
    for axis in range(core.num_axes):
        forward = core.axis_fwd[axis]
        for start in range(core.num_cells):
            own = 0  # markers by seat, 8 bits each
            cell, seen, marked = start, 0, 0
            while seen < length and cell >= 0 and s[CELLS + cell] < STACK:
                if s[CELLS + cell] == MARKER:
                    own += 1 << (8 * owners[cell])
                    marked += 1
                cell = core.step[forward, cell]
                seen += 1
            if seen < length or marked < length - 2:
                continue
            for seat in range(core.players):
                lacking = length - (own >> (8 * seat) & 0xFF)
                if lacking == 0:
                    out[seat, _READY] += 1
                elif lacking == 1:
                    out[seat, _NEAR] += 1
                elif lacking == 2:
                    out[seat, _FAR] += 1
