"""The heuristic evaluation: a softmax over the seats of weighted features, and the one-ply player built on it.

The weights stand in heuristic_weights.yaml, one set for square and one for hex boards per number of seats;
`benchmarks/tune_heuristic.py` makes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from ringrift_loop.engine.jit import kernel_decorator
from ringrift_loop.engine.kernels import apply_move
from ringrift_loop.engine.moves import SW, kind_of
from ringrift_loop.engine.rules import Rules
from ringrift_loop.engine.state import GAME_OVER, PHASE, TO_PLAY, WINNER
from ringrift_loop.errors import ConfigError
from ringrift_loop.search.features import FEATURES, FEATURES_VERSION, NUM_FEATURES, write_features
from ringrift_loop.search.forward import copy_state, write_share
from ringrift_loop.search.tally import tally_board, tally_move

kernel = kernel_decorator(Path(__file__).parent)
allocating = kernel_decorator(Path(__file__).parent, allocates=True)

WEIGHTS_FILE = "heuristic_weights.yaml"
LOST = -12.0
"""Log share of the win that stands for a lost game: below any that the evaluation gives."""


def heuristic_weights(rules: Rules) -> NDArray[np.float64]:
    """The weights [NUM_FEATURES] for a variant; read-only."""
    return shipped_weights(weights_key(rules))


def weights_key(rules: Rules) -> str:
    """The name of a variant's weights: `square_2p` to `hex_4p`; large boards use those tuned on the small ones."""
    return f"{'hex' if rules.board.is_hex else 'square'}_{rules.players}p"


@cache
def weights_digest(key: str) -> str:
    """Eight hex digits that change with the weights, with what they weigh, or with the features' meaning."""
    weighed = [f"{name}={weight!r}" for name, weight in zip(FEATURES, shipped_weights(key).tolist(), strict=True)]
    return sha256("\n".join([str(FEATURES_VERSION), *weighed]).encode()).hexdigest()[:8]


@cache
def shipped_weights(key: str) -> NDArray[np.float64]:
    """The weights [NUM_FEATURES] of the file under a key such as `hex_2p`; read-only."""
    text = files("ringrift_loop.search").joinpath(WEIGHTS_FILE).read_text(encoding="utf-8")
    return parse_weights(yaml.safe_load(text), key)


def parse_weights(document: Mapping[str, Any], key: str) -> NDArray[np.float64]:
    """The weights [NUM_FEATURES] under a key of the file's content.

    Raises:
        ConfigError: another format version, or the names are not exactly those of FEATURES.
    """
    if document.get("v") != 1:
        raise ConfigError(f"{WEIGHTS_FILE} must have v: 1, got {document.get('v')!r}")
    by_name = document.get("weights", {}).get(key)
    if not isinstance(by_name, dict):
        raise ConfigError(f"{WEIGHTS_FILE} has no weights for {key}")
    if set(by_name) != set(FEATURES):
        wrong = sorted(set(by_name) ^ set(FEATURES))
        raise ConfigError(f"{WEIGHTS_FILE}, {key}, must name each feature once; missing or unknown: {', '.join(wrong)}")
    weights = np.array([float(by_name[name]) for name in FEATURES])
    weights.flags.writeable = False
    return weights


@kernel
def write_log_shares(
    core: Any,
    s: NDArray[np.int16],
    counts: NDArray[np.int64],
    weights: NDArray[np.float64],
    features: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """Write the log of each seat's share of the win into out [P].

    Args:
        core: of the rules.
        s: state [W].
        counts: [>= P, NUM_COUNTS] of its board; not read if the game is over.
        weights: [NUM_FEATURES].
        features: scratch [P, NUM_FEATURES].
        out: written.
    """
    if s[PHASE] == GAME_OVER:
        write_share(s[WINNER], out)
        for seat in range(core.players):
            out[seat] = max(np.log(out[seat]), LOST)
        return
    write_features(core, s, counts, features)
    top = -np.inf
    for seat in range(core.players):
        score = 0.0
        for place in range(len(weights)):
            score += weights[place] * features[seat, place]
        out[seat] = score
        top = max(top, score)
    total = 0.0
    for seat in range(core.players):
        total += np.exp(out[seat] - top)
    for seat in range(core.players):
        out[seat] -= top + np.log(total)


@kernel
def score_moves(
    rules: Rules,
    state: NDArray[np.int16],
    moves: NDArray[np.int64],
    work: Any,
    tally: Any,
    weights: NDArray[np.float64],
    child: NDArray[np.int16],
    features: NDArray[np.float64],
    shares: NDArray[np.float64],
    out: NDArray[np.float32],
) -> None:
    """Write, for each legal move, the log share of the win that the mover has right after it.

    Args:
        rules: the variant.
        state: int16 [W].
        moves: [K] its legal moves.
        work: scratch memory of the engine.
        tally: of the variant's board; tally.before is `state` afterwards.
        weights: [NUM_FEATURES].
        child: scratch [W].
        features: scratch [P, NUM_FEATURES].
        shares: scratch [P].
        out: [K].
    """
    seat = state[TO_PLAY]
    tally_board(rules.core, state, tally)
    for place in range(len(moves)):
        copy_state(state, child)
        apply_move(rules, child, work, moves[place])
        if child[PHASE] != GAME_OVER:
            tally_move(rules.core, state, child, moves[place], tally)
        write_log_shares(rules.core, child, tally.after, weights, features, shares)
        # After the swap this person sits in the other seat.
        out[place] = shares[1 - seat] if kind_of(moves[place]) == SW else shares[seat]


@allocating
def score_batch(
    rules: Rules,
    states: NDArray[np.int16],
    moves: NDArray[np.int64],
    bounds: NDArray[np.int64],
    work: Any,
    tally: Any,
    weights: NDArray[np.float64],
    scores: NDArray[np.float32],
    values: NDArray[np.float32],
) -> None:
    """Score the moves of many states and evaluate the states themselves.

    Args:
        rules: the variant.
        states: int16 [B, W].
        moves: [T] legal moves, those of state b at bounds[b]:bounds[b + 1].
        bounds: [B + 1].
        work: scratch memory of the engine.
        tally: of the variant's board.
        weights: [NUM_FEATURES].
        scores: [T] written: log share of the win of the mover after each move.
        values: [B, P] written: share of the win per seat in each state.
    """
    seats = rules.core.players
    child = np.empty(rules.core.width, np.int16)
    features = np.empty((seats, NUM_FEATURES), np.float64)
    shares = np.empty(seats, np.float64)
    for b in range(len(states)):
        state, first, end = states[b], bounds[b], bounds[b + 1]
        score_moves(rules, state, moves[first:end], work, tally, weights, child, features, shares, scores[first:end])
        write_log_shares(rules.core, state, tally.before, weights, features, shares)
        for seat in range(seats):
            values[b, seat] = np.exp(shares[seat])
