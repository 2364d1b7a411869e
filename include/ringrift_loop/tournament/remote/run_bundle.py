"""Playing the blocks of a bundle, on any machine: each block that ends is a file of the output folder at once.

It needs neither ledger nor configuration. Killed at any point and called again, it plays the blocks whose files are
missing.
"""

from __future__ import annotations

import logging
import platform
import time
from pathlib import Path

from ringrift_loop.tournament.arena import Bench
from ringrift_loop.tournament.play_match import MatchSettings, play_blocks
from ringrift_loop.tournament.players import ModelFolders
from ringrift_loop.tournament.remote.bundle import read_bundle
from ringrift_loop.tournament.remote.outcome import block_file, write_block

_log = logging.getLogger(__name__)


def run_bundle(folder: Path, output: Path, directory: ModelFolders) -> int:
    """Play what is missing of a bundle; returns how many blocks that were.

    Args:
        folder: the bundle.
        output: where the blocks' files go.
        directory: where the models lie by digest.

    Raises:
        DataError: the bundle is damaged or not for this version.
        ConfigError, ModelError: a player is unknown here, or its model is missing or damaged.
        IllegalMoveError: a player chose a move that is not legal.
    """
    bundle = read_bundle(folder)
    done = {plan.id for plan in bundle.plans if block_file(output, plan.id).exists()}
    plans = {plan.id: plan for plan in bundle.plans if plan.id not in done}
    # The blocks that are there keep their openings, so the others get the same ones as in the first try.
    taken = {*bundle.taken, *(opening.text for block, opening in bundle.openings().items() if block in done)}
    players = Bench(directory).players(plans.values())
    settings = MatchSettings(bundle.opening_plies, host=platform.node())
    _log.info("%d blocks of %s to play, %d are there", len(plans), bundle.variant, len(done))
    for number, rows in enumerate(play_blocks(plans.values(), players, settings, clock=time.time, taken=taken), 1):
        write_block(output, plans[rows[0].block], rows)
        _log.info("block %d of %d has ended", number, len(plans))
    return len(plans)
