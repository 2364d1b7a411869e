"""Counts kept by lines against counts told plainly, along random games of every variant."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from plain_counts import plain_counts
from ringrift_loop.engine.kernels import apply_move, legal_moves, make_work, new_states
from ringrift_loop.engine.moves import KIND_NAMES, kind_of
from ringrift_loop.engine.rules import VARIANTS, Rules, rules_for
from ringrift_loop.engine.state import GAME_OVER, PHASE, TO_PLAY
from ringrift_loop.engine.text.position_text import parse_state
from ringrift_loop.search.features import NUM_FEATURES
from ringrift_loop.search.heuristic import heuristic_weights, score_batch, write_log_shares
from ringrift_loop.search.tally import board_lines, make_tally, tally_board, tally_move
from scenarios import random_state

SEEDS = st.integers(0, 2**32 - 1)
QUICK = settings(
    max_examples=3, deadline=None, database=None, derandomize=True, phases=[Phase.explicit, Phase.generate]
)
State = NDArray[np.int16]
CHILDREN = 6
"""Moves of a position that are looked at, besides one of every kind."""


class Counter:
    """Counts of one variant."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.tally = make_tally(rules)

    def whole(self, row: State) -> list[list[int]]:
        """The counts of a state, of which `after` may then ask."""
        tally_board(self.rules.core, row, self.tally)
        counts: list[list[int]] = self.tally["before"][: self.rules.players].tolist()
        return counts

    def after(self, before: State, after: State, move: int) -> list[list[int]]:
        """The counts of the state after a move, of the state that was last counted as a whole."""
        tally_move(self.rules.core, before, after, move, self.tally)
        counts: list[list[int]] = self.tally["after"][: self.rules.players].tolist()
        return counts


def walk(rules: Rules, row: State, rng: random.Random, plies: int) -> Iterator[tuple[State, list[int]]]:
    """States with their legal moves along a random game; seldom seen kinds of move are preferred."""
    work, moves = make_work(rules), np.empty(rules.max_moves, np.int64)
    for _ in range(plies):
        legal = moves[: legal_moves(rules, row, work, moves)].tolist()
        if not legal:
            return
        yield row, legal
        by_kind = {kind_of(move): move for move in rng.sample(legal, len(legal))}
        apply_move(rules, row, work, rng.choice(list(by_kind.values())))


def children(rules: Rules, row: State, legal: list[int], rng: random.Random) -> Iterator[tuple[int, State]]:
    """Some moves and the running games that they lead to."""
    work: Any = make_work(rules)
    by_kind = {kind_of(move): move for move in legal}
    some = {*by_kind.values(), *rng.sample(legal, min(CHILDREN, len(legal)))}
    for move in sorted(some):
        child = row.copy()
        apply_move(rules, child, work, move)
        if child[PHASE] != GAME_OVER:
            yield move, child


@pytest.mark.parametrize("variant", ["square8_2p", "square19_2p", "hex8_2p", "hexagonal_2p"])
def test_every_cell_is_on_one_line_of_each_axis(variant: str) -> None:
    board = rules_for(variant).board
    for axis in range(board.num_axes):
        cells = sorted(cell for own, line in board_lines(board) if own == axis for cell in line)
        assert cells == list(range(board.num_cells))


@pytest.mark.parametrize("variant", VARIANTS)
@QUICK
@given(seed=SEEDS)
def test_counts_of_a_state_are_the_plain_ones(variant: str, seed: int) -> None:
    rng, rules = random.Random(seed), rules_for(variant)
    counter = Counter(rules)
    for row in (new_states(rules, 1)[0], parse_state(rules, random_state(variant, rng))):
        for state, _ in walk(rules, row, rng, 40):
            if rng.random() < 0.1:
                assert counter.whole(state) == plain_counts(rules, state)


@pytest.mark.parametrize("variant", VARIANTS)
@QUICK
@given(seed=SEEDS)
def test_counts_after_a_move_are_those_of_the_state_that_it_makes(variant: str, seed: int) -> None:
    rng, rules = random.Random(seed), rules_for(variant)
    counter, afresh = Counter(rules), Counter(rules)
    for row in (new_states(rules, 1)[0], parse_state(rules, random_state(variant, rng))):
        for state, legal in walk(rules, row, rng, 60):
            counter.whole(state)
            for move, child in children(rules, state, legal, rng):
                assert counter.after(state, child, move) == afresh.whole(child), KIND_NAMES[kind_of(move)]


@pytest.mark.parametrize("variant", VARIANTS)
@QUICK
@given(seed=SEEDS)
def test_scores_are_to_the_bit_those_of_each_child_evaluated_alone(variant: str, seed: int) -> None:
    rng, rules = random.Random(seed), rules_for(variant)
    work, tally, weights = make_work(rules), make_tally(rules), heuristic_weights(rules)
    features, shares = np.empty((rules.players, NUM_FEATURES)), np.empty(rules.players)
    for state, legal in walk(rules, parse_state(rules, random_state(variant, rng)), rng, 10):
        mover, moves = int(state[TO_PLAY]), np.array(legal, np.int64)
        scores, values = np.empty(len(legal), np.float32), np.empty((1, rules.players), np.float32)
        bounds = np.array([0, len(legal)], np.int64)
        score_batch(rules, state[None, :], moves, bounds, work, tally, weights, scores, values)
        for move, child in children(rules, state, legal, rng):
            tally_board(rules.core, child, tally)
            write_log_shares(rules.core, child, tally["before"], weights, features, shares)
            assert scores[legal.index(move)] == np.float32(shares[mover])
