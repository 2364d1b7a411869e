"""The course of a turn in the plain twin: phases, legal moves, end of turn (docs/3-rules.md 4, 13, 14)."""

from __future__ import annotations

from ringrift_loop.engine.conformance.plain.lines import eligible_lines, line_texts, pay_for_line, process_line
from ringrift_loop.engine.conformance.plain.movement import (
    can_act,
    capture_texts,
    captures,
    has_real_action,
    move_stack,
    movement_texts,
    place,
    placements,
)
from ringrift_loop.engine.conformance.plain.position import Position, cap_height
from ringrift_loop.engine.conformance.plain.recovery import may_recover, recover, recovery_texts
from ringrift_loop.engine.conformance.plain.territory import (
    pay_for_region,
    processable_regions,
    take_region,
    territory_texts,
)
from ringrift_loop.engine.conformance.plain.text import Move, cell_text
from ringrift_loop.engine.conformance.plain.victory import declare, settle

PASSIVE = frozenset({"NP", "NM", "NL", "NT", "SP", "SC", "SR", "ST"})
"""Moves that leave the board as it is; a turn made of these alone ends in forced elimination."""

ROUNDS_ALONE = 3
"""Rounds for which one seat alone must have had a real action to win as last player standing."""


def legal_texts(position: Position) -> list[str]:
    """Every legal move, sorted as text; empty exactly when the game is over."""
    seat = position.seat
    match position.phase:
        case "RP":
            texts = _placement_texts(position)
        case "MO":
            texts = movement_texts(position)
            if not texts:
                texts = [*recovery_texts(position), "SR"] if may_recover(position, seat) else ["NM"]
        case "CA":
            assert position.attacker is not None
            texts = [*capture_texts(position, position.attacker, "CP"), "SC"]
        case "CH":
            assert position.attacker is not None
            texts = capture_texts(position, position.attacker, "CC")
        case "LI":
            texts = line_texts(position)
        case "TE":
            texts = territory_texts(position)
        case "FE":
            texts = [f"FE:{cell_text(cell)}" for cell in position.controlled(seat)]
        case _:
            texts = []
    return sorted(texts)


def play_move(position: Position, move: Move) -> None:
    """Play a legal move: its effect, the phase change, the tests for victory."""
    mover = position.seat
    _take_effect(position, move)
    position.acted = position.acted or move.kind not in PASSIVE
    position.recovered = position.recovered or move.kind in ("RL1", "RL2", "RF", "RS")
    for seat in position.seats:
        if seat not in position.lost_last_ring_at and not position.owns_a_ring(seat):
            position.lost_last_ring_at[seat] = position.turn
    _change_phase(position, move, mover)
    settle(position, mover)


def _placement_texts(position: Position) -> list[str]:
    seat = position.seat
    texts = [f"PL:{cell_text(cell)}x{count}" for cell, count in placements(position, seat)]
    if position.hands[seat] > 0 and _may_skip_placement(position):
        texts.append("SP")
    if position.swap_open and seat == 2:
        texts.append("SW")
    return texts or ["NP"]


def _may_skip_placement(position: Position) -> bool:
    own = position.controlled(position.seat)
    if own:
        return any(can_act(position, cell, position.stacks[cell]) for cell in own)
    return may_recover(position, position.seat)


def _take_effect(position: Position, move: Move) -> None:
    match move.kind:
        case "PL":
            place(position, move)
        case "MV" | "CP" | "CC":
            move_stack(position, move)
        case "RL1" | "RL2" | "RF" | "RS":
            recover(position, move)
        case "LP" | "LO":
            process_line(position, move)
        case "LE":
            pay_for_line(position, move)
        case "TR":
            take_region(position, move)
        case "TE" | "TB":
            pay_for_region(position, move)
        case "FE":
            (cell,) = move.cells
            position.take_rings(cell, cap_height(position.stacks[cell]), position.seat)
        case "SW":
            position.swap_open = False


def _change_phase(position: Position, move: Move, mover: int) -> None:
    match move.kind:
        case "SW" | "LE" | "TR":
            pass  # the phase stays
        case "PL" | "SP" | "NP":
            if mover == 2:
                position.swap_open = False
            position.phase = "MO"
        case "MV" | "CP" | "CC":
            _after_move(position, move)
        case "SC" | "NM" | "SR" | "RL1" | "RL2" | "RF" | "RS":
            _enter_lines(position)
        case "LP" | "LO":
            if not position.owes_line_ring and not eligible_lines(position, mover):
                _leave_lines(position)
        case "NL":
            _leave_lines(position)
        case "TE" | "TB":
            if not processable_regions(position):
                _leave_territory(position, mover)
        case "ST" | "NT":
            _leave_territory(position, mover)
        case "FE":
            _end_turn(position)


def _after_move(position: Position, move: Move) -> None:
    landing = move.cells[-1]
    stack = position.stacks.get(landing)
    if stack is not None and stack[-1] == position.seat and any(True for _ in captures(position, landing, stack)):
        position.phase = "CA" if move.kind == "MV" else "CH"
        position.attacker = landing
    else:
        _enter_lines(position)


def _enter_lines(position: Position) -> None:
    position.phase = "LI"
    position.must_move = None
    position.attacker = None


def _leave_lines(position: Position) -> None:
    idle = not position.acted and position.controls_a_stack(position.seat)
    position.phase = "FE" if idle and not processable_regions(position) else "TE"


def _leave_territory(position: Position, mover: int) -> None:
    if not position.acted and position.controls_a_stack(position.seat):
        position.phase = "FE"
        return
    settle(position, mover)
    if position.winner is None:
        _end_turn(position)


def _end_turn(position: Position) -> None:
    """Pass the turn to the next seat that still has a ring anywhere; if nobody has one, the seat stays."""
    order = [(position.seat + i - 1) % len(position.seats) + 1 for i in range(1, len(position.seats) + 1)]
    position.seat = next((seat for seat in order if position.owns_a_ring(seat)), position.seat)
    position.phase = "RP"
    position.turn += 1
    position.must_move = position.attacker = None
    position.owes_line_ring = position.owes_region_price = False
    position.acted = position.recovered = False
    _track_standing(position)


def _track_standing(position: Position) -> None:
    """Last player standing, at the start of a turn (docs/3-rules.md 14)."""
    standing, seat = position.standing, position.seat
    alive = [other for other in position.seats if position.owns_a_ring(other)]
    if standing.first not in alive:
        standing.first, standing.mask = seat, {}
        if standing.lead not in alive:
            standing.lead, standing.count = None, 0
    elif seat == standing.first and standing.mask:
        able = [other for other in alive if standing.mask.get(other)]
        if len(able) == 1:
            standing.count = standing.count + 1 if standing.lead == able[0] else 1
            standing.lead = able[0]
        else:
            standing.lead, standing.count = None, 0
        standing.mask = {}
    standing.mask[seat] = has_real_action(position, seat)
    if standing.count >= ROUNDS_ALONE and standing.lead == seat and standing.mask[seat]:
        others = [other for other in alive if other != seat]
        if not any(has_real_action(position, other) for other in others):
            declare(position, seat, "lps")
