"""# Curriculum

Variants that fall behind get a larger share of self-play and training, every `curriculum.rebalance_interval_seconds`.

1. **rebalance_weights**: from the ratings in the ledger, within the configured bounds

If it fails: docs/5-operations.md#curriculum
"""

from __future__ import annotations

from airflow.sdk import dag

from ringrift_airflow.dag_defaults import DAG_DEFAULTS, TAG, every
from ringrift_airflow.settings import loop_config
from ringrift_airflow.tasks.curriculum import rebalance_weights

CONFIG = loop_config()


@dag(
    schedule=every(CONFIG.curriculum.rebalance_interval_seconds, "ringrift_curriculum_rebalance"),
    tags=[TAG, "ratings"],
    doc_md=__doc__,
    **DAG_DEFAULTS,
)
def ringrift_curriculum_rebalance() -> None:
    rebalance_weights()


ringrift_curriculum_rebalance()
