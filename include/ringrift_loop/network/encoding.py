"""States and moves as the network's inputs: the functions that search and training call.

The meaning of each plane stands in planes.py, that of each move feature in move_features.py. A change of either changes
ENCODING_VERSION; models carry it in their manifest. Version 2 has more numbers than version 1 and nothing else changed,
so a network of version 1 reads the first of them and plays on; a training that starts from it goes on with all.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from ringrift_loop.engine.board import Board, board_for
from ringrift_loop.engine.jit import kernel_decorator
from ringrift_loop.engine.rules import Rules
from ringrift_loop.network.move_features import MOVE_COLUMNS, encode_moves
from ringrift_loop.network.planes import KERNEL_FOLDER, NUM_PLANES, encode_state

ENCODING_VERSION = 2

kernel = kernel_decorator(KERNEL_FOLDER)


def plane_shape(rules: Rules) -> tuple[int, int, int]:
    """Return (NUM_PLANES, side, side), the shape of one encoded state."""
    return NUM_PLANES, rules.board.side, rules.board.side


def encode_states(rules: Rules, states: NDArray[np.int16], out: NDArray[np.float32]) -> None:
    """Fill the planes of a batch of states that are not over.

    Args:
        rules: the states' variant.
        states: int16 [B, W].
        out: float32 [B, NUM_PLANES, side, side], C-contiguous, overwritten.
    """
    expected = (len(states), *plane_shape(rules))
    if out.shape != expected or not out.flags.c_contiguous or out.dtype != np.float32:
        raise ValueError(f"out must be C-contiguous float32 {expected}, got {out.dtype} {out.shape}")
    _encode_batch(rules.core, states, rules.board.grid, out.reshape(len(states), NUM_PLANES, -1))


def move_features(rules: Rules, state: NDArray[np.int16], moves: NDArray[np.int64], out: NDArray[np.int32]) -> None:
    """Fill the features of the legal moves of one state.

    Args:
        rules: the state's variant.
        state: int16 [W].
        moves: int64 [T].
        out: int32 [T, MOVE_COLUMNS], overwritten.
    """
    if out.shape != (len(moves), MOVE_COLUMNS):
        raise ValueError(f"out must be int32 {(len(moves), MOVE_COLUMNS)}, got {out.dtype} {out.shape}")
    encode_moves(rules.core, state, rules.board.grid, moves, len(moves), out)


@cache
def symmetry_images(name: str) -> NDArray[np.int32]:
    """Return int32 [S, N]: where each cell of a board goes in the flat grid under each symmetry that keeps the game.

    On hex8 these are four of the twelve: the others change which markers a taken region sweeps along (rules, section
    9.4).
    """
    board = board_for(name)
    kept = [images for images in board.sym if _keeps_spreading(board, images)]
    table: NDArray[np.int32] = board.grid[np.array(kept)].astype(np.int32)
    table.flags.writeable = False
    return table


def _keeps_spreading(board: Board, images: NDArray[np.int16]) -> bool:
    for cell in range(board.num_cells):
        neighbours = {int(images[n]) for n in board.spread_nbr[cell] if n >= 0}
        if neighbours != {int(n) for n in board.spread_nbr[images[cell]] if n >= 0}:
            return False
    return True


@kernel
def _encode_batch(core: object, states: NDArray[np.int16], image: NDArray[np.int32], out: NDArray[np.float32]) -> None:
    for index in range(len(states)):
        encode_state(core, states[index], image, out[index])
