"""What the network sees of a state: the planes, and the kernel that fills them.

A state becomes NUM_PLANES pictures of the board's square grid (row x + offset, column y + offset). All planes of a seat
come in groups of four, rotated so that the seat to move comes first; seats that the variant lacks stay 0. The last
plane is no
picture: its first NUM_GLOBALS places hold the numbers that belong to no cell (phase, hands, progress, ...). Packed like
that they cost one plane instead of sixty. The model reads them in model.py.

Counts enter as log2(1 + n) / 2: 1 ring is .5, 3 are 1, 96 are 3.3; monotone, so none are confused, and never large.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ringrift_loop.engine import state as st
from ringrift_loop.engine.jit import kernel_decorator

KERNEL_FOLDER: Final = Path(__file__).parent
"""To be named by the decorator of every kernel that calls one of this package."""
kernel = kernel_decorator(KERNEL_FOLDER)

SEATS: Final = 4

# --- planes; those marked 4x hold one plane a seat, mover first -------------------------------------------------------
MASK: Final = 0
"""1 on the cells of the board."""
CONTROLLER: Final = 1
"""4x: controls the stack."""
SECOND: Final = 5
"""4x: owns the ring just under the top ring, which takes over when the stack lands on a marker."""
UNDER_CAP: Final = 9
"""4x: owns the first ring under the cap, which takes over when the cap is paid."""
BOTTOM: Final = 13
"""4x: owns the lowest ring."""
BURIED: Final = 17
"""4x: rings of the seat below the cap, log."""
MARKER: Final = 21
"""4x: the seat's markers."""
COLLAPSED: Final = 25
"""4x: the seat's collapsed cells."""
LINE: Final = 29
"""4x: length of the longest line that a marker of the seat would make here, over the line length, at most 1."""
HEIGHT: Final = 33
"""Height of the stack, log."""
CAP: Final = 34
"""Its cap, log."""
HEIGHT_IS: Final = 35
"""Four planes: the height is 1, 2, 3, at least 4."""
MUST_MOVE: Final = 39
"""The stack that must move."""
ATTACKER: Final = 40
"""The stack in a capture or a chain."""
REGION: Final = 41
"""Cells of the region whose price is owed."""
MOBILE: Final = 42
"""The stack has a plain move."""
CAPTURES: Final = 43
"""The stack can capture."""
TAKEN_BY_MOVER: Final = 44
"""The seat to move could capture this stack, were it its move."""
TAKEN_BY_OTHERS: Final = 45
"""Another seat could."""
GLOBALS: Final = 46
"""The plane of numbers without a cell; places below."""
NUM_PLANES: Final = 47

# --- places in the last plane -----------------------------------------------------------------------------------------
G_PHASE: Final = 0
"""Seven places, one for each phase."""
G_PLAYERS: Final = 7
"""Three places: two, three, four players."""
G_SHORT_LINES: Final = 10
"""1 if three markers make a line, 0 if four do."""
G_OWES_LINE: Final = 11
G_OWES_REGION: Final = 12
G_ACTED: Final = 13
G_RECOVERED: Final = 14
G_SWAP_MAY_COME: Final = 15
G_PLY: Final = 16
"""Plies over eight times the number of cells."""
G_LPS_COUNT: Final = 17
"""Rounds of the last standing seat, over those it needs."""
G_SEATS: Final = 18
"""SEAT_NUMBERS places for each seat, mover first: hand / rings, min(hand, 3) / 3, eliminated / target, territory /
target, stacks (log), markers (log), rings on board / rings, real action this round, turn begun this round, last-
standing leader, rounds begin with it."""
SEAT_NUMBERS: Final = 11
G_BALANCE: Final = G_SEATS + SEATS * SEAT_NUMBERS
"""Two places, the mover's and the next seat's balance of rings: those of others that count for it, less those of its
own that count for others, over 2, at most 1 either way. All balances together are 0. A seat with a negative one cannot
reach the target with its own rings; in the numbers above that is a difference of one ring among dozens."""
NUM_GLOBALS: Final = G_BALANCE + 2
"""64, which is all the room of the smallest grid, 8 x 8."""
GLOBALS_OF_ENCODING: Final = {1: G_BALANCE, 2: NUM_GLOBALS}
"""How many of the numbers a network of each encoding version reads."""


@kernel
def encode_state(core: Any, state: NDArray[np.int16], image: NDArray[np.int32], out: NDArray[np.float32]) -> None:
    """Fill the planes of one state.

    Args:
        core: `Rules.core`.
        state: int16 [W], not over.
        image: int32 [N], where each cell goes in the flat grid: `board.grid`, or its image under a symmetry.
        out: float32 [NUM_PLANES, side * side], overwritten.
    """
    out[:] = 0.0
    mover = state[st.TO_PLAY]
    players = core.players
    for cell in range(core.num_cells):
        place = image[cell]
        out[MASK, place] = 1.0
        kind = state[st.CELLS + cell]
        if kind == st.EMPTY:
            continue
        relative = (state[core.owner + cell] - mover) % players
        if kind == st.MARKER:
            out[MARKER + relative, place] = 1.0
        elif kind == st.COLLAPSED:
            out[COLLAPSED + relative, place] = 1.0
        else:
            _encode_stack(core, state, cell, place, relative, out)
            _encode_reach(core, state, cell, place, relative, image, out)
        if state[core.region + cell] != 0:
            out[REGION, place] = 1.0
    _encode_lines(core, state, image, out)
    if state[st.MUST_MOVE] >= 0:
        out[MUST_MOVE, image[state[st.MUST_MOVE]]] = 1.0
    if state[st.ATTACKER] >= 0:
        out[ATTACKER, image[state[st.ATTACKER]]] = 1.0
    _encode_globals(core, state, out[GLOBALS])


@kernel
def _encode_stack(
    core: Any, state: NDArray[np.int16], cell: int, place: int, relative: int, out: NDArray[np.float32]
) -> None:
    mover = state[st.TO_PLAY]
    height = state[core.height + cell]
    cap = state[core.cap + cell]
    out[CONTROLLER + relative, place] = 1.0
    out[HEIGHT, place] = math.log2(1.0 + height) * 0.5
    out[CAP, place] = math.log2(1.0 + cap) * 0.5
    out[HEIGHT_IS + min(height, 4) - 1, place] = 1.0
    out[BOTTOM + (core.seat_of[state[core.bottom + cell]] - mover) % core.players, place] = 1.0
    ring = state[core.below + state[core.top + cell]]
    depth = 1
    while ring >= 0:
        seat = (core.seat_of[ring] - mover) % core.players
        if depth == 1:
            out[SECOND + seat, place] = 1.0
        if depth == cap:
            out[UNDER_CAP + seat, place] = 1.0
        if depth >= cap:
            out[BURIED + seat, place] += 1.0
        ring = state[core.below + ring]
        depth += 1
    for seat in range(core.players):
        out[BURIED + seat, place] = math.log2(1.0 + out[BURIED + seat, place]) * 0.5


@kernel
def _encode_reach(
    core: Any,
    state: NDArray[np.int16],
    cell: int,
    place: int,
    relative: int,
    image: NDArray[np.int32],
    out: NDArray[np.float32],
) -> None:
    """Mark what the stack can do: plain moves and captures along every ray (rules, sections 6 and 7)."""
    height = state[core.height + cell]
    cap = state[core.cap + cell]
    for direction in range(core.num_dirs):
        step = core.step[direction]
        distance = 1
        current = step[cell]
        while current >= 0 and state[st.CELLS + current] <= st.MARKER:
            current = step[current]
            distance += 1
        if distance - 1 >= height:
            out[MOBILE, place] = 1.0
        if current < 0 or state[st.CELLS + current] != st.STACK or state[core.cap + current] > cap:
            continue
        target = current
        current = step[current]
        while current >= 0 and state[st.CELLS + current] <= st.MARKER:
            distance += 1
            if distance >= height:
                out[CAPTURES, place] = 1.0
                out[TAKEN_BY_MOVER if relative == 0 else TAKEN_BY_OTHERS, image[target]] = 1.0
                break
            current = step[current]


@kernel
def _encode_lines(core: Any, state: NDArray[np.int16], image: NDArray[np.int32], out: NDArray[np.float32]) -> None:
    for marker in range(core.num_cells):
        if state[st.CELLS + marker] == st.MARKER:
            for axis in range(core.num_axes):
                for direction in (core.axis_fwd[axis], core.axis_bwd[axis]):
                    cell = core.step[direction, marker]
                    if cell >= 0 and state[st.CELLS + cell] != st.COLLAPSED:
                        _encode_line(core, state, cell, axis, image[cell], out)


@kernel
def _encode_line(
    core: Any, state: NDArray[np.int16], cell: int, axis: int, place: int, out: NDArray[np.float32]
) -> None:
    """Mark how long the lines would be that a marker in the cell would make along an axis."""
    mover = state[st.TO_PLAY]
    scale = 1.0 / core.line_length
    seat_ahead, length_ahead = _run(core, state, cell, core.axis_fwd[axis])
    seat_behind, length_behind = _run(core, state, cell, core.axis_bwd[axis])
    if seat_ahead == seat_behind:
        length_ahead += length_behind
        length_behind = 0
    if length_ahead > 0:
        plane = LINE + (seat_ahead - mover) % core.players
        out[plane, place] = max(out[plane, place], min(1.0, (length_ahead + 1) * scale))
    if length_behind > 0:
        plane = LINE + (seat_behind - mover) % core.players
        out[plane, place] = max(out[plane, place], min(1.0, (length_behind + 1) * scale))


@kernel
def _run(core: Any, state: NDArray[np.int16], cell: int, direction: int) -> tuple[int, int]:
    """Seat and length of the run of one seat's markers that begins next to the cell; (-1, 0) without one."""
    step = core.step[direction]
    current = step[cell]
    if current < 0 or state[st.CELLS + current] != st.MARKER:
        return -1, 0
    seat = int(state[core.owner + current])
    length = 0
    while current >= 0 and state[st.CELLS + current] == st.MARKER and state[core.owner + current] == seat:
        length += 1
        current = step[current]
    return seat, length


@kernel
def _encode_globals(core: Any, state: NDArray[np.int16], out: NDArray[np.float32]) -> None:
    mover = state[st.TO_PLAY]
    players = core.players
    if state[st.PHASE] < st.GAME_OVER:
        out[G_PHASE + state[st.PHASE]] = 1.0
    out[G_PLAYERS + players - 2] = 1.0
    out[G_SHORT_LINES] = 1.0 if core.line_length == 3 else 0.0
    out[G_OWES_LINE] = state[st.OWES_LINE]
    out[G_OWES_REGION] = state[st.OWES_REGION]
    out[G_ACTED] = state[st.ACTED]
    out[G_RECOVERED] = state[st.RECOVERED]
    out[G_SWAP_MAY_COME] = 1.0 if state[st.SWAP] == 1 else 0.0
    out[G_PLY] = state[st.PLY] / (8.0 * core.num_cells)
    out[G_LPS_COUNT] = state[st.LPS_COUNT] / st.LPS_ROUNDS
    rings = float(core.rings_per_seat)
    for seat in range(players):
        hand = state[st.HAND + seat]
        turn = (seat - mover) % players
        if turn < NUM_GLOBALS - G_BALANCE:
            balance = state[st.ELIM + seat] + hand + state[st.ON_BOARD + seat] - core.rings_per_seat
            out[G_BALANCE + turn] = max(-2, min(2, balance)) * 0.5
        base = G_SEATS + SEAT_NUMBERS * turn
        out[base] = hand / rings
        out[base + 1] = min(hand, 3) / 3.0
        out[base + 2] = state[st.ELIM + seat] / float(core.elimination_target)
        out[base + 3] = state[st.TERR + seat] / float(core.territory_target)
        out[base + 4] = math.log2(1.0 + state[st.STACKS + seat]) * 0.5
        out[base + 5] = math.log2(1.0 + state[st.MARKERS + seat]) * 0.5
        out[base + 6] = state[st.ON_BOARD + seat] / rings
        out[base + 7] = (state[st.LPS_MASK] >> seat) & 1
        out[base + 8] = (state[st.LPS_SEEN] >> seat) & 1
        out[base + 9] = 1.0 if state[st.LPS_LEAD] == seat else 0.0
        out[base + 10] = 1.0 if state[st.LPS_FIRST] == seat else 0.0
