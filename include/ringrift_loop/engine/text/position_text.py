"""States as text (docs/3-rules.md, section 18).

For example `ph=RP;cp=2;w=-;pe=0;mm=-;at=-;H=17,18;E=0,0;T=0,0;S=3,4:1;M=;C=`.

The text leaves out what depends on history: whether the seat has recovered this turn, the region whose price is owed,
the pie rule, the last-player-standing tracker, the ply. A state read from text has these as at the start of a turn.
That the seat has acted this turn is not written either, but taken from mm, at or pe where they show it.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringrift_loop.engine.ground import collapse, put_marker
from ringrift_loop.engine.kernels import new_states
from ringrift_loop.engine.rules import Rules
from ringrift_loop.engine.stacks import cap_below
from ringrift_loop.engine.state import (
    ACTED,
    ATTACKER,
    BY_LPS,
    CAPTURE,
    CHAIN_CAPTURE,
    COLLAPSED,
    ELIM,
    EMPTY,
    GAME_OVER,
    HAND,
    LINE_PROCESSING,
    LOST_AT,
    LPS_COUNT,
    LPS_FIRST,
    LPS_LEAD,
    LPS_MASK,
    LPS_SEEN,
    MARKER,
    MOVEMENT,
    MUST_MOVE,
    ON_BOARD,
    OWES_LINE,
    PHASE,
    RESULT,
    RING_PLACEMENT,
    STACK,
    STACKS,
    TERR,
    TO_PLAY,
    TRUNCATED,
    WINNER,
)
from ringrift_loop.engine.text.cells import cell_text, parse_cell
from ringrift_loop.engine.victory import check_victory

Row = NDArray[np.int16]

PHASE_CODES = ("RP", "MO", "CA", "CH", "LI", "TE", "FE", "GO")
"""Text code of each phase."""

_COUNT = re.compile("0|[1-9][0-9]{0,4}")
_KEYS = ("ph", "cp", "w", "pe", "mm", "at", "H", "E", "T", "S", "M", "C")


def state_text(rules: Rules, row: Row) -> str:
    """Return the state as text."""
    phase = int(row[PHASE])
    moving = phase in (MOVEMENT, CAPTURE, CHAIN_CAPTURE)
    capturing = phase in (CAPTURE, CHAIN_CAPTURE)
    kinds = row[rules.kind : rules.kind + rules.board.num_cells]
    owners = row[rules.owner : rules.owner + rules.board.num_cells]
    stacks = (f"{cell_text(rules, c)}:{_ring_text(rules, row, c)}" for c in np.flatnonzero(kinds == STACK).tolist())
    fields = (
        f"ph={PHASE_CODES[phase]}",
        f"cp={row[TO_PLAY] + 1}",
        f"w={_seat_text(row[WINNER])}",
        f"pe={row[OWES_LINE]}",
        f"mm={_optional_cell(rules, row[MUST_MOVE] if moving else -1)}",
        f"at={_optional_cell(rules, row[ATTACKER] if capturing else -1)}",
        f"H={_per_seat(rules, row, HAND)}",
        f"E={_per_seat(rules, row, ELIM)}",
        f"T={_per_seat(rules, row, TERR)}",
        f"S={'|'.join(stacks)}",
        f"M={_owned_cells(rules, kinds, owners, MARKER)}",
        f"C={_owned_cells(rules, kinds, owners, COLLAPSED)}",
    )
    return ";".join(fields)


def lps_text(rules: Rules, row: Row) -> str:
    """Return the last-player-standing tracker as `first/mask/lead/count`; mask: 1 real action, 0 none, - not seen."""
    mask = ""
    for seat in range(rules.players):
        seen = row[LPS_SEEN] >> seat & 1
        mask += str(row[LPS_MASK] >> seat & 1) if seen else "-"
    return f"{_seat_text(row[LPS_FIRST])}/{mask}/{_seat_text(row[LPS_LEAD])}/{row[LPS_COUNT]}"


def parse_state(rules: Rules, text: str) -> Row:
    """Return the row int16 [W] of a state text; raises ValueError that says what is wrong with it."""
    values = _split_fields(text)
    row: Row = new_states(rules, 1)[0]
    phase = values["ph"]
    if phase not in PHASE_CODES:
        raise ValueError(f"ph must be one of {', '.join(PHASE_CODES)}, got {phase!r}")
    row[PHASE] = PHASE_CODES.index(phase)
    row[TO_PLAY] = _parse_seat(rules, "cp", values["cp"])
    row[WINNER] = -1 if values["w"] == "-" else _parse_seat(rules, "w", values["w"])
    if values["pe"] not in ("0", "1"):
        raise ValueError(f"pe must be 0 or 1, got {values['pe']!r}")
    row[OWES_LINE] = int(values["pe"])
    for start, key in ((HAND, "H"), (ELIM, "E")):
        row[start : start + rules.players] = _parse_counts(rules, key, values[key])
    _parse_stacks(rules, row, values["S"])
    _parse_ground(rules, row, "M", values["M"])
    _parse_ground(rules, row, "C", values["C"])
    _check_counts(rules, row, _parse_counts(rules, "T", values["T"]))
    row[MUST_MOVE] = _parse_stack_of_mover(rules, row, "mm", values["mm"])
    row[ATTACKER] = _parse_stack_of_mover(rules, row, "at", values["at"])
    _check_turn(row, values)
    row[ACTED] = row[MUST_MOVE] >= 0 or row[ATTACKER] >= 0 or row[OWES_LINE] == 1
    for seat in range(rules.players):
        if row[HAND + seat] + row[ON_BOARD + seat] == 0:
            row[LOST_AT + seat] = 0
    if row[PHASE] == GAME_OVER:
        row[RESULT] = _deduce_result(rules, row)
    return row


def _split_fields(text: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in text.split(";")]
    keys = tuple(key for key, _, _ in pairs)
    if keys != _KEYS or not all(sign for _, sign, _ in pairs):
        raise ValueError(f"a state has the fields {' '.join(_KEYS)} in this order, joined by ';'; got {text[:80]!r}")
    return {key: value for key, _, value in pairs}


def _parse_seat(rules: Rules, key: str, text: str) -> int:
    if text not in [str(seat + 1) for seat in range(rules.players)]:
        raise ValueError(f"{key} must be a seat from 1 to {rules.players}, got {text!r}")
    return int(text) - 1


def _parse_counts(rules: Rules, key: str, text: str) -> list[int]:
    parts = text.split(",")
    if len(parts) != rules.players or not all(_COUNT.fullmatch(part) for part in parts):
        raise ValueError(f"{key} must be {rules.players} counts joined by commas, without leading zeros, got {text!r}")
    counts = [int(part) for part in parts]
    most = max(rules.num_rings, rules.board.num_cells)
    if max(counts) > most:
        raise ValueError(f"{key} has a count above {most}: {text}")
    return counts


def _parse_cells(rules: Rules, row: Row, key: str, text: str) -> list[tuple[int, str]]:
    """The cells and what stands behind their colons; each must still be empty."""
    cells = []
    last = -1
    for item in text.split("|") if text else ():
        where, colon, what = item.partition(":")
        cell = parse_cell(rules, where)
        if not colon or not what or not set(what) <= set("1234"[: rules.players]):
            raise ValueError(f"{key} must list cell:seats with seats 1 to {rules.players}, got {item!r}")
        if cell <= last:
            raise ValueError(f"{key} must be sorted by x, then y, each cell once; {where} is out of place")
        if row[rules.kind + cell] != EMPTY:
            raise ValueError(f"cell {where} appears twice")
        last = cell
        cells.append((cell, what))
    return cells


def _parse_stacks(rules: Rules, row: Row, text: str) -> None:
    placed = [0] * rules.players
    for cell, colours in _parse_cells(rules, row, "S", text):
        under = -1
        for colour in colours:
            seat = int(colour) - 1
            if placed[seat] >= rules.rings_per_seat - row[HAND + seat]:
                raise ValueError(
                    f"seat {seat + 1} has more than its {rules.rings_per_seat} rings: {row[HAND + seat]} in hand, "
                    f"at least {placed[seat] + 1} on the board"
                )
            ring = seat * rules.rings_per_seat + placed[seat]
            placed[seat] += 1
            row[rules.below + ring] = under
            if under < 0:
                row[rules.bottom + cell] = ring
            under = ring
        controller = int(colours[-1]) - 1
        row[rules.kind + cell] = STACK
        row[rules.owner + cell] = controller
        row[rules.height + cell] = len(colours)
        row[rules.top + cell] = under
        row[rules.cap + cell] = cap_below(rules.core, row, under)
        row[STACKS + controller] += 1
    row[ON_BOARD : ON_BOARD + rules.players] = placed


def _parse_ground(rules: Rules, row: Row, key: str, text: str) -> None:
    put = put_marker if key == "M" else collapse
    for cell, owner in _parse_cells(rules, row, key, text):
        if len(owner) != 1:
            raise ValueError(f"{key} has one seat a cell, got {cell_text(rules, cell)}:{owner}")
        put(rules.core, row, cell, int(owner) - 1)


def _check_counts(rules: Rules, row: Row, territory: list[int]) -> None:
    counted = row[TERR : TERR + rules.players].tolist()
    if territory != counted:
        raise ValueError(f"T={territory} does not agree with the collapsed cells in C, which make {counted}")
    for seat in range(rules.players):
        if row[HAND + seat] > rules.rings_per_seat:
            raise ValueError(f"H gives seat {seat + 1} {row[HAND + seat]} rings; it has {rules.rings_per_seat} in all")


def _parse_stack_of_mover(rules: Rules, row: Row, key: str, text: str) -> int:
    """The cell that `mm` or `at` names, -1 for none."""
    if text == "-":
        return -1
    cell = parse_cell(rules, text)
    if row[rules.kind + cell] != STACK or row[rules.owner + cell] != row[TO_PLAY]:
        raise ValueError(f"{key} must name a stack of seat {row[TO_PLAY] + 1}, which moves; got {text}")
    return cell


def _check_turn(row: Row, values: dict[str, str]) -> None:
    """Refuse what the phase does not allow."""
    phase = values["ph"]
    if row[PHASE] == GAME_OVER:
        if row[WINNER] >= 0 and row[WINNER] != row[TO_PLAY]:
            raise ValueError(f"cp must be the winner once the game is over, got cp={values['cp']} and w={values['w']}")
    elif row[WINNER] >= 0:
        raise ValueError(f"w={values['w']} in phase {phase}: only a game in phase GO has a winner")
    if row[OWES_LINE] and row[PHASE] != LINE_PROCESSING:
        raise ValueError(f"pe=1 in phase {phase}: a ring for a line is owed in phase LI only")
    if row[MUST_MOVE] >= 0 and row[PHASE] not in (MOVEMENT, CAPTURE, CHAIN_CAPTURE):
        raise ValueError(f"mm={values['mm']} in phase {phase}: a stack must move in phases MO, CA and CH only")
    if (row[ATTACKER] >= 0) != (row[PHASE] in (CAPTURE, CHAIN_CAPTURE)):
        raise ValueError(
            f"at names the attacking stack in phases CA and CH, and only there; got {values['at']} in {phase}"
        )


def _deduce_result(rules: Rules, row: Row) -> int:
    """How a finished game ended: by the first rule of section 15 that its position meets, else last player standing."""
    if row[WINNER] < 0:
        return TRUNCATED
    again = row.copy()
    again[PHASE] = RING_PLACEMENT
    if check_victory(rules.core, again, int(row[WINNER])) and again[WINNER] == row[WINNER]:
        return int(again[RESULT])
    return BY_LPS


def _seat_text(seat: Any) -> str:
    return "-" if seat < 0 else str(seat + 1)


def _optional_cell(rules: Rules, cell: Any) -> str:
    return "-" if cell < 0 else cell_text(rules, int(cell))


def _per_seat(rules: Rules, row: Row, start: int) -> str:
    return ",".join(map(str, row[start : start + rules.players].tolist()))


def _owned_cells(rules: Rules, kinds: Row, owners: Row, kind: int) -> str:
    return "|".join(f"{cell_text(rules, c)}:{owners[c] + 1}" for c in np.flatnonzero(kinds == kind).tolist())


def _ring_text(rules: Rules, row: Row, cell: int) -> str:
    colours = ""
    ring = int(row[rules.top + cell])
    while ring >= 0:
        colours = str(ring // rules.rings_per_seat + 1) + colours
        ring = int(row[rules.below + ring])
    return colours
