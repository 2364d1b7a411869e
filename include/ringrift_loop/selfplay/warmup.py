"""Compiles the kernels of search and self-play once, at set-up, as engine.warmup does with the engine's."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

import numpy as np

import ringrift_loop.search
from ringrift_loop.engine.jit import cache_folder
from ringrift_loop.engine.kernels import new_states
from ringrift_loop.engine.rules import rules_for
from ringrift_loop.engine.warmup import compile_once
from ringrift_loop.network.planes import KERNEL_FOLDER
from ringrift_loop.search.leaves import Evaluation, HeuristicLeaves, PlayoutLeaves, encode_batch
from ringrift_loop.search.one_ply import choose_best
from ringrift_loop.search.pool import LeafBatch, SearchPool
from ringrift_loop.search.settings import SearchSettings
from ringrift_loop.selfplay.play_games import Origin, PlaySettings, SelfplayGames


def compile_selfplay_kernels(out: TextIO | None = None) -> bool:
    """Make the kernels of search and self-play ready in this process; return whether they had to be compiled.

    Args:
        out: where compiling is announced; stderr if None.
    """
    here, search = Path(__file__).parent, Path(ringrift_loop.search.__file__).parent
    return compile_once(cache_folder(here, search, KERNEL_FOLDER), "search", _call_each_kernel, out)


class _AllLeaves:
    """Evaluates by the heuristic, after every other evaluator has been called on a copy of the same batch."""

    def __init__(self) -> None:
        self._rules = rules_for("square8_2p")
        self._heuristic = HeuristicLeaves(self._rules)
        self._playouts = PlayoutLeaves(self._rules)
        self.evaluations = 0
        self.network_seconds = 0.0

    def evaluate(self, batch: LeafBatch) -> Evaluation:
        encode_batch(self._rules, batch)
        evaluation = self._heuristic.evaluate(batch)
        self._playouts.evaluate(batch)
        return evaluation


def _call_each_kernel() -> None:
    rules = rules_for("square8_2p")
    settings = PlaySettings(SearchSettings(simulations=2, noise=1.0), 1, games_in_parallel=4, opening_plies=2)
    games = SelfplayGames("square8_2p", "warmup", _AllLeaves(), settings, Origin("warmup", "0", "warmup", 0))
    games.start(range(4))
    while games.active:
        games.round()
    pool = SearchPool(rules, 1, settings.full)
    states = new_states(rules, 1)
    pool.start(np.zeros(1, np.int32), states, np.ones(1, np.int32), np.zeros(1, np.bool_), np.ones(1, np.uint64))
    leaves = HeuristicLeaves(rules)
    while (batch := pool.advance()).size:
        pool.receive(batch, *leaves.evaluate(batch))
    pool.root(0)
    pool.choose(0, 0.0)
    choose_best(rules, states, np.ones(1, np.uint64))
