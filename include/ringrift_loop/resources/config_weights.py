"""Weights of self-play per variant, from how many games it has and how fast it gets them. Pure functions.

The guide's weights jump (share .69 of the mean: 2.0, share .71: 1.0); these are the smooth curve between its ends. They
are one factor; the curriculum's weights are the other, and `combined` is the one place where the two meet.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import exp
from statistics import fmean

LEAST, MOST = 0.5, 2.0
_SLOW_BONUS, _SLOW_GAMES_PER_HOUR = 0.2, 50.0


def config_weights(games: Mapping[str, int], games_per_hour: Mapping[str, float]) -> dict[str, float]:
    """A weight for every variant in `games`: more for few games and for a slow stream, within 0.5..2.

    Args:
        games: games of each variant in the window that counts.
        games_per_hour: its present rate; a variant that is not there has none.
    """
    if not games:
        return {}
    mean = fmean(games.values()) + 1.0
    weights = {}
    for variant, number in games.items():
        need = mean / (number + 1.0)
        slow = 1.0 + _SLOW_BONUS * exp(-max(0.0, games_per_hour.get(variant, 0.0)) / _SLOW_GAMES_PER_HOUR)
        weights[variant] = min(MOST, max(LEAST, need * slow))
    return weights


def combined(config: Mapping[str, float], curriculum: Mapping[str, float]) -> dict[str, float]:
    """The weights that workers are given: the product of both, scaled so that they are 1 on average.

    Args:
        config: `config_weights`.
        curriculum: the curriculum's weights; a variant that is not there has 1.
    """
    product = {variant: weight * curriculum.get(variant, 1.0) for variant, weight in config.items()}
    mean = fmean(product.values()) if product else 1.0
    return {variant: weight / mean for variant, weight in product.items()}
