"""How much self-play and training each variant gets: more where it lags behind the others.

Ratings of different variants have different scales: 100 Elo over random play are much on one board and little on
another. So a variant is measured by two things that mean the same everywhere: how often its champion wins, of the games
that either it or one heuristic player wins, and how long its last promotion is ago.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

from sqlalchemy import Connection

from ringrift_loop.config import Curriculum
from ringrift_loop.ledger import curriculum, games, promotions, ratings, resources, state
from ringrift_loop.loop import Loop
from ringrift_loop.ratings.blocks import win_chance
from ringrift_loop.resources.config_weights import config_weights
from ringrift_loop.tournament.participants import HEURISTIC, baseline_id, evaluation_search, model_participant

SHARE_SCALE = 0.3
"""Share of the games against the heuristic below the median that adds one to the weight."""
AGE_SCALE_S = 86_400.0
"""Seconds without a gain beyond the median that add one to the weight."""
_DAY_S, _HOUR_S = 86_400.0, 3600.0  # games that count, and those that tell the rate, for the weights by games
_REBALANCED_BY = "curriculum_rebalanced_by"


def rebalance(loop: Loop, *, key: str | None = None) -> dict[str, float]:
    """Compute the weights of the configured variants from how their champions stand, store and return them.

    Args:
        loop: the loop.
        key: identifies whoever asks, such as the id of a DAG run: asking again with it gives the same weights, because
            each computation moves them a step further towards their target.
    """
    settings = loop.config.curriculum
    with loop.ledger.begin() as conn:
        if key is not None and state.get(conn, _REBALANCED_BY) == key:
            return curriculum.weights(conn)
        state.put(conn, _REBALANCED_BY, key, at=loop.clock())
        known, old = standings(conn, loop), curriculum.weights(conn)
        new = {variant: weight_of(settings, known, variant, old.get(variant, 1.0)) for variant in loop.config.variants}
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


@dataclass(frozen=True)
class Standing:
    """How far a variant is."""

    share: float
    """Of the games that the champion or one heuristic player wins, those of the champion, by their ratings, 0..1."""
    age_s: float
    """Seconds since its champion was promoted; that a rollback has returned to it does not count."""


def weight_of(settings: Curriculum, standings: Mapping[str, Standing], variant: str, old: float) -> float:
    """Return the variant's next weight: the target, smoothed with the old weight, within the limits.

    Args:
        settings: limits and smoothing.
        standings: of every variant whose ratings rest on enough games; the others neither move their own weight nor
            the medians.
        variant: whose weight.
        old: its present weight.
    """
    if not settings.adaptive:
        return 1.0
    target = 1.0
    if variant in standings:
        own, others = standings[variant], standings.values()
        weaker = (median(other.share for other in others) - own.share) / SHARE_SCALE
        slower = (own.age_s - median(other.age_s for other in others)) / AGE_SCALE_S
        target = _clamp(settings, 1.0 + weaker + slower)
    smoothed = settings.ema_alpha * target + (1.0 - settings.ema_alpha) * old
    return _clamp(settings, smoothed)


def standings(conn: Connection, loop: Loop) -> dict[str, Standing]:
    """How far each configured variant is whose ratings rest on enough games."""
    found = {variant: _standing(conn, loop, variant) for variant in loop.config.variants}
    return {variant: standing for variant, standing in found.items() if standing is not None}


def _standing(conn: Connection, loop: Loop, variant: str) -> Standing | None:
    """None without a champion, or while it or the heuristic has too few games."""
    champion = promotions.champion(conn, variant)
    if champion is None:
        return None
    name = model_participant(champion.model_digest, variant, evaluation_search(loop.config)).id
    own, heuristic = (ratings.get(conn, variant, each) for each in (name, baseline_id(HEURISTIC, variant)))
    if own is None or heuristic is None:
        return None
    if min(own.games, heuristic.games) < loop.config.curriculum.min_games_for_weight:
        return None
    # A rollback moves the pointer too, and is no gain.
    decisions = promotions.of_model(conn, champion.model_digest)
    gained_at = next((row.created_at for row in decisions if row.status == promotions.PROMOTED), champion.promoted_at)
    return Standing(win_chance(own.elo - heuristic.elo, 2), max(0.0, loop.clock() - gained_at))


def _clamp(settings: Curriculum, weight: float) -> float:
    return min(settings.max_weight_multiplier, max(settings.min_weight_multiplier, weight))
