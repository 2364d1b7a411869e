"""Rows of the window as training batches: planes, moves and targets, turned by a random symmetry each time.

A batch is a function of (seed, step) alone, so that a resumed run draws what it would have drawn.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ringrift_loop.engine import state as st
from ringrift_loop.engine.jit import kernel_decorator
from ringrift_loop.engine.kernels import legal_moves, make_work
from ringrift_loop.engine.rules import Rules, variant
from ringrift_loop.network.encoding import symmetry_images
from ringrift_loop.network.model import OWNER_CLASSES
from ringrift_loop.network.move_features import MOVE_COLUMNS, encode_moves
from ringrift_loop.network.planes import KERNEL_FOLDER, NUM_PLANES, encode_state
from ringrift_loop.selfplay.entries import systematic_sample
from ringrift_loop.training.window import Window

kernel = kernel_decorator(Path(__file__).parent, KERNEL_FOLDER)

IGNORED = -1
"""Owner class of grid places that are no cells."""
_PREFETCHED = 3


class Batch(NamedTuple):
    """B rows with T legal moves together, seats counted from the mover."""

    planes: NDArray[np.float32]
    """[B, NUM_PLANES, side, side]."""
    move_row: NDArray[np.int64]
    """[T]."""
    move_features: NDArray[np.int32]
    """[T, MOVE_COLUMNS]."""
    policy: NDArray[np.float32]
    """[T]: target probability; 0 for rows without a policy target."""
    searched: NDArray[np.float32]
    """[B]: 1 where the policy target counts."""
    value: NDArray[np.float32]
    """[B, 4]: target share of the win."""
    owner: NDArray[np.int64]
    """[B, S]: class of each grid place, IGNORED off the board."""
    score: NDArray[np.float32]
    """[B, 4, 2]."""
    moves_left: NDArray[np.float32]
    """[B]: log2(1 + plies until the end)."""
    share: NDArray[np.float32]
    """[2]: what this part of a batch weighs beside the other processes' parts, its rows and its full searches over the
    mean of all parts; 1 for a whole batch."""


class BatchMaker:
    """Makes batches of one window; threads take turns, since a training makes batches while it measures others."""

    def __init__(
        self,
        rules: Rules,
        board_variant: str,
        window: Window,
        *,
        value_outcome_share: float,
        bootstrap_outcome_share: float | None = None,
    ) -> None:
        """Prepare scratch memory.

        Args:
            rules: the window's variant.
            board_variant: its name.
            window: where the rows come from.
            value_outcome_share: share of the game's outcome in the value target, the rest is the search's root value.
            bootstrap_outcome_share: the same in games that no model played; by default there is no difference.
        """
        self._rules = rules
        self._window = window
        own = value_outcome_share if bootstrap_outcome_share is None else bootstrap_outcome_share
        self._shares = np.array([value_outcome_share, own])
        self._images = symmetry_images(variant(board_variant).board)
        self._work: Any = make_work(rules)
        self._moves = np.empty(rules.max_moves, np.int64)
        self._scratch_free = threading.Lock()

    @property
    def num_symmetries(self) -> int:
        """How many symmetries a row can be turned by; 0 is the identity."""
        return len(self._images)

    def make(self, rows: NDArray[np.int64], symmetries: NDArray[np.int64]) -> Batch:
        """Return the batch of those rows, each turned by its symmetry; rows and symmetries are [B]."""
        window, rules = self._window, self._rules
        size, side = len(rows), rules.board.side
        choices = window.choices[rows].astype(np.int64)
        bounds = np.zeros(size + 1, np.int64)
        np.cumsum(choices, out=bounds[1:])
        total = int(bounds[-1])
        batch = Batch(
            planes=np.empty((size, NUM_PLANES, side, side), np.float32),
            move_row=np.repeat(np.arange(size), choices),
            move_features=np.empty((total, MOVE_COLUMNS), np.int32),
            policy=np.zeros(total, np.float32),
            searched=window.searched[rows].astype(np.float32),
            value=np.zeros((size, 4), np.float32),
            owner=np.full((size, side * side), IGNORED, np.int64),
            score=np.zeros((size, 4, 2), np.float32),
            moves_left=np.log2(1.0 + window.plies[window.game[rows]] - window.ply[rows]).astype(np.float32),
            share=np.ones(2, np.float32),
        )
        states = np.ascontiguousarray(window.states[rows])
        with self._scratch_free:
            wrong = _fill_inputs(
                rules,
                states,
                self._images,
                symmetries,
                bounds,
                self._work,
                self._moves,
                batch.planes.reshape(size, NUM_PLANES, -1),
                batch.move_features,
            )
        assert wrong < 0, f"row {rows[wrong]} has a different number of legal moves than when the window was built"
        self._fill_policy(rows, bounds, batch.policy)
        self._fill_results(rows, states[:, st.TO_PLAY].astype(np.int64), symmetries, batch)
        return batch

    def make_part(self, rows: NDArray[np.int64], symmetries: NDArray[np.int64], *, rank: int, parts: int) -> Batch:
        """Every `parts`-th row of the batch from number `rank` on, weighted so that the parts' mean is the batch's."""
        mine = rows[rank::parts]
        searched = self._window.searched
        weights = (len(mine), searched[mine].sum(dtype=np.int64))
        means = (len(rows) / parts, searched[rows].sum(dtype=np.int64) / parts)
        share = [weight / mean if mean else 0.0 for weight, mean in zip(weights, means, strict=True)]
        return self.make(mine, symmetries[rank::parts])._replace(share=np.array(share, np.float32))

    def _fill_policy(self, rows: NDArray[np.int64], bounds: NDArray[np.int64], out: NDArray[np.float32]) -> None:
        window = self._window
        for place, row in enumerate(rows):
            first, end = window.target_start[row], window.target_start[row + 1]
            out[bounds[place] + window.target_move[first:end]] = window.target_weight[first:end]

    def _fill_results(
        self, rows: NDArray[np.int64], mover: NDArray[np.int64], symmetries: NDArray[np.int64], batch: Batch
    ) -> None:
        """Turn what is stored by seat into what is seen from the mover, after undoing a later swap of sides."""
        window, players = self._window, self._rules.players
        game = window.game[rows]
        seats = (mover[:, None] + np.arange(players)) % players
        swapped = window.swapped[rows, None] == 1
        at_end = np.where(swapped, 1 - seats, seats)
        share = self._shares[window.bootstrap[game], None]
        outcome = np.take_along_axis(window.outcome[game], at_end, 1)
        root = np.take_along_axis(window.root_value[rows], seats, 1)
        batch.value[:, :players] = share * outcome + (1.0 - share) * root
        batch.score[:, :players] = np.take_along_axis(window.score[game], at_end[:, :, None], 1)

        owner = window.owner[game].astype(np.int64)
        owner = np.where(swapped & (owner >= 0), 1 - owner, owner)
        classes = np.where(owner < 0, OWNER_CLASSES - 1, (owner - mover[:, None]) % players)
        np.put_along_axis(batch.owner, self._images[symmetries].astype(np.int64), classes, 1)


@dataclass(frozen=True, eq=False)
class DrawnRows:
    """Rows of a window and how often a pass over all of them draws each; n rows."""

    numbers: NDArray[np.int64]
    """[n]."""
    draws: NDArray[np.float64] | None = None
    """[n] mean number of draws in a pass; once each where it is None."""

    def __len__(self) -> int:
        """How many rows there are, and how many draws a pass has."""
        return len(self.numbers)

    def drawn(self, count: int, *, lot: float = 0.5) -> NDArray[np.int64]:
        """So many of the rows' numbers, in order, each as often as it shall be (`systematic_sample`)."""
        draws = np.ones(len(self.numbers)) if self.draws is None else self.draws
        return self.numbers[systematic_sample(draws, count, lot)]


def training_batches(
    maker: BatchMaker,
    rows: DrawnRows,
    *,
    seed: int,
    first: int,
    end: int,
    size: int,
    rank: int = 0,
    parts: int = 1,
    pieces: int = 1,
) -> Generator[Batch]:
    """Batches number `first` to `end` - 1, each in so many pieces, made a few ahead in another thread.

    Rows are drawn and shuffled anew for each pass over all of them.

    Args:
        maker: of the window.
        rows: the training rows.
        seed: of the run.
        first: number of the first batch.
        end: number after the last.
        size: rows of each.
        rank: which part of each batch to make, from 0.
        parts: in how many parts the processes of a training share each batch.
        pieces: in how many pieces, one after the other, this part of each batch comes.
    """
    ready: queue.Queue[Batch | BaseException] = queue.Queue(_PREFETCHED)
    stop = threading.Event()

    def produce() -> None:
        try:
            for step in range(first, end):
                chosen, symmetries = draw(rows, seed=seed, step=step, size=size, symmetries=maker.num_symmetries)
                for piece in range(rank * pieces, (rank + 1) * pieces):
                    made = maker.make_part(chosen, symmetries, rank=piece, parts=parts * pieces)
                    if not _put(ready, made, stop):
                        return
        except BaseException as error:  # noqa: BLE001 - handed to the training thread, which raises it
            _put(ready, error, stop)

    producer = threading.Thread(target=produce, name="batches", daemon=True)
    producer.start()
    try:
        for _ in range((end - first) * pieces):
            item = ready.get()
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        producer.join()


def draw(
    rows: DrawnRows, *, seed: int, step: int, size: int, symmetries: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows and symmetries of one batch, int64 [size] each."""
    places = np.arange(step * size, (step + 1) * size)
    passes = places // len(rows)
    chosen = np.empty(size, np.int64)
    for number in np.unique(passes):
        inside = passes == number
        chosen[inside] = _order(rows, seed, int(number))[places[inside] % len(rows)]
    turned = np.random.default_rng((seed, 1, step)).integers(symmetries, size=size)
    return chosen, turned


@lru_cache(maxsize=2)
def _order(rows: DrawnRows, seed: int, number: int) -> NDArray[np.int64]:
    """The rows of one pass over them, in its order."""
    random = np.random.default_rng((seed, 0, number))
    return random.permutation(rows.drawn(len(rows), lot=random.random()))


def _put(ready: queue.Queue[Batch | BaseException], item: Batch | BaseException, stop: threading.Event) -> bool:
    while not stop.is_set():
        try:
            ready.put(item, timeout=0.2)
        except queue.Full:
            continue
        return True
    return False


@kernel
def _fill_inputs(
    rules: Any,
    states: NDArray[np.int16],
    images: NDArray[np.int32],
    symmetries: NDArray[np.int64],
    bounds: NDArray[np.int64],
    work: Any,
    moves: NDArray[np.int64],
    planes: NDArray[np.float32],
    features: NDArray[np.int32],
) -> int:
    """Encode each state and its moves; return -1, or the first row whose number of moves is not the expected one."""
    for index in range(len(states)):
        state = states[index]
        image = images[symmetries[index]]
        first, end = bounds[index], bounds[index + 1]
        if legal_moves(rules, state, work, moves) != end - first:
            return index
        encode_state(rules.core, state, image, planes[index])
        encode_moves(rules.core, state, image, moves, end - first, features[first:end])
    return -1
