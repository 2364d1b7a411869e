"""Random openings: the few moves that make every block of games a different one."""

from __future__ import annotations

from collections.abc import Set
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ringrift_loop.engine.kernels import apply_move, legal_moves, make_work, new_states
from ringrift_loop.engine.rules import Rules
from ringrift_loop.engine.state import GAME_OVER, PHASE
from ringrift_loop.engine.text.notation import move_text
from ringrift_loop.errors import ConfigError

_ATTEMPTS = 50


class Opening(NamedTuple):
    """The first moves of a game, and the state after them."""

    moves: tuple[int, ...]
    text: str
    """The moves as texts, joined by spaces."""
    state: npt.NDArray[np.int16]
    """[W]."""


def draw_opening(rules: Rules, seed: int, plies: int, taken: Set[str] = frozenset()) -> Opening:
    """Return the opening that belongs to a seed: uniformly random moves at the first `plies` choices.

    Moves without a choice come on top. When the opening is taken or ends the game, the next one of the same seed is
    drawn.

    Args:
        rules: the variant.
        seed: 0 or above.
        plies: choices to make at random.
        taken: texts of openings that must not come again.

    Raises:
        ConfigError: no free opening in 50 draws: `plies` is too small for the number of blocks.
    """
    for attempt in range(_ATTEMPTS):
        opening = _draw(rules, np.random.default_rng((seed, attempt)), plies)
        if opening is not None and opening.text not in taken:
            return opening
    raise ConfigError(
        f"evaluation.opening_random_plies={plies} gives too few different openings: {len(taken)} are taken, "
        f"{_ATTEMPTS} draws found no other; use a larger number"
    )


def _draw(rules: Rules, rng: np.random.Generator, plies: int) -> Opening | None:
    """One opening, or None if the game ended in it."""
    state = new_states(rules, 1)[0]
    work = make_work(rules)
    scratch = np.empty(rules.max_moves, np.int64)
    moves: list[int] = []
    texts: list[str] = []
    choices = 0
    while choices < plies:
        n = legal_moves(rules, state, work, scratch)
        move = int(scratch[rng.integers(n)]) if n > 1 else int(scratch[0])
        choices += n > 1
        _record(rules, state, work, move, moves, texts)
        if state[PHASE] == GAME_OVER:
            return None
    return Opening(tuple(moves), " ".join(texts), state)


def _record(rules: Rules, state: Any, work: Any, move: int, moves: list[int], texts: list[str]) -> None:
    moves.append(move)
    texts.append(move_text(rules, state, move, work))
    apply_move(rules, state, work, move)
