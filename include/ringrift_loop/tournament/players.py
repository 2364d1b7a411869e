"""Everyone who can sit down at a board: models and the fixed baselines, from one spec string."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ringrift_loop.engine.kernels import legal_moves, make_work, random_below
from ringrift_loop.engine.rules import Rules, rules_for
from ringrift_loop.errors import ConfigError
from ringrift_loop.search.batch import BatchSearch
from ringrift_loop.search.leaves import HeuristicLeaves, LeafEvaluator, NetworkLeaves, PlayoutLeaves
from ringrift_loop.search.one_ply import choose_best
from ringrift_loop.search.settings import MAX_SIMULATIONS, SearchSettings
from ringrift_loop.tournament.participants import HEURISTIC, HEURISTIC_SEARCH, RANDOM, baseline_id

BASELINES = ("random", "heuristic", "heuristic-search", "mcts-N")
"""`heuristic` looks one ply ahead, `heuristic-search` searches a tree with the same evaluation, `mcts-N` with N random
games."""

_MCTS = re.compile(r"mcts-([1-9][0-9]{0,5})")
_DIGEST = re.compile(r"[0-9a-f]{64}")


class ModelFolders(Protocol):
    """Where models lie by digest: a run directory, or a host's root folder."""

    def model(self, digest: str) -> Path:
        """The folder of one model."""


class Player(Protocol):
    """Chooses moves for many games at once."""

    @property
    def identity(self) -> str:
        """The participant's id, as `participants.py` makes it."""
        ...

    def choose(self, rules: Rules, states: NDArray[np.int16]) -> NDArray[np.int64]:
        """Return one legal move a state; the player's seed and its earlier calls decide what it draws.

        Args:
            rules: the states' variant, the one the player was made for.
            states: int16 [G, W]; in each it is this player's turn and there are at least two legal moves. Not changed.

        Returns:
            int64 [G].
        """
        ...


def make_player(
    spec: str,
    variant: str,
    *,
    directory: ModelFolders | None = None,
    search: SearchSettings | None = None,
    seed: int = 0,
    pie_rule: bool = False,
) -> Player:
    """Return the player that `spec` names.

    Args:
        spec: `random`, `heuristic`, `heuristic-search`, `mcts-N`, a model's digest, or the path of a model folder. The
            heuristic ones may name their weights, `heuristic@1f2e3d4c`, and `mcts-N` its search, `mcts-64@2`, which
            must then be those of this program.
        variant: such as `square8_2p`.
        directory: where models are looked up by digest.
        search: for models and `heuristic-search`; the default is `SearchSettings()`. The other baselines have none.
        seed: of everything the player draws.
        pie_rule: whether the games allow swapping sides.

    Raises:
        ConfigError: no such player, a digest without a directory, or weights that this program does not have.
        ModelError: the model does not load, or is not of this variant.
    """
    name = _baseline(spec, variant)
    if name == RANDOM:
        return RandomPlayer(seed)
    if name == baseline_id(HEURISTIC, variant):
        return HeuristicPlayer(name, seed)
    rules = rules_for(variant, pie_rule=pie_rule)
    guide = open_guide(spec, rules, variant, directory=directory)
    if playouts := playout_search(name):
        return SearchPlayer(name, rules, playouts, guide.leaves, seed)
    settings = search or SearchSettings()
    return SearchPlayer(f"{guide.name}|{settings.identity()}", rules, settings, guide.leaves, seed)


def _baseline(spec: str, variant: str) -> str:
    """The id that a baseline's spec means; any other spec as it is."""
    name, at, _ = spec.partition("@")
    if name not in (HEURISTIC, HEURISTIC_SEARCH) and playout_search(name) is None:
        return spec
    ours = baseline_id(name, variant)
    if at and spec != ours:
        raise ConfigError(f"this program's {name} for {variant} is {ours}, got {spec}, which is another player")
    return ours


def playout_search(spec: str) -> SearchSettings | None:
    """The search of `mcts-N`: moves drawn by lot, the better ones tried again and again; None for any other player."""
    match = _MCTS.fullmatch(spec.partition("@")[0])
    if match is None:
        return None
    # Its priors are equal, so PUCT would stay with the first moves that win a game; halving does not.
    return SearchSettings(kind="gumbel", simulations=min(int(match[1]), MAX_SIMULATIONS), noise=1.0)


@dataclass(frozen=True)
class Guide:
    """What guides a search."""

    name: str
    """A model's digest, or the baseline's id."""
    leaves: LeafEvaluator


def open_guide(
    spec: str, rules: Rules, variant: str, *, directory: ModelFolders | None = None, threads: int = 1
) -> Guide:
    """The evaluator of a spec whose player searches: a model, `heuristic-search` or `mcts-N`.

    Raises:
        ConfigError: no such player, or a digest without a directory.
        ModelError: the model does not load.
    """
    name = _baseline(spec, variant)
    if name == baseline_id(HEURISTIC_SEARCH, variant):
        return Guide(name, HeuristicLeaves(rules))
    if playout_search(name):
        return Guide(name, PlayoutLeaves(rules))
    expected = None
    if _DIGEST.fullmatch(spec):
        if directory is None:
            raise ConfigError(f"the model {spec} is named by its digest, but no run directory to look in was given")
        folder, expected = directory.model(spec), spec
    elif spec and Path(spec).is_dir():
        folder = Path(spec)
    else:
        raise ConfigError(f"a player is one of {', '.join(BASELINES)}, a model digest or a model folder, got {spec!r}")
    from ringrift_loop.network.inference import open_evaluator  # loads ONNX Runtime, which baselines do without

    evaluator = open_evaluator(folder, threads=threads, expected_digest=expected)
    if evaluator.manifest.variant != variant:
        raise ConfigError(f"the model {spec} is for {evaluator.manifest.variant}, the games are {variant}")
    return Guide(evaluator.manifest.digest, NetworkLeaves(rules, evaluator))


class RandomPlayer:
    """Uniform over the legal moves."""

    identity = "random"

    def __init__(self, seed: int = 0) -> None:
        """Seed the draws."""
        self._random = np.random.default_rng(seed)

    def choose(self, rules: Rules, states: NDArray[np.int16]) -> NDArray[np.int64]:
        """See Player."""
        work: Any = make_work(rules)
        moves = np.empty(rules.max_moves, np.int64)
        chosen = np.empty(len(states), np.int64)
        random = _seeds(self._random, len(states))
        for game, state in enumerate(states):
            count = legal_moves(rules, state, work, moves)
            chosen[game] = moves[random_below(random[game : game + 1], count)]
        return chosen


class HeuristicPlayer:
    """The move after which the heuristic likes the position best; equal moves are drawn by lot."""

    def __init__(self, identity: str, seed: int = 0) -> None:
        """Seed the draws."""
        self.identity = identity
        self._random = np.random.default_rng(seed)

    def choose(self, rules: Rules, states: NDArray[np.int16]) -> NDArray[np.int64]:
        """See Player."""
        return choose_best(rules, states, _seeds(self._random, len(states)))


class SearchPlayer:
    """A tree search with any evaluator."""

    def __init__(
        self, identity: str, rules: Rules, settings: SearchSettings, evaluator: LeafEvaluator, seed: int = 0
    ) -> None:
        """Make a player for one variant."""
        self.identity = identity
        self._search = BatchSearch(rules, settings, evaluator)
        self._random = np.random.default_rng(seed)

    def choose(self, rules: Rules, states: NDArray[np.int16]) -> NDArray[np.int64]:
        """See Player."""
        own = self._search.rules
        if (rules.width, rules.pie_rule) != (own.width, own.pie_rule):  # the width tells the variants apart
            raise ValueError("this player was made for another variant or pie rule than the states'")
        return self._search.choose(states, _seeds(self._random, len(states)))


def _seeds(random: np.random.Generator, count: int) -> NDArray[np.uint64]:
    return random.integers(0, 1 << 64, count, dtype=np.uint64)
