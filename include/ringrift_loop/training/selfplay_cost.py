"""What a self-play game costs, in seconds of one core: the measure in which boards of different size compare."""

from __future__ import annotations

from statistics import median

from sqlalchemy import Connection

from ringrift_loop.config.schema import LoopConfig
from ringrift_loop.errors import DataError
from ringrift_loop.ledger import workers
from ringrift_loop.selfplay.heartbeat import variant_plays
from ringrift_loop.tournament.duration import selfplay_game_s

_LEAST_GAMES = 50  # of a worker's own figures


def game_s(conn: Connection, config: LoopConfig, variant: str) -> float:
    """Core-seconds of a game: what the workers say they compute for one, or what the benchmark has measured."""
    told = []
    for row in workers.all_workers(conn):
        try:
            play = variant_plays(row.heartbeat).get(variant)
        except DataError:
            continue
        if play is not None and play.games >= _LEAST_GAMES:
            told.append(play.computed_s / play.games)
    return median(told) if told else selfplay_game_s(config, variant)
