"""What a player thinks of a position: each seat's share of the win and the moves it prefers, with or without search."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringrift_loop.engine.kernels import legal_moves, make_work, outcome
from ringrift_loop.engine.rules import Rules, rules_for
from ringrift_loop.engine.state import GAME_OVER, PHASE
from ringrift_loop.errors import ConfigError, ModelError
from ringrift_loop.layout import RunDirectory
from ringrift_loop.search.leaves import LeafEvaluator, NetworkLeaves
from ringrift_loop.search.pool import LeafBatch, SearchPool
from ringrift_loop.search.settings import SearchSettings
from ringrift_loop.tournament.participants import DIGEST
from ringrift_loop.tournament.players import open_guide
from ringrift_loop.views.choices import choice_of
from ringrift_loop.views.records import MAX_SIMULATIONS, Judgement, Preference
from ringrift_loop.views.thinking import ROOM

MAX_POSITIONS = 64
"""Positions of one question without a search."""
_SHOWN = 8
"""Moves of one answer."""
_OPEN = 4
"""Players that stay open."""
SEARCH_S = 20.0
"""A search ends after this time with what it has found."""
WAIT_S = 8.0
"""How long a question waits for its answer before it is told to ask again."""

CONSIDERED = SearchSettings.considered
"""Root moves of a search where nobody says how many."""

Row = NDArray[np.int16]


@dataclass(frozen=True)
class Thinker:
    """A player that can be asked, as `tournament.players.open_guide` names it: a digest or a searching baseline."""

    spec: str
    variant: str
    pie_rule: bool = False
    considered: int = CONSIDERED
    """Moves that a search compares at its root."""

    @property
    def rules(self) -> Rules:
        """Of the games it is asked about."""
        return rules_for(self.variant, pie_rule=self.pie_rule)

    def judge(self, directory: RunDirectory, states: Row, simulations: int) -> list[Judgement]:
        """Think about states int16 [B, W] of the variant, with at most `simulations` descents each (0: no search).

        Raises:
            NotReadyYet: ask again in a moment; the thinking goes on meanwhile.
            ConfigError: no such player, or too much was asked.
            ModelError: the model does not load.
        """
        if not 0 <= simulations <= MAX_SIMULATIONS:
            raise ConfigError(f"simulations must be in 0..{MAX_SIMULATIONS}, got {simulations}")
        if not 1 <= len(states) <= (MAX_POSITIONS if simulations == 0 else 1):
            raise ConfigError(
                f"one question is about 1..{MAX_POSITIONS} positions, with a search about one; got {len(states)}"
            )
        states = np.ascontiguousarray(states)
        key = (self, str(directory.root), simulations, states.tobytes())
        return ROOM.ask(key, lambda: self._judge(directory, states, simulations), wait_s=WAIT_S)

    def best_move(self, directory: RunDirectory, row: Row, simulations: int) -> int:
        """The move that the player would play, as `judge` finds it."""
        key = (self, str(directory.root), simulations, row.tobytes(), "best move")
        return ROOM.ask(key, lambda: self._search(directory, row, max(1, simulations))[1], wait_s=WAIT_S)

    def _judge(self, directory: RunDirectory, states: Row, simulations: int) -> list[Judgement]:
        if simulations:
            row = states[0]
            count = _count_moves(self.rules, row)
            if count >= 2:
                return [self._search(directory, row, simulations)[0]]
        return self._look(directory, states)

    def _search(self, directory: RunDirectory, row: Row, simulations: int) -> tuple[Judgement, int]:
        name, leaves = _opened(self, directory)
        rules = self.rules
        settings = SearchSettings(kind="gumbel", simulations=simulations, considered=self.considered)
        pool = SearchPool(rules, 1, settings)
        # The same question has the same answer: the seed is fixed, and there is no noise at the root.
        one = np.ones(1, np.uint64)
        pool.start(np.zeros(1, np.int32), row[None, :], np.full(1, simulations, np.int32), np.ones(1, np.bool_), one)
        until = time.monotonic() + SEARCH_S
        while (batch := pool.advance()).size and time.monotonic() < until:
            pool.receive(batch, *leaves.evaluate(batch))
        root, work = pool.root(0), make_work(rules)
        chosen = pool.choose(0, 0.0)
        # What it would play comes first, then by visits; of moves that were never tried by policy.
        order = sorted(
            range(len(root.moves)), key=lambda k: (k != chosen, -int(root.visits[k]), -float(root.policy[k]))
        )
        moves = [
            Preference(
                choice_of(rules, row, int(root.moves[k]), work),
                float(root.policy[k]),
                None if np.isnan(root.values[k]) else float(root.values[k]),
                int(root.visits[k]),
            )
            for k in order[:_SHOWN]
        ]
        done = int(pool.trees.simulations_done[0])
        judgement = Judgement(name, done, [float(v) for v in root.value], moves, len(root.moves))
        return judgement, int(root.moves[chosen])

    def _look(self, directory: RunDirectory, states: Row) -> list[Judgement]:
        """The evaluator's own view, all states in one batch."""
        name, leaves = _opened(self, directory)
        rules = self.rules
        work, scratch = make_work(rules), np.empty(rules.max_moves, np.int64)
        open_rows = [place for place, row in enumerate(states) if row[PHASE] != GAME_OVER]
        legal = [scratch[: legal_moves(rules, states[place], work, scratch)].copy() for place in open_rows]
        judged: dict[int, Judgement] = {}
        if open_rows:
            bounds = np.cumsum([0, *map(len, legal)])
            batch = LeafBatch(
                slots=np.arange(len(open_rows), dtype=np.int32),
                states=np.ascontiguousarray(states[open_rows]),
                moves=np.concatenate(legal),
                rows=np.repeat(np.arange(len(open_rows)), [len(moves) for moves in legal]),
                bounds=bounds,
                random=np.ones(len(open_rows), np.uint64),
            )
            logits, values = leaves.evaluate(batch)
            for number, place in enumerate(open_rows):
                policy = _softmax(logits[bounds[number] : bounds[number + 1]])
                best = np.argsort(-policy, kind="stable")[:_SHOWN].tolist()
                moves = [
                    Preference(choice_of(rules, states[place], int(legal[number][k]), work), float(policy[k]), None, 0)
                    for k in best
                ]
                shares = [float(v) for v in values[number]]
                judged[place] = Judgement(name, 0, shares, moves, len(legal[number]))
        for place, row in enumerate(states):
            if place not in judged:
                shared = np.empty(rules.players, np.float32)
                outcome(rules, row, shared)
                judged[place] = Judgement(name, 0, [float(v) for v in shared], [], 0)
        return [judged[place] for place in range(len(states))]


_opened_players: OrderedDict[tuple[str, str, bool, str], tuple[str, LeafEvaluator]] = OrderedDict()
"""Used on the thinking thread only."""


def _opened(thinker: Thinker, directory: RunDirectory) -> tuple[str, LeafEvaluator]:
    key = (thinker.spec, thinker.variant, thinker.pie_rule, str(directory.root))
    if key in _opened_players:
        _opened_players.move_to_end(key)
        return _opened_players[key]
    opened = _open(thinker, directory)
    _opened_players[key] = opened
    while len(_opened_players) > _OPEN:
        _opened_players.popitem(last=False)
    return opened


def _open(thinker: Thinker, directory: RunDirectory) -> tuple[str, LeafEvaluator]:
    rules = thinker.rules
    if not DIGEST.fullmatch(thinker.spec):
        guide = open_guide(thinker.spec, rules, thinker.variant)
        return guide.name, guide.leaves
    # Not through `open_guide`: where there is a GPU that would import torch.
    from ringrift_loop.network.inference import OnnxEvaluator

    folder = directory.model(thinker.spec)
    if not folder.is_dir():
        raise ModelError(f"the files of the model {thinker.spec[:12]} are not on this machine (given up by retention?)")
    evaluator = OnnxEvaluator(folder, threads=1, expected_digest=thinker.spec)
    if evaluator.manifest.variant != thinker.variant:
        raise ConfigError(
            f"the model {thinker.spec[:12]} is for {evaluator.manifest.variant}, the position is of {thinker.variant}"
        )
    return thinker.spec, NetworkLeaves(rules, evaluator)


def _count_moves(rules: Rules, row: Row) -> int:
    work: Any = make_work(rules)
    return int(legal_moves(rules, row, work, np.empty(rules.max_moves, np.int64)))


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    powers = np.exp(logits.astype(np.float64) - float(logits.max()))
    shares: NDArray[np.float64] = powers / powers.sum()
    return shares
