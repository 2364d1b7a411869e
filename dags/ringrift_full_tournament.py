"""# Full tournament

Every champion of a variant against its ancestors and the baselines, every
`evaluation.full_tournament_interval_seconds`: the check that the ratings of a long run hang together. By hand, to begin
games for a minute: `airflow dags trigger ringrift_full_tournament --conf '{"budget_s": 60}'`.

1. **list_variants_with_champions**: those that have somebody to play
2. **play_full_tournament**: 50 games of each pairing, in whole blocks, the most telling first; what the time does not
   suffice for, the next run plays; stored in the match log, ratings refitted

If it fails: docs/5-operations.md#full-tournament
"""

from __future__ import annotations

from airflow.sdk import dag

from ringrift_airflow.dag_defaults import DAG_DEFAULTS, TAG, every
from ringrift_airflow.params import FULL_TOURNAMENT_PARAMS
from ringrift_airflow.settings import loop_config
from ringrift_airflow.tasks.full_tournament import list_variants_with_champions, play_full_tournament

CONFIG = loop_config()


@dag(
    schedule=every(CONFIG.evaluation.full_tournament_interval_seconds, "ringrift_full_tournament"),
    params=FULL_TOURNAMENT_PARAMS,
    tags=[TAG, "ratings"],
    doc_md=__doc__,
    **DAG_DEFAULTS,
)
def ringrift_full_tournament() -> None:
    play_full_tournament.partial(budget_s="{{ params.budget_s }}").expand(variant=list_variants_with_champions())


ringrift_full_tournament()
