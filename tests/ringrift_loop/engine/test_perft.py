"""Perft: the number of distinct move sequences of a given length, recorded, and counted by both engines."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from ringrift_loop.engine.conformance.plain import PlainGame
from ringrift_loop.engine.kernels import apply_move, legal_moves, make_work, new_states
from ringrift_loop.engine.rules import rules_for
from ringrift_loop.engine.text.notation import parse_state

GOLDEN = Path(__file__).parents[3] / "tests" / "data" / "golden_games"

# The first moves do not depend on the number of players.
OPENINGS = {
    "square8": [192, 3192, 3192, 3192, 596904],
    "square19": [1083, 56520],
    "hex8": [183, 2430, 2430, 2430, 432540],
    "hexagonal": [1407, 70062],
}
FROM_THE_START = {f"{board}_{players}p": counts for board, counts in OPENINGS.items() for players in (2, 3, 4)}

FROM_A_SCENARIO = {
    "square8_2p": [1, 55, 55, 61, 67, 3605, 7484],
    "square8_3p": [1, 2, 2, 4, 4, 8, 12, 18, 18, 54, 124, 124],
    "square8_4p": [50, 847, 1220, 1721],
    "square19_2p": [539, 12844, 65815],
    "square19_3p": [588, 24006],
    "square19_4p": [274, 11324, 34218],
    "hex8_2p": [1, 49, 65, 75, 3279, 31276],
    "hex8_3p": [1, 3, 3, 3, 3, 3, 3, 3, 3, 9, 9, 85, 315, 729],
    "hex8_4p": [1, 10, 10, 10, 10, 168, 283, 354, 449],
    "hexagonal_2p": [232, 5525, 15038],
    "hexagonal_3p": [1, 321, 321, 321, 380064],
    "hexagonal_4p": [1, 43, 43, 43, 43, 18943],
}

PLAIN_POSITIONS = 300
"""The twin, some hundred times slower, counts a depth only if that takes the legal moves of so many positions."""


def kernel_perft(variant: str, depth: int, init: str | None = None) -> int:
    """Sequences of `depth` moves, counted with the kernels."""
    rules = rules_for(variant)
    work = make_work(rules)
    rows = new_states(rules, depth + 1)
    if init is not None:
        rows[0] = parse_state(rules, init)
    buffers = np.empty((depth, rules.max_moves), np.int64)

    def count(level: int) -> int:
        n = int(legal_moves(rules, rows[level], work, buffers[level]))
        if level == depth - 1:
            return n
        total = 0
        for move in buffers[level, :n].tolist():
            rows[level + 1] = rows[level]
            apply_move(rules, rows[level + 1], work, move)
            total += count(level + 1)
        return total

    return count(0)


def plain_perft(game: PlainGame, depth: int) -> int:
    """Sequences of `depth` moves, counted with the plain twin."""
    legal = game.legal()
    if depth == 1:
        return len(legal)
    total = 0
    for move in legal:
        after = game.copy()
        after.play(move)
        total += plain_perft(after, depth - 1)
    return total


def scenario(variant: str) -> str:
    """The start position of the variant's first golden scenario."""
    with gzip.open(GOLDEN / f"{variant}.jsonl.gz", "rt") as lines:
        return next(str(game["init"]) for game in map(json.loads, lines) if "init" in game)


@pytest.mark.parametrize("variant", FROM_THE_START)
def test_the_recorded_openings_are_counted_by_both_engines(variant: str) -> None:
    counts = FROM_THE_START[variant]
    assert [kernel_perft(variant, depth) for depth in range(1, len(counts) + 1)] == counts
    depths = plain_depths(counts)
    assert [plain_perft(PlainGame(variant), depth) for depth in depths] == counts[: len(depths)]


@pytest.mark.parametrize("variant", FROM_A_SCENARIO)
def test_the_recorded_scenarios_are_counted_by_both_engines(variant: str) -> None:
    counts, init = FROM_A_SCENARIO[variant], scenario(variant)
    assert [kernel_perft(variant, depth, init) for depth in range(1, len(counts) + 1)] == counts
    depths = plain_depths(counts)
    game = PlainGame.from_text(variant, init)
    assert [plain_perft(game, depth) for depth in depths] == counts[: len(depths)]


def plain_depths(counts: list[int]) -> list[int]:
    """The depths that the twin counts: the first, and those whose last moves follow few enough positions."""
    return [depth for depth in range(1, len(counts) + 1) if depth == 1 or counts[depth - 2] <= PLAIN_POSITIONS]
