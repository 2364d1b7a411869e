"""What the seat to move may do, for a person: each legal move with the cells to point at, and the rule it follows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringrift_loop.engine import moves as m
from ringrift_loop.engine.kernels import legal_moves
from ringrift_loop.engine.rules import Rules
from ringrift_loop.engine.state import OWES_LINE, OWES_REGION, PHASE
from ringrift_loop.engine.text.notation import move_text, region_cells
from ringrift_loop.engine.text.position_text import PHASE_CODES
from ringrift_loop.views.records import Choice, Question
from ringrift_loop.views.sentences import cells_between, fields, phrase

Row = NDArray[np.int16]


_KINDS = {
    m.PL: "Place one to three rings on an empty cell, or exactly one on any stack, which makes that stack yours.",
    m.SP: "Keep your rings and go on to the movement: you have a stack that can move or capture, or you may recover.",
    m.SW: "Pie rule: once, instead of your first placement, take over the other person's seat and position.",
    m.NP: "You have no ring in hand, or none of your rings could move from where it would stand.",
    m.MV: "Move a stack in a straight line at least as many cells as it is high, over empty cells and markers. A "
    "marker of yours stays behind; foreign markers on the way become yours, your own become territory. Landing on a "
    "marker costs the stack's top ring.",
    m.CP: "Jump over a stack whose cap is no higher than yours and land behind it. Its top ring goes under your stack.",
    m.CC: "The stack that captured must go on while it can; it may turn, and take from the same stack again.",
    m.SC: "Leave it at the move: the capture is not compulsory here.",
    m.NM: "None of your stacks can move or capture.",
    m.SR: "Do not recover in this turn.",
    m.RL1: "Slide a marker so that it completes a line, collapse the whole line into territory, and pay with your "
    "lowest ring of a stack.",
    m.RL2: "Slide a marker so that it completes a line that is longer than needed, and collapse just the length of a "
    "line, free of charge.",
    m.RF: "Slide a marker to an empty cell beside it, and pay with your lowest ring of a stack.",
    m.RS: "Spend a marker beside a stack: the stack's top ring is eliminated and counts for you. You pay with your "
    "lowest ring of a stack.",
    m.LP: "The whole line becomes your territory; for it you pay the top ring of one of your stacks.",
    m.LO: "Only so many cells of the line as a line needs become territory, and it costs nothing.",
    m.LE: "The line was taken whole: one of your stacks pays its top ring. It counts as eliminated by you.",
    m.NL: "There is no line of your markers.",
    m.TR: "Every ring in the region is eliminated and counts for you; the region and the markers around it become your "
    "territory. Then you pay with the cap of one of your stacks outside.",
    m.TE: "The region's price: the whole cap of one of your stacks. It counts as eliminated by you.",
    m.TB: "The region's price in a turn of recovery: your lowest ring in a stack that buries one.",
    m.ST: "Taking a region is never compulsory.",
    m.NT: "There is no region that you could take.",
    m.FE: "You have changed nothing in this turn, so the cap of one of your stacks must go. It counts for you.",
}
_QUESTIONS = {
    "RP": (
        "Place rings",
        "5",
        "A turn begins with a placement. The stack that gets rings is the only one that may move in this turn, and it "
        "must be able to.",
    ),
    "MO": (
        "Move or capture",
        "6 and 7",
        "Move one of your stacks, or capture with it. Every move leaves a marker behind.",
    ),
    "CA": ("Capture as well?", "7", "The stack that has just moved can capture from where it landed."),
    "CH": ("Go on capturing", "7.3", "The stack that has just captured can capture again, so it must."),
    "LI": (
        "Collapse a line",
        "8",
        "A straight run of your markers that is long enough must be collapsed, in any order you like.",
    ),
    "TE": (
        "Take a region?",
        "9",
        "A region that the markers of one colour or territory close off, and in which not every colour controls a "
        "stack, may be taken.",
    ),
    "FE": ("Forced elimination", "10", "You have done nothing in this turn although you control a stack."),
    "GO": ("The game is over", "15", ""),
}
_RECOVERY = ("Recover", "11", "You control no stack, but have a marker on the board and a ring buried in a stack.")
_LINE_PRICE = ("Pay for the line", "8.2", "The line was collapsed whole; now a ring is owed.")
_REGION_PRICE = ("Pay for the region", "9.3", "The region is yours; its price is due at once.")
_RECOVERIES = frozenset((m.RL1, m.RL2, m.RF, m.RS, m.SR))


def question(rules: Rules, row: Row, work: Any) -> Question:
    """What is asked in a state, and every legal answer.

    Args:
        rules: the variant.
        row: the state; once the game is over there is no choice.
        work: the engine's scratch memory.
    """
    scratch = np.empty(rules.max_moves, np.int64)
    legal = scratch[: legal_moves(rules, row, work, scratch)].tolist()
    kinds = {move & 0xFF for move in legal}
    title, section, explains = _QUESTIONS[PHASE_CODES[int(row[PHASE])]]
    if kinds & _RECOVERIES:
        title, section, explains = _RECOVERY
    elif row[OWES_LINE] and m.LE in kinds:
        title, section, explains = _LINE_PRICE
    elif row[OWES_REGION] and kinds & {m.TE, m.TB}:
        title, section, explains = _REGION_PRICE
    return Question(
        title=title,
        explains=explains,
        section=section,
        kinds={m.KIND_NAMES[kind]: _KINDS[kind] for kind in sorted(kinds)},
        choices=[choice_of(rules, row, move, work) for move in legal],
    )


def choice_of(rules: Rules, row: Row, move: int, work: Any) -> Choice:
    """A legal move of a state as a choice."""
    cells, shown = _pointed_at(rules, row, move, work)
    return Choice(
        move_text(rules, row, move, work), m.KIND_NAMES[move & 0xFF], phrase(rules, row, move, work), cells, shown
    )


def _pointed_at(rules: Rules, row: Row, move: int, work: Any) -> tuple[list[int], list[int]]:
    kind, a, b, c, d = fields(move)
    if kind in (m.PL, m.LE, m.TE, m.TB, m.FE):
        return [a], []
    if kind == m.MV:
        return [a, b], []
    if kind in (m.CP, m.CC):
        # From one cell and landing follow the target: it is the first stack on the way.
        return [a, b], [c]
    if kind in (m.RL1, m.RF, m.RS):
        return [a, b, c], []
    if kind == m.RL2:
        return [a, b], cells_between(rules.board, c, d)
    if kind == m.LP:
        return [], cells_between(rules.board, a, b)
    if kind == m.LO:
        return [], cells_between(rules.board, c, d)
    if kind == m.TR:
        return [], region_cells(rules, row, move, work)
    return [], []
