"""The shadow tournament: a few games between a variant's models and its anchors, and the ratings they give."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import task

from ringrift_airflow.commands import run_command
from ringrift_airflow.dag_defaults import CHILD_RETRIES, LEDGER_POOL, MATCHES_POOL, SHORT, left_to_the_next_run
from ringrift_airflow.notifications import notify_move
from ringrift_airflow.settings import loop_config, open_loop
from ringrift_loop.tournament.duration import longest

_LEAST_LIMIT = timedelta(minutes=20)
_MOST_SEATS = 4  # games are rounded up to whole blocks


def shadow_limit() -> timedelta:
    """What the games of a tournament may take, of the largest configured variant."""
    config = loop_config()
    games = config.evaluation.shadow_games_per_config + _MOST_SEATS
    return timedelta(seconds=longest(config, games, floor_s=_LEAST_LIMIT.total_seconds()))


@task(pool=LEDGER_POOL, execution_timeout=SHORT)
def list_due_tournaments() -> list[dict[str, Any]]:
    """The variants with a model to play and the means for a block of games, and how many games each has."""
    from ringrift_loop.tournament.shadow_budget import due_tournaments

    loop = open_loop()
    with loop.ledger.read() as connection:
        due = due_tournaments(connection, loop.config, now=loop.clock())
    return [{"variant": variant, "games": games} for variant, games in due.items()]


@task(
    pool=MATCHES_POOL,
    execution_timeout=shadow_limit(),
    map_index_template="{{ variant }}",
    on_success_callback=notify_move,
    **CHILD_RETRIES | {"retries": 0},  # the next tournament is the retry
)
def play_shadow_games(variant: str, games: int) -> dict[str, Any]:
    """Play, store, refit the ratings of one variant and watch its champion: a child process, with the games on a
    tournament host if any.
    """
    with left_to_the_next_run():
        return run_command("shadow", "--config", variant, "--games", str(games))
