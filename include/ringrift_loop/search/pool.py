"""Searches of many games side by side, with one batched evaluation a round.

    pool.start(slots, states, ...)          plant roots
    while (batch := pool.advance()).size:   run every tree until it waits for an evaluation or is done
        pool.receive(batch, *evaluator.evaluate(rules, batch))
    pool.root(slot)                         what the search found

Slots are independent: one may be started anew while others are in the middle of a search.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringrift_loop.engine.kernels import make_work
from ringrift_loop.engine.rules import Rules
from ringrift_loop.search.pool_kernels import (
    choose,
    descend_all,
    gather,
    harvest_all,
    plant_all,
    read_root,
    receive_all,
    write_finished,
    write_waiting,
)
from ringrift_loop.search.settings import SearchSettings
from ringrift_loop.search.trees import NOT_USED, make_trees, with_more_edges


@dataclass(frozen=True)
class LeafBatch:
    """States that wait for their evaluation: B states with T legal moves together."""

    slots: NDArray[np.int32]
    """[B] the trees they belong to."""
    states: NDArray[np.int16]
    """[B, W]."""
    moves: NDArray[np.int64]
    """[T] legal moves of state 0, then of state 1, and so on, each in the engine's order."""
    rows: NDArray[np.int64]
    """[T] which state each move belongs to."""
    bounds: NDArray[np.int64]
    """[B + 1] the moves of state b are moves[bounds[b]:bounds[b + 1]]."""
    random: NDArray[np.uint64]
    """[B] random state of each tree, for evaluators that draw numbers; they advance it."""

    @property
    def size(self) -> int:
        """B."""
        return len(self.slots)


@dataclass(frozen=True)
class Root:
    """What a search found, K root moves in the engine's order."""

    moves: NDArray[np.int64]
    """[K]."""
    visits: NDArray[np.int32]
    """[K]."""
    values: NDArray[np.float64]
    """[K] mean share of the win of the seat to move; NaN for a move that was never tried."""
    policy: NDArray[np.float32]
    """[K] the improved policy: softmax of log prior + sigma(completed Q)."""
    value: NDArray[np.float64]
    """[P] share of the win per seat under the improved policy."""


@dataclass(frozen=True)
class Harvest:
    """What S finished searches found, for many slots in one call."""

    moves: NDArray[np.int64]
    """[S] the move to play."""
    values: NDArray[np.float32]
    """[S, P] share of the win per seat under the improved policy."""
    bounds: NDArray[np.int64]
    """[S + 1] the improved policy of search s is policy[bounds[s]:bounds[s + 1]]."""
    policy: NDArray[np.float32]
    surprises: NDArray[np.float32]
    """[S, 2] nats: how far `values` lie from the root's own evaluation, KL(values || evaluation), and the improved
    policy from the prior, KL(policy || prior)."""


class SearchPool:
    """G search trees over one variant; the constants hold for all, kind and simulations are given per search."""

    def __init__(self, rules: Rules, games: int, settings: SearchSettings, *, keeps: bool = False) -> None:
        """Allocate G = `games` trees of at most `settings.simulations` descents.

        Args:
            rules: the variant.
            games: G.
            settings: of all searches.
            keeps: whether a search takes over what the one before in its slot has evaluated, if its root is one move
                away. It finds the same with less work; the evaluator must stay the same and draw no numbers.
        """
        self.rules = rules
        self.settings = settings
        self._keeps = keeps
        simulations = max(1, settings.simulations)
        self.trees = make_trees(rules, games, simulations, kept=simulations if keeps else 0)
        self._scratch: Any = (
            make_work(rules),
            np.empty(rules.max_moves, np.int64),
            np.empty(rules.players, np.float64),
        )

    def start(
        self,
        slots: NDArray[np.int32],
        states: NDArray[np.int16],
        simulations: NDArray[np.int32],
        halving: NDArray[np.bool_],
        seeds: NDArray[np.uint64],
    ) -> None:
        """Begin a search from each state [S, W] in its slot [S]; every state must offer a choice.

        Args:
            slots: trees to use; what they held is lost, or taken over.
            states: the roots.
            simulations: [S], at most the settings' number.
            halving: [S] sequential halving (gumbel) or PUCT at the root.
            seeds: [S] of the noise and of every other random draw of that search.
        """
        limit = self.trees.considered_visits.shape[1]
        if simulations.size and not 0 <= int(simulations.min()) <= int(simulations.max()) <= limit:
            raise ValueError(f"this pool holds searches of 0..{limit} simulations, got {simulations.max()}")
        constants = (self.settings.noise, self.settings.considered, self._keeps, *self._scratch)
        begun = 0
        while begun < len(slots):
            rest = (slots[begun:], states[begun:], simulations[begun:], halving[begun:], seeds[begun:])
            begun += plant_all(self.rules, self.trees, *rest, *constants)
            if begun < len(slots):
                self._grow()

    def advance(self) -> LeafBatch:
        """Run every started search until it waits for an evaluation; the batch is empty when all are done."""
        settings = self.settings
        constants = (*self._scratch, settings.c_puct, settings.fpu, settings.c_visit, settings.c_scale)
        while descend_all(self.rules, self.trees, *constants):
            self._grow()
        return self._batch()

    def receive(self, batch: LeafBatch, logits: NDArray[np.float32], values: NDArray[np.float32]) -> None:
        """Hand in the evaluation of a batch.

        Args:
            batch: from `advance`.
            logits: [T] unnormalised log priors of the moves.
            values: [B, P] share of the win per seat.
        """
        parts = (batch.slots, batch.bounds, batch.random)
        receive_all(self.trees, *parts, logits, values, self._scratch[-1], self.settings.considered)

    def finished(self) -> NDArray[np.int32]:
        """Slots whose search is done and not yet stopped."""
        slots = np.empty(len(self.trees.status), np.int32)
        return slots[: write_finished(self.trees, slots)]

    def stop(self, slot: int) -> None:
        """Free a slot; its tree stays readable until it is started again."""
        self.trees.num_simulations[slot] = NOT_USED

    def root(self, slot: int) -> Root:
        """What the search in a slot has found so far."""
        trees = self.trees
        count = int(trees.num_actions[slot, 0])
        visits = np.zeros(count, np.int32)
        values = np.zeros(count, np.float64)
        policy = np.zeros(count, np.float32)
        value = np.zeros(trees.node_value_sums.shape[2], np.float64)
        read_root(trees, slot, self.settings.c_visit, self.settings.c_scale, visits, values, policy, value)
        return Root(trees.moves[slot, :count].copy(), visits, values, policy, value)

    def choose(self, slot: int, temperature: float) -> int:
        """The place of the move to play among the root's moves.

        Sequential halving plays its survivor. PUCT plays by visits to the power 1 / temperature; at 0 the most
        visited move, of equals the better one. A proven win is always played.
        """
        settings = self.settings
        return int(choose(self.trees, slot, settings.c_visit, settings.c_scale, temperature))

    def best_line(self, slot: int) -> list[tuple[NDArray[np.int16], int]]:
        """The most visited moves from the root on, each with the state [W] it is played in; no single-choice plies."""
        trees, node, line = self.trees, 0, []
        while trees.num_actions[slot, node] > 0:
            first, count = int(trees.first_edge[slot, node]), int(trees.num_actions[slot, node])
            children = trees.children_index[slot, first : first + count]
            visits = np.where(children >= 0, trees.node_visits[slot, children], 0)
            place = self.choose(slot, 0.0) if node == 0 else int(visits.argmax())
            line.append((trees.states[slot, node].copy(), int(trees.moves[slot, first + place])))
            if visits[place] == 0:
                break
            node = int(children[place])
        return line

    def harvest(self, slots: NDArray[np.int32], temperatures: NDArray[np.float64]) -> Harvest:
        """Choose a move in each slot (see `choose`), read what was found, and free the slots."""
        trees, settings = self.trees, self.settings
        bounds = np.zeros(len(slots) + 1, np.int64)
        np.cumsum(trees.num_actions[slots, 0], out=bounds[1:])
        harvest = Harvest(
            moves=np.empty(len(slots), np.int64),
            values=np.empty((len(slots), trees.node_value_sums.shape[2]), np.float32),
            bounds=bounds,
            policy=np.empty(int(bounds[-1]), np.float32),
            surprises=np.empty((len(slots), 2), np.float32),
        )
        into = (harvest.moves, harvest.values, bounds, harvest.policy, harvest.surprises)
        harvest_all(trees, slots, temperatures, settings.c_visit, settings.c_scale, *into)
        return harvest

    def _grow(self) -> None:
        self.trees = with_more_edges(self.trees, int(self.trees.num_edges.max()) + self.rules.max_moves)

    def _batch(self) -> LeafBatch:
        trees = self.trees
        games, _, width = trees.states.shape
        slots, bounds = np.empty(games, np.int32), np.empty(games + 1, np.int64)
        size = write_waiting(trees, slots, bounds)
        slots, bounds = slots[:size], bounds[: size + 1]
        states, random = np.empty((size, width), np.int16), np.empty(size, np.uint64)
        moves, rows = np.empty((2, int(bounds[-1])), np.int64)
        gather(trees, slots, bounds, states, moves, rows, random)
        return LeafBatch(slots, states, moves, rows, bounds, random)
