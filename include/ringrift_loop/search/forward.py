"""Playing on to the next state that matters: one with a choice, or the end of the game."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringrift_loop.engine.jit import kernel_decorator
from ringrift_loop.engine.kernels import apply_move, legal_moves
from ringrift_loop.engine.rules import Rules

kernel = kernel_decorator(Path(__file__).parent)


@kernel
def copy_state(source: NDArray[np.int16], target: NDArray[np.int16]) -> None:
    """Copy a state [W]; numba makes of this loop a block copy, which it does not of `target[:] = source`."""
    for place in range(len(source)):
        target[place] = source[place]


@kernel
def play_to_choice(rules: Rules, state: NDArray[np.int16], work: Any, moves: NDArray[np.int64]) -> int:
    """Play single-choice plies in place; list the legal moves then and return their number: 0, or at least 2."""
    count = legal_moves(rules, state, work, moves)
    while count == 1:
        apply_move(rules, state, work, moves[0])
        count = legal_moves(rules, state, work, moves)
    return int(count)


@kernel
def write_share(winner: int, out: NDArray[np.float64]) -> None:
    """Write each seat's share of the win into out [P]: all for the winner; equal shares if nobody (-1) has won."""
    for seat in range(out.shape[0]):
        if winner < 0:
            out[seat] = 1.0 / out.shape[0]
        else:
            out[seat] = 1.0 if seat == winner else 0.0
