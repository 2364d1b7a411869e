from __future__ import annotations

import numpy as np
import pytest

from ringrift_loop.engine.board import BOARD_NAMES, Board, board_for


def _edges(board: Board, table: np.ndarray) -> set[tuple[int, int]]:
    """Pairs of neighbours in a [N, k] table."""
    return {(cell, int(n)) for cell in range(board.num_cells) for n in table[cell] if n >= 0}


@pytest.mark.parametrize(
    ("name", "cells", "side", "symmetries"),
    [("square8", 64, 8, 8), ("square19", 361, 19, 8), ("hex8", 61, 9, 12), ("hexagonal", 469, 25, 12)],
)
def test_each_board_has_the_size_of_the_rules(name: str, cells: int, side: int, symmetries: int) -> None:
    board = board_for(name)
    assert (board.num_cells, board.side, board.sym.shape) == (cells, side, (symmetries, cells))


@pytest.mark.parametrize("name", BOARD_NAMES)
def test_cells_are_numbered_by_x_then_y(name: str) -> None:
    board = board_for(name)
    cells = list(zip(board.x.tolist(), board.y.tolist(), strict=True))
    assert cells == sorted(cells)
    assert len(set(board.grid.tolist())) == board.num_cells


@pytest.mark.parametrize("name", BOARD_NAMES)
def test_a_step_and_its_opposite_lead_back(name: str) -> None:
    board = board_for(name)
    for direction in range(board.num_dirs):
        opposite = (direction + board.num_dirs // 2) % board.num_dirs
        starts = np.flatnonzero(board.step[direction] >= 0)
        assert (board.step[opposite, board.step[direction, starts]] == starts).all()


@pytest.mark.parametrize(("name", "steps"), [("square8", 420), ("square19", 2664), ("hex8", 312), ("hexagonal", 2664)])
def test_the_number_of_steps_is_that_of_the_grid(name: str, steps: int) -> None:
    # Square, side n: 2 * (2 n (n-1) + 2 (n-1)**2); hexagon, radius r: 2 * (9 r**2 + 3 r).
    board = board_for(name)
    assert int((board.step >= 0).sum()) == steps


@pytest.mark.parametrize("name", BOARD_NAMES)
def test_symmetries_are_distinct_and_keep_steps(name: str) -> None:
    board = board_for(name)
    steps = _edges(board, board.step.T)
    assert (board.sym[0] == np.arange(board.num_cells)).all()
    assert len({tuple(images) for images in board.sym.tolist()}) == len(board.sym)
    for images in board.sym:
        assert {(int(images[a]), int(images[b])) for a, b in steps} == steps


@pytest.mark.parametrize(("name", "kept"), [("square8", 8), ("square19", 8), ("hex8", 4), ("hexagonal", 12)])
def test_the_spreading_rule_of_hex8_keeps_only_four_symmetries(name: str, kept: int) -> None:
    board = board_for(name)
    spread = _edges(board, board.spread_nbr)
    keeps = [{(int(s[a]), int(s[b])) for a, b in spread} == spread for s in board.sym]
    assert sum(keeps) == kept


def test_hex_lines_use_the_three_axes_in_the_order_of_the_rules() -> None:
    board = board_for("hex8")
    middle = int(np.flatnonzero((board.x == 0) & (board.y == 0))[0])
    ahead = [int(board.step[d, middle]) for d in board.axis_fwd[: board.num_axes]]
    assert [(int(board.x[c]), int(board.y[c])) for c in ahead] == [(1, 0), (1, -1), (0, -1)]


def test_an_unknown_board_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ValueError, match=f"no board named 'hex9'; the boards are {', '.join(BOARD_NAMES)}"):
        board_for("hex9")
