"""Who evaluates the states that a search asks about: a network, the heuristic, or random playouts."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ringrift_loop.engine.jit import kernel_decorator
from ringrift_loop.engine.kernels import make_work, random_playout
from ringrift_loop.engine.rules import Rules
from ringrift_loop.engine.state import TO_PLAY, WINNER
from ringrift_loop.errors import ModelError
from ringrift_loop.network.encoding import encode_states, plane_shape
from ringrift_loop.network.move_features import MOVE_COLUMNS, encode_moves
from ringrift_loop.network.planes import KERNEL_FOLDER
from ringrift_loop.search.heuristic import heuristic_weights, score_batch
from ringrift_loop.search.pool import LeafBatch
from ringrift_loop.search.randomness import uniform
from ringrift_loop.search.tally import make_tally

if TYPE_CHECKING:  # loads ONNX Runtime, which baselines do without
    from ringrift_loop.network.inference import Evaluator

kernel = kernel_decorator(Path(__file__).parent, KERNEL_FOLDER)

Evaluation = tuple[NDArray[np.float32], NDArray[np.float32]]
"""logits [T] of the batch's moves; values [B, P], share of the win per seat."""

PRIOR_SCALE = 8.0
"""How much the heuristic's log shares are sharpened into priors; 3, 8 and 20 play about equally well, docs/log.md."""


_HAIR = 1e-3
"""Largest difference of the log priors of moves of which nothing is known."""


class LeafEvaluator(Protocol):
    """Evaluates states in batches."""

    evaluations: int
    """States evaluated so far."""
    network_seconds: float
    """Time spent inside a network so far; 0 for those that have none."""

    def evaluate(self, batch: LeafBatch) -> Evaluation:
        """Return the logits of the moves and the values of the states; may advance batch.random."""
        ...


class HeuristicLeaves:
    """Priors from the heuristic's one-ply scores, values from its evaluation of the state."""

    def __init__(self, rules: Rules, *, prior_scale: float = PRIOR_SCALE) -> None:
        """Load the variant's weights."""
        self._rules = rules
        self._work: Any = make_work(rules)
        self._tally: Any = make_tally(rules)
        self._weights = heuristic_weights(rules)
        self._prior_scale = np.float32(prior_scale)
        self.evaluations = 0
        self.network_seconds = 0.0

    def evaluate(self, batch: LeafBatch) -> Evaluation:
        """See LeafEvaluator."""
        scores = np.empty(len(batch.moves), np.float32)
        values = np.empty((batch.size, self._rules.players), np.float32)
        scratch = (self._work, self._tally)
        score_batch(self._rules, batch.states, batch.moves, batch.bounds, *scratch, self._weights, scores, values)
        self.evaluations += batch.size
        return scores * self._prior_scale, values


class PlayoutLeaves:
    """Equal priors but for a hair; the value is the result of one uniformly random game from the state.

    The hair is drawn by lot: a search takes the first of equal moves, and that must not be the first of the list.
    """

    def __init__(self, rules: Rules) -> None:
        """Allocate scratch memory."""
        self._rules = rules
        self._work: Any = make_work(rules)
        self._moves = np.empty(rules.max_moves, np.int64)
        self.evaluations = 0
        self.network_seconds = 0.0

    def evaluate(self, batch: LeafBatch) -> Evaluation:
        """See LeafEvaluator; consumes batch.states."""
        values = np.empty((batch.size, self._rules.players), np.float32)
        logits = np.empty(len(batch.moves), np.float32)
        scratch = (self._work, self._moves)
        _play_out(self._rules, batch.states, batch.bounds, batch.random, *scratch, logits, values)
        self.evaluations += batch.size
        return logits, values


class NetworkLeaves:
    """A network's policy and value."""

    def __init__(self, rules: Rules, evaluator: Evaluator) -> None:
        """Wrap an evaluator for one variant."""
        self._rules = rules
        self._evaluator = evaluator
        self.evaluations = 0
        self.network_seconds = 0.0

    def evaluate(self, batch: LeafBatch) -> Evaluation:
        """See LeafEvaluator.

        Raises:
            ModelError: the network gives something that is no number.
        """
        planes, features = encode_batch(self._rules, batch)
        began = time.perf_counter()
        logits, by_mover = self._evaluator.evaluate(planes, batch.rows, features)
        self.network_seconds += time.perf_counter() - began
        for name, output in (("a logit", logits), ("a value", by_mover)):
            if not np.isfinite(output).all():
                wrong = output[~np.isfinite(output)][0]
                digest = self._evaluator.manifest.digest
                raise ModelError(f"model {digest} gives {name} of {wrong}; all that a network gives must be finite")
        self.evaluations += batch.size
        return logits, values_by_seat(by_mover, batch.states[:, TO_PLAY], self._rules.players)


def encode_batch(rules: Rules, batch: LeafBatch) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """The network's inputs: planes [B, C, side, side] of the states and features [T, MOVE_COLUMNS] of the moves."""
    planes = np.empty((batch.size, *plane_shape(rules)), np.float32)
    encode_states(rules, batch.states, planes)
    features = np.empty((len(batch.moves), MOVE_COLUMNS), np.int32)
    _encode_moves(rules.core, batch.states, rules.board.grid, batch.moves, batch.bounds, features)
    return planes, features


def values_by_seat(by_mover: NDArray[np.float32], movers: NDArray[np.int16], players: int) -> NDArray[np.float32]:
    """Values [B, P] keyed by seat, from values [B, 4] whose column c is the c-th seat after the mover."""
    values = np.empty((len(by_mover), players), np.float32)
    _turn_to_seats(by_mover, movers, values)
    return values


@kernel
def _turn_to_seats(by_mover: NDArray[np.float32], movers: NDArray[np.int16], out: NDArray[np.float32]) -> None:
    seats = out.shape[1]
    for b in range(len(out)):
        for seat in range(seats):
            out[b, seat] = by_mover[b, (seat - movers[b]) % seats]


@kernel
def _play_out(
    rules: Rules,
    states: NDArray[np.int16],
    bounds: NDArray[np.int64],
    random: NDArray[np.uint64],
    work: Any,
    moves: NDArray[np.int64],
    logits: NDArray[np.float32],
    values: NDArray[np.float32],
) -> None:
    seats = values.shape[1]
    for b in range(len(states)):
        for place in range(bounds[b], bounds[b + 1]):
            logits[place] = _HAIR * uniform(random[b : b + 1])
        random_playout(rules, states[b], work, moves, random[b : b + 1])
        winner = states[b, WINNER]
        for seat in range(seats):
            values[b, seat] = (1.0 if seat == winner else 0.0) if winner >= 0 else 1.0 / seats


@kernel
def _encode_moves(
    core: Any,
    states: NDArray[np.int16],
    grid: NDArray[np.int32],
    moves: NDArray[np.int64],
    bounds: NDArray[np.int64],
    out: NDArray[np.int32],
) -> None:
    for b in range(len(states)):
        first, end = bounds[b], bounds[b + 1]
        encode_moves(core, states[b], grid, moves[first:end], end - first, out[first:end])
