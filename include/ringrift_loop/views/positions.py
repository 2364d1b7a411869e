"""A game as its pages show it: the board's shape, and every position as what differs from the one before it.

A cell's content is a short text: nothing when it is empty, `m2` for a marker of seat 2, `c2` for territory of seat 2,
and for a stack its rings from the bottom to the top, `1221`. A game of hundreds of plies stays small that way, and
whoever shows it can step in both directions without asking again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringrift_loop.engine.rules import Rules, rules_for, variant
from ringrift_loop.engine.state import (
    COLLAPSED,
    ELIM,
    EMPTY,
    GAME_OVER,
    HAND,
    MARKER,
    PHASE,
    SWAP,
    TERR,
    TO_PLAY,
)
from ringrift_loop.engine.text.notation import move_text
from ringrift_loop.engine.text.position_text import PHASE_CODES
from ringrift_loop.views.records import Shape, Step
from ringrift_loop.views.sentences import effects_of, named_cells, phrase

Row = NDArray[np.int16]

SWAPPED = 2
"""Value of a state's SWAP once the two people have exchanged seats."""


def shape_of(name: str) -> Shape:
    """The shape of a variant's board; ValueError for an unknown one."""
    chosen, board = variant(name), rules_for(name).board
    return Shape(
        variant=name,
        board=chosen.board,
        hexagonal=board.is_hex,
        cells=list(zip(board.x.tolist(), board.y.tolist(), strict=True)),
        players=chosen.players,
        rings_per_seat=chosen.rings_per_seat,
        line_length=chosen.line_length,
        elimination_target=chosen.elimination_target,
        territory_target=chosen.territory_target,
        ply_budget=chosen.ply_budget,
    )


def steps_of(rules: Rules, states: Row, moves: Sequence[int], work: Any, *, first: int = 0) -> list[Step]:
    """The positions of a game, from ply `first` on.

    Args:
        rules: the variant.
        states: int16 [N + 1, W], as `play_through` gives them.
        moves: the N moves between them.
        work: the engine's scratch memory.
        first: ply of the first position that is wanted; it is told in full when it is 0, else by what differs.
    """
    altered = _altered(rules, states)
    steps = []
    for ply in range(first, len(states)):
        row = states[ply]
        if ply == 0:
            steps.append(_step(rules, row, _occupied(rules, row), None, None, "", [], []))
            continue
        before, move = states[ply - 1], int(moves[ply - 1])
        changes = [
            (cell, content)
            for cell in np.flatnonzero(altered[ply - 1]).tolist()
            if (content := cell_content(rules, row, cell)) != cell_content(rules, before, cell)
        ]
        steps.append(
            _step(
                rules,
                row,
                changes,
                move_text(rules, before, move, work),
                int(before[TO_PLAY]) + 1,
                phrase(rules, before, move, work),
                effects_of(rules, before, row, move),
                named_cells(rules, move),
            )
        )
    return steps


def cell_content(rules: Rules, row: Row, cell: int) -> str:
    """A cell's content as text (see the module)."""
    kind = int(row[rules.kind + cell])
    if kind == EMPTY:
        return ""
    owner = int(row[rules.owner + cell]) + 1
    if kind == MARKER:
        return f"m{owner}"
    if kind == COLLAPSED:
        return f"c{owner}"
    rings, ring = "", int(row[rules.top + cell])
    while ring >= 0:
        rings = str(ring // rules.rings_per_seat + 1) + rings
        ring = int(row[rules.below + ring])
    return rings


def _altered(rules: Rules, states: Row) -> NDArray[np.bool_]:
    """[N, cells]: where two successive states may differ. A stack's rings never change without one of these fields."""
    cells = rules.board.num_cells
    altered = np.zeros((len(states) - 1, cells), np.bool_)
    for field in (rules.kind, rules.owner, rules.height, rules.top, rules.bottom):
        altered |= states[1:, field : field + cells] != states[:-1, field : field + cells]
    return altered


def _occupied(rules: Rules, row: Row) -> list[tuple[int, str]]:
    kinds = row[rules.kind : rules.kind + rules.board.num_cells]
    return [(cell, cell_content(rules, row, cell)) for cell in np.flatnonzero(kinds != EMPTY).tolist()]


def _step(
    rules: Rules,
    row: Row,
    changes: list[tuple[int, str]],
    move: str | None,
    mover: int | None,
    says: str,
    effects: list[str],
    path: list[int],
) -> Step:
    def per_seat(field: int) -> list[int]:
        return [int(number) for number in row[field : field + rules.players]]

    return Step(
        phase=PHASE_CODES[int(row[PHASE])],
        seat=int(row[TO_PLAY]) + 1,
        hands=per_seat(HAND),
        eliminated=per_seat(ELIM),
        territory=per_seat(TERR),
        swapped=int(row[SWAP]) == SWAPPED,
        changes=changes,
        move=move,
        mover=mover,
        says=says,
        effects=effects,
        path=path,
    )


def is_over(row: Row) -> bool:
    """Whether the game has ended in this state."""
    return bool(row[PHASE] == GAME_OVER)
