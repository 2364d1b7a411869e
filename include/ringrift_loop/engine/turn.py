"""Playing a move: its effect, then the change of phase, seat and result (rules, sections 4, 13 and 16)."""

from __future__ import annotations

from typing import Any

from ringrift_loop.engine.jit import kernel, wide
from ringrift_loop.engine.lines import has_line, process_line
from ringrift_loop.engine.movement import attacker_can_go_on, capture, move_stack
from ringrift_loop.engine.moves import (
    CC,
    CP,
    FE,
    LE,
    LO,
    LP,
    MV,
    NL,
    NM,
    NP,
    NT,
    PL,
    RF,
    RL1,
    RL2,
    RS,
    SC,
    SP,
    SR,
    ST,
    SW,
    TB,
    TE,
    TR,
    field_a,
    field_b,
    field_c,
    kind_of,
)
from ringrift_loop.engine.recovery import recover
from ringrift_loop.engine.stacks import eliminate_cap, eliminate_lowest_own, eliminate_top, place_rings
from ringrift_loop.engine.state import (
    ACTED,
    ATTACKER,
    CAPTURE,
    CHAIN_CAPTURE,
    FORCED_ELIMINATION,
    LINE_PROCESSING,
    LOST_AT,
    MOVEMENT,
    MUST_MOVE,
    OWES_LINE,
    PHASE,
    PLY,
    RECOVERED,
    RING_PLACEMENT,
    STACKS,
    SWAP,
    TERRITORY_PROCESSING,
    TO_PLAY,
    TURN,
)
from ringrift_loop.engine.territory import any_region, pay_for_region, take_region
from ringrift_loop.engine.victory import check_victory, has_rings, track_last_standing


@kernel
def play(core: Any, s: Any, work: Any, move: int) -> None:
    """Play a legal move."""
    kind = kind_of(move)
    seat = wide(s[TO_PLAY])
    s[PLY] += 1
    _change_board(core, s, work, move, kind, seat)
    if not _is_idle(kind):
        s[ACTED] = 1
    _note_lost_seats(core, s)
    # A change of phase touches neither board nor counters, so the order is that of section 16.
    if not check_victory(core, s, seat):
        _change_phase(core, s, work, kind, seat)


@kernel
def _is_idle(kind: int) -> bool:
    """Whether a move of that kind leaves the board as it is: the no-ops and the skips."""
    return kind in (SP, NP, NM, NL, NT, SC, SR, ST)


@kernel
def _change_board(core: Any, s: Any, work: Any, move: int, kind: int, seat: int) -> None:
    a = field_a(move)
    b = field_b(move)
    if kind == PL:
        place_rings(core, s, a, seat, b)
        s[MUST_MOVE] = a
    elif kind == MV:
        move_stack(core, s, a, b, seat)
    elif kind in (CP, CC):
        capture(core, s, a, field_c(move), b, seat)
    elif kind in (LP, LO):
        process_line(core, s, move, seat)
    elif kind == LE:
        eliminate_top(core, s, a, seat)
        s[OWES_LINE] = 0
    elif kind == TR:
        take_region(core, s, work, move, seat)
    elif kind in (TE, FE):
        eliminate_cap(core, s, a, seat)
    elif kind == TB:
        eliminate_lowest_own(core, s, a, seat)
    elif kind in (RL1, RL2, RF, RS):
        recover(core, s, move, seat)
        s[RECOVERED] = 1
    elif kind == SW:
        s[SWAP] = 2
    if kind in (TE, TB):
        pay_for_region(core, s)
    if seat == 1 and s[SWAP] == 1:
        s[SWAP] = 0


@kernel
def _note_lost_seats(core: Any, s: Any) -> None:
    for seat in range(core.players):
        if s[LOST_AT + seat] < 0 and not has_rings(s, seat):
            s[LOST_AT + seat] = s[TURN]


@kernel
def _change_phase(core: Any, s: Any, work: Any, kind: int, seat: int) -> None:
    """Set the phase that follows a move of `kind` by `seat` (the table of section 4)."""
    if kind in (PL, SP, NP):
        s[PHASE] = MOVEMENT
    elif kind in (MV, CP, CC):
        if attacker_can_go_on(core, s, seat):
            s[PHASE] = CAPTURE if kind == MV else CHAIN_CAPTURE
        else:
            _enter_lines(s)
    elif kind in (SC, NM, SR, RL1, RL2, RF, RS):
        _enter_lines(s)
    elif kind in (LP, LO):
        if s[OWES_LINE] == 0 and not has_line(core, s, seat):
            _leave_lines(core, s, work, seat)
    elif kind == NL:
        _leave_lines(core, s, work, seat)
    elif kind in (TE, TB):
        if not any_region(core, s, work, seat):
            _leave_territory(core, s, seat)
    elif kind in (ST, NT):
        _leave_territory(core, s, seat)
    elif kind == FE:
        _pass_turn(core, s, seat)


@kernel
def _enter_lines(s: Any) -> None:
    s[PHASE] = LINE_PROCESSING
    s[MUST_MOVE] = -1
    s[ATTACKER] = -1


@kernel
def _leave_lines(core: Any, s: Any, work: Any, seat: int) -> None:
    if s[ACTED] == 0 and s[STACKS + seat] > 0 and not any_region(core, s, work, seat):
        s[PHASE] = FORCED_ELIMINATION
    else:
        s[PHASE] = TERRITORY_PROCESSING


@kernel
def _leave_territory(core: Any, s: Any, seat: int) -> None:
    if s[ACTED] == 0 and s[STACKS + seat] > 0:
        s[PHASE] = FORCED_ELIMINATION
    else:
        _pass_turn(core, s, seat)


@kernel
def _pass_turn(core: Any, s: Any, seat: int) -> None:
    """Give the turn to the next seat that has a ring anywhere; there is one, or the game would be over."""
    for _ in range(core.players):
        seat = seat + 1 if seat + 1 < core.players else 0
        if has_rings(s, seat):
            break
    s[TO_PLAY] = seat
    s[TURN] += 1
    s[PHASE] = RING_PLACEMENT
    s[MUST_MOVE] = -1
    s[ATTACKER] = -1
    s[ACTED] = 0
    s[RECOVERED] = 0
    track_last_standing(core, s, seat)
