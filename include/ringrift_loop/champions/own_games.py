"""Games that a network plays against itself without a search: in a few seconds, what positions it meets in play."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnxruntime import InferenceSession

from ringrift_loop.engine.kernels import apply_move, make_work, play_forced
from ringrift_loop.engine.rules import Rules
from ringrift_loop.engine.state import PLY
from ringrift_loop.errors import ModelError
from ringrift_loop.network.encoding import encode_states, move_features, plane_shape
from ringrift_loop.network.move_features import MOVE_COLUMNS
from ringrift_loop.network.quantize import Inputs
from ringrift_loop.tournament.openings import draw_opening

_GAMES = 16
_OPENINGS = 8
"""A game opens with fewer random choices than this: some with none, some with a few."""
_ROOM_FOR_FORCED_PLIES = 256


class Position(NamedTuple):
    """A state with a choice, as it came up in a game."""

    state: NDArray[np.int16]
    """[W]."""
    moves: NDArray[np.int64]
    """[K] its legal moves, in the engine's order."""


def own_games(session: InferenceSession, rules: Rules) -> list[list[Position]]:
    """The positions of each of some games, in which every move is drawn by the network's policy.

    The same network plays the same games again, as far as its outputs are the same.

    Raises:
        ModelError: the network says something that is no number.
    """
    rng = np.random.default_rng(0)
    states = [draw_opening(rules, game, game % _OPENINGS).state for game in range(_GAMES)]
    games: list[list[Position]] = [[] for _ in states]
    work, scratch = make_work(rules), np.empty(rules.max_moves, np.int64)
    forced = np.empty(_ROOM_FOR_FORCED_PLIES, np.int64)
    going = list(range(_GAMES))
    while going:
        asked: list[Position] = []
        for game in tuple(going):
            count, _ = play_forced(rules, states[game], work, scratch, forced, 0)
            if count < 2 or states[game][PLY] >= rules.ply_budget:
                going.remove(game)
                continue
            asked.append(Position(states[game].copy(), scratch[:count].copy()))
            games[game].append(asked[-1])
        if not asked:
            break
        logits = session.run(None, _inputs_of(rules, asked))[0]
        if not np.isfinite(logits).all():
            raise ModelError("the network's policy is not a finite number for some moves")
        bounds = np.cumsum([0, *(len(position.moves) for position in asked)])
        for place, (game, position) in enumerate(zip(going, asked, strict=True)):
            own = logits[bounds[place] : bounds[place + 1]]
            chosen = int((own + rng.gumbel(size=len(own))).argmax())  # as often as the policy says (Gumbel 1954)
            apply_move(rules, states[game], work, position.moves[chosen])
    return games


def evenly(games: Sequence[Sequence[Position]], count: int) -> list[Position]:
    """At most `count` positions of some games, evenly chosen."""
    positions = list(chain.from_iterable(games))
    places = np.linspace(0, len(positions) - 1, min(count, len(positions))).astype(np.int64)
    return [positions[place] for place in places]


def batches_of(rules: Rules, positions: Sequence[Position], size: int) -> list[Inputs]:
    """What an ONNX model gets of positions of one variant, in batches of `size`; the last may be smaller."""
    return [_inputs_of(rules, positions[at : at + size]) for at in range(0, len(positions), size)]


def _inputs_of(rules: Rules, positions: Sequence[Position]) -> Inputs:
    planes = np.empty((len(positions), *plane_shape(rules)), np.float32)
    encode_states(rules, np.stack([position.state for position in positions]), planes)
    counts = [len(position.moves) for position in positions]
    features = np.empty((sum(counts), MOVE_COLUMNS), np.int32)
    first = 0
    for position, count in zip(positions, counts, strict=True):
        move_features(rules, position.state, position.moves, features[first : first + count])
        first += count
    return {"planes": planes, "move_row": np.repeat(np.arange(len(positions)), counts), "move_features": features}
