"""# Shadow tournament

A few games between a variant's models and its anchors, every `evaluation.shadow_interval_seconds`; the ratings follow
at once.

1. **list_due_tournaments**: the variants that have a model to play, and how many games each can afford
2. **play_shadow_games**: `evaluation.shadow_games_per_config` games of each, rounded up to whole blocks, one game
   per seat, or as many blocks as `evaluation.shadow_cores` has left since the last ones; stored in the match log,
   ratings refitted. A champion that has turned out weaker than its predecessor is rolled back, and the next
   `ringrift_data_sync` sends the former one out

If it fails: docs/5-operations.md#shadow-tournament
"""

from __future__ import annotations

from airflow.sdk import dag

from ringrift_airflow.dag_defaults import DAG_DEFAULTS, TAG, every
from ringrift_airflow.settings import loop_config
from ringrift_airflow.tasks.tournament import list_due_tournaments, play_shadow_games

CONFIG = loop_config()


@dag(
    schedule=every(CONFIG.evaluation.shadow_interval_seconds, "ringrift_shadow_tournament"),
    tags=[TAG, "ratings"],
    doc_md=__doc__,
    **DAG_DEFAULTS,
)
def ringrift_shadow_tournament() -> None:
    play_shadow_games.expand_kwargs(list_due_tournaments())


ringrift_shadow_tournament()
