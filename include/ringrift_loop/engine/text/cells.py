"""Cells as text: `x,y`, on hex boards the cube coordinates without z (docs/3-rules.md, section 18)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from ringrift_loop.engine.board import BOARD_NAMES, Board, board_for
from ringrift_loop.engine.rules import Rules

CELL_PATTERN = r"(?:0|-?[1-9]\d?),(?:0|-?[1-9]\d?)"
"""A cell as it is written: no plus sign, no leading zeros."""

_CELL = re.compile(CELL_PATTERN)


def cell_text(rules: Rules, cell: int) -> str:
    """Return the cell as `x,y`."""
    return _texts(rules.board.side)[cell]


def cell_texts(rules: Rules, cells: Iterable[int]) -> Iterable[str]:
    """The cells as `x,y`, in their order; many of them in less time than one by one."""
    return map(_texts(rules.board.side).__getitem__, cells)


def parse_cell(rules: Rules, text: str) -> int:
    """Return the number of the cell `x,y`; raises ValueError if it is malformed or off the board."""
    if not _CELL.fullmatch(text):
        raise ValueError(f"a cell is written x,y, for example 3,4; got {text!r}")
    cell = _numbers(rules.board.side).get(text)
    if cell is None:
        raise ValueError(f"cell {text} is not on the board, which has {rules.board.num_cells} cells")
    return cell


@cache
def _texts(side: int) -> tuple[str, ...]:
    # Every board has another side (8, 19, 9, 25), so the side names it.
    board = _board_of_side(side)
    return tuple(f"{x},{y}" for x, y in zip(board.x.tolist(), board.y.tolist(), strict=True))


@cache
def _numbers(side: int) -> dict[str, int]:
    return {text: number for number, text in enumerate(_texts(side))}


def _board_of_side(side: int) -> Board:
    return next(board for board in map(board_for, BOARD_NAMES) if board.side == side)
