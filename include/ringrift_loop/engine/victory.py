"""Who has won, and who came where (rules, sections 14 and 15)."""

from __future__ import annotations

from typing import Any

from ringrift_loop.engine.jit import kernel, wide
from ringrift_loop.engine.placement import seat_has_real_action, single_ring_fits
from ringrift_loop.engine.state import (
    ATTACKER,
    BY_ELIMINATION,
    BY_LPS,
    BY_SOLE_SURVIVOR,
    BY_STALEMATE,
    BY_TERRITORY,
    ELIM,
    GAME_OVER,
    HAND,
    LOST_AT,
    LPS_COUNT,
    LPS_FIRST,
    LPS_LEAD,
    LPS_MASK,
    LPS_ROUNDS,
    LPS_SEEN,
    MARKERS,
    MUST_MOVE,
    ON_BOARD,
    OWES_LINE,
    PHASE,
    RESULT,
    STACKS,
    TERR,
    TO_PLAY,
    WINNER,
)


@kernel
def has_rings(s: Any, seat: int) -> bool:
    """Whether the seat has a ring in hand or in any stack."""
    return bool(s[HAND + seat] + s[ON_BOARD + seat] > 0)


@kernel
def end_game(s: Any, winner: int, result: int) -> None:
    """Close the game; `winner` is a seat, or -1 when it was cut off."""
    s[PHASE] = GAME_OVER
    s[WINNER] = winner
    s[RESULT] = result
    if winner >= 0:
        s[TO_PLAY] = winner
    s[MUST_MOVE] = -1
    s[ATTACKER] = -1
    s[OWES_LINE] = 0


@kernel
def check_victory(core: Any, s: Any, mover: int) -> bool:
    """End the game if a seat has won by elimination, territory, survival or on a bare board; whether it ended."""
    for seat in range(core.players):
        if s[ELIM + seat] >= core.elimination_target:
            end_game(s, seat, BY_ELIMINATION)
            return True
    collapsed = 0
    for seat in range(core.players):
        collapsed += s[TERR + seat]
    for seat in range(core.players):
        if s[TERR + seat] >= core.territory_target and 2 * s[TERR + seat] > collapsed:
            end_game(s, seat, BY_TERRITORY)
            return True
    controllers = 0
    owners = 0
    survivor = wide(0)
    for seat in range(core.players):
        owners += has_rings(s, seat)
        if s[STACKS + seat] > 0:
            controllers += 1
            survivor = seat
    if controllers == 1 and owners == 1:
        end_game(s, survivor, BY_SOLE_SURVIVOR)
        return True
    if controllers == 0 and _is_stalemate(core, s):
        end_game(s, _best_on_bare_board(core, s, mover), BY_STALEMATE)
        return True
    return False


@kernel
def _is_stalemate(core: Any, s: Any) -> bool:
    """Whether nobody can put a ring on the bare board."""
    return not hands_hold_rings(core, s) or not single_ring_fits(core, s)


@kernel
def hands_hold_rings(core: Any, s: Any) -> bool:
    """Whether any seat has a ring in hand."""
    in_hand = 0
    for seat in range(core.players):
        in_hand += s[HAND + seat]
    return in_hand > 0


@kernel
def _best_on_bare_board(core: Any, s: Any, mover: int) -> int:
    """Best by territory, eliminated rings and hand, markers, last move; the lowest seat if all are equal."""
    best = 0
    for seat in range(1, core.players):
        order = compare_standing(s, seat, best, True)
        if order > 0 or (order == 0 and seat == mover):
            best = seat
    return best


@kernel
def compare_standing(s: Any, one: int, two: int, count_hands: bool) -> int:
    """Positive if `one` stands better than `two` by territory, eliminated rings (and hand), markers; 0 if equal."""
    order = s[TERR + one] - s[TERR + two]
    if order == 0:
        order = s[ELIM + one] - s[ELIM + two]
        if count_hands:
            order += s[HAND + one] - s[HAND + two]
    if order == 0:
        order = s[MARKERS + one] - s[MARKERS + two]
    return wide(order)


@kernel
def track_last_standing(core: Any, s: Any, seat: int) -> None:
    """Update the last-player-standing tracker as the seat's turn begins; end the game if it has won."""
    lead_gone = s[LPS_LEAD] < 0 or not has_rings(s, wide(s[LPS_LEAD]))
    if s[LPS_FIRST] < 0 or not has_rings(s, wide(s[LPS_FIRST])):
        s[LPS_FIRST] = seat
        s[LPS_MASK] = 0
        s[LPS_SEEN] = 0
        if lead_gone:
            _reset_lead(s)
    elif seat == s[LPS_FIRST] and s[LPS_SEEN] != 0:
        _close_round(core, s)
    acts = seat_has_real_action(core, s, seat)
    s[LPS_SEEN] |= 1 << seat
    if not acts:
        s[LPS_MASK] &= ~(1 << seat)
        return
    s[LPS_MASK] |= 1 << seat
    if s[LPS_COUNT] >= LPS_ROUNDS and s[LPS_LEAD] == seat:
        for other in range(core.players):
            if other != seat and has_rings(s, other) and seat_has_real_action(core, s, other):
                return
        end_game(s, seat, BY_LPS)


@kernel
def _close_round(core: Any, s: Any) -> None:
    actors = 0
    lone = -1
    for seat in range(core.players):
        if has_rings(s, seat) and s[LPS_MASK] >> seat & 1:
            actors += 1
            lone = seat
    if actors != 1:
        _reset_lead(s)
    elif lone == s[LPS_LEAD]:
        s[LPS_COUNT] += 1
    else:
        s[LPS_LEAD] = lone
        s[LPS_COUNT] = 1
    s[LPS_MASK] = 0
    s[LPS_SEEN] = 0


@kernel
def _reset_lead(s: Any) -> None:
    s[LPS_LEAD] = -1
    s[LPS_COUNT] = 0


@kernel
def write_places(core: Any, s: Any, out: Any) -> None:
    """Write each seat's place, 1 is best, into out int64 [P]; equal standing is an equal place (1, 2, 2, 4)."""
    count_hands = s[RESULT] == BY_STALEMATE and hands_hold_rings(core, s)
    for seat in range(core.players):
        place = 1
        for other in range(core.players):
            if other != seat and _stands_before(s, other, seat, count_hands):
                place += 1
        out[seat] = place


@kernel
def _stands_before(s: Any, one: int, two: int, count_hands: bool) -> bool:
    if s[WINNER] == one or s[WINNER] == two:
        return bool(s[WINNER] == one)
    order = compare_standing(s, one, two, count_hands)
    if order != 0:
        return order > 0
    # The later the turn in which a seat lost its last ring the better; -1, never, is best.
    lost_one = s[LOST_AT + one]
    lost_two = s[LOST_AT + two]
    return bool(lost_two >= 0 and (lost_one < 0 or lost_one > lost_two))
