"""Searching a batch of states to the end: what players, matches and the UGI engine use."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ringrift_loop.engine.rules import Rules
from ringrift_loop.search.leaves import LeafEvaluator
from ringrift_loop.search.pool import SearchPool
from ringrift_loop.search.settings import SearchSettings


class BatchSearch:
    """Searches states of one variant with one evaluator, `parallel` at once; keeps its trees between calls."""

    def __init__(self, rules: Rules, settings: SearchSettings, evaluator: LeafEvaluator, *, parallel: int = 64) -> None:
        """Allocate nothing yet: the pool grows to the largest batch met, at most `parallel`."""
        self.rules = rules
        self.settings = settings
        self._evaluator = evaluator
        self._parallel = parallel
        self._pool: SearchPool | None = None
        self._room = 0

    def search(self, states: NDArray[np.int16], seeds: NDArray[np.uint64]) -> SearchPool:
        """Search states [S, W], S at most `parallel`, each with a choice; slot i of the pool returned holds state i.

        The pool is valid until the next call.
        """
        pool = self._pool_for(len(states))
        slots = np.arange(len(states), dtype=np.int32)
        simulations = np.full(len(states), self.settings.simulations, np.int32)
        halving = np.full(len(states), self.settings.kind == "gumbel")
        pool.start(slots, states, simulations, halving, seeds)
        while (leaves := pool.advance()).size:
            pool.receive(leaves, *self._evaluator.evaluate(leaves))
        for slot in slots:
            pool.stop(int(slot))
        return pool

    def choose(self, states: NDArray[np.int16], seeds: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The move to play in each state [G, W], any number of them."""
        chosen = np.empty(len(states), np.int64)
        for first in range(0, len(states), self._parallel):
            part = slice(first, first + self._parallel)
            pool = self.search(states[part], seeds[part])
            for slot in range(len(states[part])):
                chosen[first + slot] = pool.trees.moves[slot, pool.choose(slot, 0.0)]
        return chosen

    def _pool_for(self, count: int) -> SearchPool:
        if count > self._parallel:
            raise ValueError(f"at most {self._parallel} states at once, got {count}")
        if self._pool is None or self._room < count:
            self._room = count
            self._pool = SearchPool(self.rules, count, self.settings)
        return self._pool
