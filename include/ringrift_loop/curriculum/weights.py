"""How much self-play and training each variant gets: more where its champion is weak compared with the others."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median

from ringrift_loop.config import Curriculum
from ringrift_loop.ledger import curriculum, games, promotions, ratings, resources, state
from ringrift_loop.loop import Loop
from ringrift_loop.resources.config_weights import config_weights
from ringrift_loop.tournament.participants import evaluation_search, model_participant

ELO_SCALE = 200.0
"""Elo below the median that add one to the weight."""
_DAY_S, _HOUR_S = 86_400.0, 3600.0  # games that count, and those that tell the rate, for the weights by games
_REBALANCED_BY = "curriculum_rebalanced_by"


def rebalance(loop: Loop, *, key: str | None = None) -> dict[str, float]:
    """Compute the weights of the configured variants from the champions' ratings, store and return them.

    Args:
        loop: the loop.
        key: identifies whoever asks, such as the id of a DAG run: asking again with it gives the same weights, because
            each computation moves them a step further towards their target.
    """
    settings = loop.config.curriculum
    search = evaluation_search(loop.config)
    with loop.ledger.begin() as conn:
        if key is not None and state.get(conn, _REBALANCED_BY) == key:
            return curriculum.weights(conn)
        state.put(conn, _REBALANCED_BY, key, at=loop.clock())
        elos: dict[str, float] = {}
        for variant in loop.config.variants:
            champion = promotions.champion(conn, variant)
            if champion is None:
                continue
            rating = ratings.get(conn, variant, model_participant(champion.model_digest, variant, search).id)
            if rating is not None and rating.games >= settings.min_games_for_weight:
                elos[variant] = rating.elo
        old = curriculum.weights(conn)
        new = {variant: weight_of(settings, elos, variant, old.get(variant, 1.0)) for variant in loop.config.variants}
        at = loop.clock()
        curriculum.replace(conn, new, at=at)
        counts = games.count_by_variant(conn, since=at - _DAY_S)
        by_games = config_weights(
            {variant: counts.get(variant, 0) for variant in loop.config.variants},
            games.count_by_variant(conn, since=at - _HOUR_S),
        )
        resources.replace_weights(conn, by_games, at=at)
        text = ", ".join(f"{variant} {weight:.2f}" for variant, weight in new.items())
        loop.record(conn, "curriculum", f"self-play weights: {text}", weights=dict(new))
    loop.metrics.incr("ringrift_curriculum_rebalances_total")
    for variant, weight in new.items():
        loop.metrics.gauge("ringrift_curriculum_weight", weight, config=variant)
    return new


def weight_of(settings: Curriculum, elos: Mapping[str, float], variant: str, old: float) -> float:
    """Return the variant's next weight: the target, smoothed with the old weight, within the limits.

    Args:
        settings: limits and smoothing.
        elos: champion's Elo of every variant whose rating rests on enough games; the others neither move their own
            weight nor the median.
        variant: whose weight.
        old: its present weight.
    """
    if not settings.adaptive:
        return 1.0
    target = 1.0
    if variant in elos:
        target = _clamp(settings, 1.0 + (median(elos.values()) - elos[variant]) / ELO_SCALE)
    smoothed = settings.ema_alpha * target + (1.0 - settings.ema_alpha) * old
    return _clamp(settings, smoothed)


def _clamp(settings: Curriculum, weight: float) -> float:
    return min(settings.max_weight_multiplier, max(settings.min_weight_multiplier, weight))
