"""What the network sees of a legal move: six integers.

The kind is refined to a *type* (how many rings are placed, which seat's markers border a region, counted from the
mover), so that the policy head needs no option table. Cells are places in the flat grid; `side * side` stands for
"none".
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ringrift_loop.engine import moves as mv
from ringrift_loop.engine import state as st
from ringrift_loop.engine.jit import kernel_decorator
from ringrift_loop.network.planes import KERNEL_FOLDER

kernel = kernel_decorator(KERNEL_FOLDER)
allocating = kernel_decorator(KERNEL_FOLDER, allocates=True)

TYPE: Final = 0
FIRST: Final = 1
"""Where it happens or starts: placement, origin, payment, line end, a region's smallest cell."""
SECOND: Final = 2
"""Destination; the line's other end; for a placement its cell again."""
THIRD: Final = 3
"""Captured stack; payment of a recovery; first end of a window."""
FOURTH: Final = 4
"""Last end of a window."""
SIZE: Final = 5
"""Cells of a region, else 0."""
MOVE_COLUMNS: Final = 6

# Types 0..2: PL of 1..3 rings; 20..24: TR bordered by collapse alone, the mover, the next seat, ...
_TYPE_BEFORE_TR: Final = 2
_TYPE_TR: Final = 20
_TYPE_AFTER_TR: Final = 6
NUM_MOVE_TYPES: Final = 30


@kernel
def encode_moves(
    core: Any,
    state: NDArray[np.int16],
    image: NDArray[np.int32],
    moves: NDArray[np.int64],
    count: int,
    out: NDArray[np.int32],
) -> None:
    """Fill the features of a state's legal moves.

    Args:
        core: `Rules.core`.
        state: int16 [W], the state in which the moves are legal.
        image: int32 [N], as for `encode_state`.
        moves: int64, of which the first `count` are read.
        count: how many.
        out: int32 [>= count, MOVE_COLUMNS], overwritten.
    """
    none = core.side * core.side
    for index in range(count):
        move = moves[index]
        kind = mv.kind_of(move)
        a, b, c, d = mv.field_a(move), mv.field_b(move), mv.field_c(move), mv.field_d(move)
        row = out[index]
        row[TYPE] = kind + (_TYPE_BEFORE_TR if kind < mv.TR else _TYPE_AFTER_TR)
        row[FIRST:SIZE] = none
        row[SIZE] = 0
        if kind == mv.PL:
            row[TYPE] = b - 1
            row[FIRST] = row[SECOND] = image[a]
        elif kind == mv.TR:
            row[TYPE] = _TYPE_TR if b == 0 else _TYPE_TR + 1 + (b - 1 - state[st.TO_PLAY]) % core.players
            row[FIRST] = _smallest_image(core, state, image, a, b)
            row[SIZE] = c
        elif kind == mv.LP or kind == mv.LO:
            # Ends of a line have no direction: under a symmetry they are sorted anew.
            row[FIRST], row[SECOND] = min(image[a], image[b]), max(image[a], image[b])
            if kind == mv.LO:
                row[THIRD], row[FOURTH] = min(image[c], image[d]), max(image[c], image[d])
        elif kind == mv.MV:
            row[FIRST], row[SECOND] = image[a], image[b]
        elif kind == mv.RL2:
            row[FIRST], row[SECOND] = image[a], image[b]
            row[THIRD], row[FOURTH] = min(image[c], image[d]), max(image[c], image[d])
        elif kind in (mv.CP, mv.CC, mv.RL1, mv.RF, mv.RS):
            row[FIRST], row[SECOND], row[THIRD] = image[a], image[b], image[c]
        elif kind in (mv.LE, mv.TE, mv.TB, mv.FE):
            row[FIRST] = image[a]


@allocating
def _smallest_image(core: Any, state: NDArray[np.int16], image: NDArray[np.int32], first: int, border: int) -> int:
    """Smallest grid place among the images of a region's cells; the region's smallest cell if nothing is turned.

    The region is the component of `first` among the cells that are neither collapsed nor markers of seat `border - 1`
    (rules, section 9.1).
    """
    smallest = image[first]
    turned = False
    for cell in range(core.num_cells - 1):
        if image[cell] > image[cell + 1]:
            turned = True
            break
    if not turned:
        return int(smallest)
    seen = np.zeros(core.num_cells, np.bool_)
    queue = np.empty(core.num_cells, np.int16)
    queue[0] = first
    seen[first] = True
    head, tail = 0, 1
    while head < tail:
        cell = queue[head]
        head += 1
        smallest = min(smallest, image[cell])
        # Regions hang together by the six hex directions or the four orthogonal ones, every other of eight.
        for direction in range(0, core.num_dirs, 1 if core.num_dirs == 6 else 2):
            neighbour = core.step[direction, cell]
            if neighbour < 0:
                continue
            kind = state[st.CELLS + neighbour]
            is_border = kind == st.MARKER and state[core.owner + neighbour] == border - 1
            if seen[neighbour] or kind == st.COLLAPSED or is_border:
                continue
            seen[neighbour] = True
            queue[tail] = neighbour
            tail += 1
    return int(smallest)
