"""Positions of random games, and the same seen after a symmetry or a change of seats."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from ringrift_loop.engine import state as st
from ringrift_loop.engine.kernels import apply_move, legal_moves, make_work, new_states
from ringrift_loop.engine.rules import Rules, rules_for

SEAT_FIELDS = (st.HAND, st.ELIM, st.TERR, st.STACKS, st.MARKERS, st.ON_BOARD, st.LOST_AT)


class Positions(NamedTuple):
    """States with a choice and the moves that are legal in them."""

    rules: Rules
    states: NDArray[np.int16]
    moves: list[NDArray[np.int64]]


def random_positions(variant: str, count: int, *, seed: int = 1, every: int = 3) -> Positions:
    """Every third state with a choice of random games in which each kind of move is equally likely."""
    rules = rules_for(variant)
    work: Any = make_work(rules)
    scratch = np.empty(rules.max_moves, np.int64)
    rng = np.random.default_rng(seed)
    states: list[NDArray[np.int16]] = []
    moves: list[NDArray[np.int64]] = []
    seen = 0
    while len(states) < count:
        state = new_states(rules, 1)[0]
        while (number := legal_moves(rules, state, work, scratch)) > 0:
            legal = scratch[:number].copy()
            if number > 1:
                seen += 1
                if seen % every == 0:
                    states.append(state.copy())
                    moves.append(legal)
            kinds = legal & 0xFF
            chosen = rng.choice(legal[kinds == rng.choice(np.unique(kinds))])
            apply_move(rules, state, work, int(chosen))
    return Positions(rules, np.array(states[:count]), moves[:count])


def legal(rules: Rules, state: NDArray[np.int16]) -> NDArray[np.int64]:
    """The legal moves of a state, int64 [T]."""
    scratch = np.empty(rules.max_moves, np.int64)
    return scratch[: legal_moves(rules, state, make_work(rules), scratch)].copy()


def turned(rules: Rules, state: NDArray[np.int16], images: NDArray[np.int16]) -> NDArray[np.int16]:
    """The state with every cell moved to its image."""
    out = state.copy()
    cells = rules.board.num_cells
    for field in (rules.kind, rules.owner, rules.height, rules.cap, rules.top, rules.bottom, rules.region):
        out[field + images] = state[field : field + cells]
    for place in (st.MUST_MOVE, st.ATTACKER):
        if state[place] >= 0:
            out[place] = images[state[place]]
    return out


def reseated(rules: Rules, state: NDArray[np.int16], shift: int) -> NDArray[np.int16]:
    """The state with every seat s renamed s + shift."""
    players, rings = rules.players, rules.rings_per_seat
    cells = rules.board.num_cells

    def ring(numbers: NDArray[np.int16]) -> NDArray[np.int16]:
        renamed = (numbers // rings + shift) % players * rings + numbers % rings
        return np.where(numbers < 0, numbers, renamed).astype(np.int16)

    def seat(numbers: NDArray[np.int16]) -> NDArray[np.int16]:
        return np.where(numbers < 0, numbers, (numbers + shift) % players).astype(np.int16)

    out = state.copy()
    for place in (st.TO_PLAY, st.LPS_FIRST, st.LPS_LEAD):
        out[place] = seat(state[place : place + 1])[0]
    for place in (st.LPS_MASK, st.LPS_SEEN):
        out[place] = sum(((int(state[place]) >> s) & 1) << ((s + shift) % players) for s in range(players))
    for field in SEAT_FIELDS:
        out[field : field + players] = np.roll(state[field : field + players], shift)
    out[rules.owner : rules.owner + cells] = seat(state[rules.owner : rules.owner + cells])
    for field in (rules.top, rules.bottom):
        out[field : field + cells] = ring(state[field : field + cells])
    old = np.arange(rules.num_rings, dtype=np.int16)
    out[rules.below + ring(old)] = ring(state[rules.below : rules.below + rules.num_rings])
    return out


class PositionTools:
    """The functions above, for tests: test files cannot import each other."""

    random = staticmethod(random_positions)
    legal = staticmethod(legal)
    turned = staticmethod(turned)
    reseated = staticmethod(reseated)


@pytest.fixture
def positions() -> type[PositionTools]:
    """Random positions, and how they look turned or with other seats."""
    return PositionTools
