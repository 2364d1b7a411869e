"""How long the games of a variant may take: limits from measured costs, so that no model fails for its board's size.

A game costs what `benchmarks/matches.py` has measured for its variant, times how much slower this installation plays
than that benchmark's machine, by its workers' own rates. A limit is several times the expected time, because machines
are shared, and never below what the configuration says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import ceil
from statistics import median
from typing import TYPE_CHECKING

from ringrift_loop.config.schema import LoopConfig, Selfplay
from ringrift_loop.errors import DataError

if TYPE_CHECKING:  # DAG files read this module
    from ringrift_loop.ledger.workers import WorkerRow

# One core of an AMD EPYC, all seats searched with 32 simulations by a network of 2 blocks x 32 channels:
# python benchmarks/matches.py --variant all --games 4
CORE_SECONDS: Mapping[str, float] = {
    "square8_2p": 0.398,
    "square8_3p": 0.354,
    "square8_4p": 0.395,
    "square19_2p": 7.882,
    "square19_3p": 7.437,
    "square19_4p": 7.802,
    "hex8_2p": 0.457,
    "hex8_3p": 0.676,
    "hex8_4p": 0.405,
    "hexagonal_2p": 14.337,
    "hexagonal_3p": 16.702,
    "hexagonal_4p": 21.564,
}
# Sides of the planes that a network sees; those of engine/rules.py, which is too heavy for a DAG file; a test compares.
PLANE_SIDES: Mapping[str, int] = {"square8": 8, "square19": 19, "hex8": 9, "hexagonal": 25}
_SIMULATIONS = 32
_BLOCKS, _CHANNELS = 2, 32

_PATIENCE = 4.0  # a limit is this many times the expected time
_SLOWEST = 4.0  # of an installation against the benchmark's: what is slower still is not waited for
_LEAST_GAMES = 200  # of a worker, or those that it has not finished yet weigh too much
_FRESH_S = 3600.0  # heartbeats older than this say nothing of the present speed


def game_s(config: LoopConfig, variant: str, slowness: float = 1.0) -> float:
    """Expected seconds of one match game in which every seat is searched, on one core."""
    network = config.training.blocks * config.training.channels**2 / (_BLOCKS * _CHANNELS**2)
    search = config.evaluation.simulations / _SIMULATIONS
    return CORE_SECONDS[variant] * search * max(1.0, network) * slowness


def games_limit(
    config: LoopConfig, variant: str, games: int, *, floor_s: float, searched: float = 1.0, slowness: float = 1.0
) -> float:
    """Seconds that so many games may take.

    Args:
        config: simulations and network.
        variant: such as `hexagonal_2p`.
        games: how many are played, one after the other.
        floor_s: the limit is not below this.
        searched: share of the seats that search; the others are baselines.
        slowness: see `slowness`.
    """
    return max(floor_s, _PATIENCE * games * searched * game_s(config, variant, slowness))


def longest(
    config: LoopConfig, games: int, *, floor_s: float, searched: float = 1.0, slowness: float = _SLOWEST
) -> float:
    """The largest limit that any variant of the configuration may get, in whole minutes: for what ignores its own."""
    return _whole_minutes(
        games_limit(config, variant, games, floor_s=floor_s, searched=searched, slowness=slowness)
        for variant in config.variants
    )


def training_limit(config: LoopConfig, variant: str) -> float:
    """Seconds that a training of the variant may take: `training.stuck_after_seconds` on `square8`.

    A step costs in proportion to the area of the planes, whatever the number of players.
    """
    side = PLANE_SIDES[variant.partition("_")[0]]
    return config.training.stuck_after_seconds * max(1.0, (side / PLANE_SIDES["square8"]) ** 2)


def longest_training(config: LoopConfig) -> float:
    """The largest `training_limit` of the configuration's variants, in whole minutes."""
    return _whole_minutes(training_limit(config, variant) for variant in config.variants)


def slowness(rows: Iterable[WorkerRow], config: LoopConfig, *, now: float) -> float:
    """How many times longer a game takes here than in the benchmark, from 1; 1 when no worker plays with a model.

    Workers measure what they have computed for each variant; of several, the median counts. On a crowded machine they
    need longer, and so will the games of a gate.
    """
    from ringrift_loop.selfplay.heartbeat import variant_plays

    found = []
    for row in rows:
        if row.heartbeat_at is None or now - row.heartbeat_at > _FRESH_S:
            continue
        try:
            plays = variant_plays(row.heartbeat)
        except DataError:
            continue
        for variant, play in plays.items():
            # Before the first model they play another search, at another cost.
            if variant in CORE_SECONDS and play.model and play.games >= _LEAST_GAMES:
                usual = game_s(config, variant) * _selfplay_simulations(config.selfplay) / config.evaluation.simulations
                found.append(play.computed_s / play.games / usual)
    return min(_SLOWEST, max(1.0, median(found))) if found else 1.0


def _whole_minutes(limits: Iterable[float]) -> float:
    return 60.0 * ceil(max(limits) / 60.0)


def _selfplay_simulations(selfplay: Selfplay) -> float:
    full = selfplay.full_search_probability
    return full * selfplay.simulations_full + (1.0 - full) * selfplay.simulations_fast
