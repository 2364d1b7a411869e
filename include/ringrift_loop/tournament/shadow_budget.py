"""How many games a variant's next shadow tournament has, from a budget in core-seconds that all variants share.

Fifteen games of hexagonal cost fifty times as much as of square8. So each variant may spend the same time: what it has
saved up since its last shadow game buys whole blocks, at most `evaluation.shadow_games_per_config` games, and a variant
whose savings do not reach for a block is not due.
"""

from __future__ import annotations

from sqlalchemy import Connection

from ringrift_loop.config import LoopConfig
from ringrift_loop.engine.rules import variant as variant_of
from ringrift_loop.ledger import matches, models
from ringrift_loop.tournament.duration import game_s
from ringrift_loop.tournament.watch import SHADOW


def due_tournaments(conn: Connection, config: LoopConfig, *, now: float) -> dict[str, int]:
    """The games of each variant's next shadow tournament; variants without a model or without means are absent."""
    ready = [variant for variant in config.variants if models.latest(conn, variant) is not None]
    due = {}
    for variant in ready:
        last = matches.last_played_at(conn, variant, purpose=SHADOW)
        games = affordable(config, variant, None if last is None else now - last, variants=len(ready))
        if games:
            due[variant] = games
    return due


def affordable(config: LoopConfig, variant: str, since_s: float | None, *, variants: int) -> int:
    """Games in whole blocks that a variant has saved up for; 0: not even one block.

    Args:
        config: the budget, and what a game costs.
        variant: such as `hexagonal_2p`.
        since_s: seconds since its last shadow game; None: it had none. Below 0 the clock was set back: it was long ago.
        variants: that share the budget.
    """
    players, most = variant_of(variant).players, config.evaluation.shadow_games_per_config
    blocks = -(-most // players)
    if since_s is not None and since_s >= 0.0:
        saved_s = config.evaluation.shadow_cores / variants * since_s
        blocks = min(blocks, int(saved_s / (players * game_s(config, variant))))
    return blocks * players
