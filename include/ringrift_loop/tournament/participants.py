"""Who plays matches: weights and search settings together are one participant, a baseline is another.

Different search settings are different participants, so a rating never mixes a net at 32 simulations with the same
net at 800. The heuristic's weights are part of its id for the same reason: `heuristic@1f2e3d4c`, and so is the way in
which `mcts-N` searches: `mcts-64@2`.
"""

from __future__ import annotations

import re
from dataclasses import asdict

from ringrift_loop.config import LoopConfig
from ringrift_loop.engine.rules import rules_for
from ringrift_loop.layout import checked_digest
from ringrift_loop.ledger.matches import Participant
from ringrift_loop.search.heuristic import weights_digest, weights_key
from ringrift_loop.search.settings import SearchSettings

DIGEST = re.compile(r"[0-9a-f]{64}")

RANDOM = "random"
HEURISTIC = "heuristic"
PLAYOUTS = "mcts-64"
HEURISTIC_SEARCH = "heuristic-search"
PLAYOUT_SEARCH = 2
"""Raised whenever `mcts-N` comes to search otherwise. The first way, whose id is `mcts-64` alone, tried a few moves in
the order of the list."""
BASELINES = (RANDOM, HEURISTIC, PLAYOUTS)
"""Reference players that every variant has."""

ANCHORS = {RANDOM: 0.0}
"""Elo of the participants whose rating is fixed for good; the others' is estimated."""


def evaluation_search(config: LoopConfig) -> SearchSettings:
    """The search that models play matches with: no noise, the best move known."""
    evaluation = config.evaluation
    return SearchSettings("gumbel", evaluation.simulations, considered=evaluation.considered_moves, noise=0.0)


def model_participant(digest: str, variant: str, search: SearchSettings) -> Participant:
    """A model with the given search."""
    return Participant(f"{checked_digest(digest)}|{search.identity()}", variant, digest, asdict(search))


def baseline_id(name: str, variant: str) -> str:
    """The id of a baseline as this program plays it: heuristics with the digest of the variant's weights, `mcts-N` with
    the number of its search."""
    if name.startswith("mcts-"):
        return f"{name}@{PLAYOUT_SEARCH}"
    if name not in (HEURISTIC, HEURISTIC_SEARCH):
        return name
    return f"{name}@{weights_digest(weights_key(rules_for(variant)))}"


def baseline_ids(variant: str) -> tuple[str, ...]:
    """The ids of the reference players of a variant."""
    return tuple(baseline_id(name, variant) for name in BASELINES)


def baseline_participant(identifier: str, variant: str) -> Participant:
    """A baseline, with its fixed rating if it is an anchor."""
    return Participant(identifier, variant, None, {}, ANCHORS.get(identifier))


def participant_of(identifier: str, variant: str) -> Participant:
    """The participant that an id names."""
    player, search = split_id(identifier)
    if search is None or not DIGEST.fullmatch(player):
        return baseline_participant(identifier, variant)
    return model_participant(player, variant, search)


def split_id(identifier: str) -> tuple[str, SearchSettings | None]:
    """The player's own name (a digest or a baseline) and its search, if the id names one."""
    player, bar, identity = identifier.partition("|")
    return player, SearchSettings.from_identity(identity) if bar else None
