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
    ELIM,
    HAND,
    LPS_COUNT,
    LPS_LEAD,
    MARKERS,
    ON_BOARD,
    STACKS,
    TERR,
    TO_PLAY,
)
from ringrift_loop.search.tally import BURIED, CAPS, CAPTURES, FAR, HELD, MOBILITY, NEAR, READY, THREATENED

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
def write_features(core: Any, s: NDArray[np.int16], counts: NDArray[np.int64], out: NDArray[np.float64]) -> None:
    """Write the features of every seat of a running game into out [P, NUM_FEATURES].

    Args:
        core: of the rules.
        s: state [W].
        counts: [>= P, NUM_COUNTS] what tally.py has counted on its board.
        out: written.
    """
    cells, rings = float(core.num_cells), float(core.rings_per_seat)
    for seat in range(core.players):
        out[seat, _TERRITORY] = s[TERR + seat] / core.territory_target
        out[seat, _TERRITORY_2] = out[seat, _TERRITORY] ** 2
        out[seat, _ELIMINATED] = s[ELIM + seat] / core.elimination_target
        out[seat, _ELIMINATED_2] = out[seat, _ELIMINATED] ** 2
        out[seat, _HAND] = s[HAND + seat] / rings
        out[seat, _STACKS] = s[STACKS + seat] * 8.0 / cells
        out[seat, _CAPS] = counts[seat, CAPS] / rings
        out[seat, _HELD] = counts[seat, HELD] / rings
        out[seat, _BURIED] = counts[seat, BURIED] / rings
        out[seat, _MARKERS] = s[MARKERS + seat] * 4.0 / cells
        out[seat, _MOBILITY] = counts[seat, MOBILITY] * (2.0 / cells)
        out[seat, _CAPTURES] = counts[seat, CAPTURES] * (4.0 / cells)
        out[seat, _THREATENED] = counts[seat, THREATENED] * (4.0 / cells)
        out[seat, _READY] = counts[seat, READY] * (8.0 / cells)
        out[seat, _NEAR] = counts[seat, NEAR] * (8.0 / cells)
        out[seat, _FAR] = counts[seat, FAR] * (8.0 / cells)
        out[seat, _NO_STACK] = 1.0 if s[STACKS + seat] == 0 else 0.0
        out[seat, _OUT] = 1.0 if s[HAND + seat] + s[ON_BOARD + seat] == 0 else 0.0
        out[seat, _TO_PLAY] = 1.0 if s[TO_PLAY] == seat else 0.0
        out[seat, _LAST_STANDING] = s[LPS_COUNT] / 3.0 if s[LPS_LEAD] == seat else 0.0
