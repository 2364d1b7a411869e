"""Who plays matches: weights and search settings together are one participant, a baseline is another.

Different search settings are different participants, so a rating never mixes a net at 32 simulations with the same
net at 800.
"""

from __future__ import annotations

import re
from dataclasses import asdict

from ringrift_loop.config import LoopConfig
from ringrift_loop.layout import checked_digest
from ringrift_loop.ledger.matches import Participant
from ringrift_loop.search.settings import SearchSettings

DIGEST = re.compile(r"[0-9a-f]{64}")

RANDOM = "random"
HEURISTIC = "heuristic"
PLAYOUTS = "mcts-64"
BASELINES = (RANDOM, HEURISTIC, PLAYOUTS)
"""Reference players that every variant has."""

ANCHORS = {RANDOM: 0.0}
"""Elo of the participants whose rating is fixed for ever; the others' is estimated."""


def evaluation_search(config: LoopConfig) -> SearchSettings:
    """The search that models play matches with: no noise, the best move known."""
    return SearchSettings(kind="gumbel", simulations=config.evaluation.simulations, noise=0.0)


def model_participant(digest: str, variant: str, search: SearchSettings) -> Participant:
    """A model with the given search."""
    return Participant(f"{checked_digest(digest)}|{search.identity()}", variant, digest, asdict(search))


def baseline_participant(name: str, variant: str) -> Participant:
    """A baseline, with its fixed rating if it is an anchor."""
    return Participant(name, variant, None, {}, ANCHORS.get(name))


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
