"""How long the games of a variant may take: limits from measured costs, so that no model fails for its board's size.

A game costs what `benchmarks/matches.py` has measured for its variant, times how much slower the model at play is
evaluated here than the benchmark's was there. Both are counted in core-seconds, and the time in which others have the
processor does not count against a limit (`play_match.play_blocks`), so a busy machine fails nobody. A limit is several
times the expected time, because games differ, and never below what the configuration says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import ceil

from ringrift_loop.config.schema import LoopConfig  # DAG files read this module: nothing heavy here

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
# Positions a core-second that the same network evaluates there in batches of 16; the same program prints them.
EVALUATIONS_PER_CORE_S: Mapping[str, float] = {
    "square8": 12_500,
    "square19": 2_850,
    "hex8": 9_600,
    "hexagonal": 1_680,
}
# Sides of the planes that a network sees; those of engine/rules.py, which is too heavy for a DAG file; a test compares.
PLANE_SIDES: Mapping[str, int] = {"square8": 8, "square19": 19, "hex8": 9, "hexagonal": 25}
_SIMULATIONS = 32
_BLOCKS, _CHANNELS = 2, 32

_PATIENCE = 4.0  # a limit is this many times the expected time
_SLOWEST = 4.0  # of an installation against the benchmark's: what is slower still is not waited for


def game_s(config: LoopConfig, variant: str, slowness: float = 1.0) -> float:
    """Expected seconds of one match game in which every seat is searched, on one core."""
    search = config.evaluation.simulations / _SIMULATIONS
    return CORE_SECONDS[variant] * search * _network(config) * slowness


def selfplay_game_s(config: LoopConfig, variant: str) -> float:
    """Expected seconds of one self-play game with a model, on one core."""
    selfplay = config.selfplay
    full = selfplay.full_search_probability
    simulations = full * selfplay.simulations_full + (1.0 - full) * selfplay.simulations_fast
    return game_s(config, variant) * simulations / config.evaluation.simulations


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


def shortest_training(config: LoopConfig) -> float:
    """The smallest `training_limit` of the configuration's variants: no training is over its limit earlier."""
    return min(training_limit(config, variant) for variant in config.variants)


def slowness(config: LoopConfig, variant: str, evaluations_per_core_s: float | None) -> float:
    """How many times longer a game takes here than on the benchmark's machine, from 1; 1 when nothing was measured.

    Args:
        config: the network's size.
        variant: such as `hexagonal_2p`.
        evaluations_per_core_s: of the model that plays, on this machine.
    """
    if evaluations_per_core_s is None:
        return 1.0
    usual = EVALUATIONS_PER_CORE_S[variant.partition("_")[0]] / _network(config)
    return min(_SLOWEST, max(1.0, usual / evaluations_per_core_s))


def _network(config: LoopConfig) -> float:
    """How many times longer an evaluation by the configured network takes than by the benchmark's, from 1."""
    return max(1.0, config.training.blocks * config.training.channels**2 / (_BLOCKS * _CHANNELS**2))


def _whole_minutes(limits: Iterable[float]) -> float:
    return 60.0 * ceil(max(limits) / 60.0)
