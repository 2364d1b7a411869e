"""The full tournament: every champion of a variant against its ancestors and the baselines."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import task

from ringrift_airflow.commands import run_command
from ringrift_airflow.dag_defaults import CHILD_RETRIES, LEDGER_POOL, MATCHES_POOL, SHORT, left_to_the_next_run
from ringrift_airflow.params import LONGEST_BUDGET_S
from ringrift_airflow.settings import open_loop
from ringrift_airflow.tasks.tournament import shadow_limit

_BUDGET = timedelta(seconds=LONGEST_BUDGET_S)  # portions are begun for so long; each is as large as a shadow tournament


@task(pool=LEDGER_POOL, execution_timeout=SHORT)
def list_variants_with_champions() -> list[str]:
    """The variants that have somebody to play; none before the first promotion."""
    from ringrift_loop.ledger import promotions

    loop = open_loop()
    with loop.ledger.read() as connection:
        champions = promotions.all_champions(connection)
    return [name for name in loop.config.variants if name in champions]


@task(
    pool=MATCHES_POOL,
    execution_timeout=shadow_limit() + _BUDGET,
    map_index_template="{{ variant }}",
    max_active_tis_per_dag=1,  # one variant at a time, however many slots the pool has
    priority_weight=0,  # a shadow tournament that waits for the pool goes first
    **CHILD_RETRIES | {"retries": 0},  # the next tournament goes on with what is missing
)
def play_full_tournament(variant: str, budget_s: float | None) -> dict[str, Any]:
    """Play, store and refit the ratings of one variant, in a child process.

    Args:
        variant: such as `square8_2p`.
        budget_s: portions of games are begun for so long; None: as the intervals of `evaluation` allow.
    """
    budget = () if budget_s is None else ("--budget", str(budget_s))
    with left_to_the_next_run():
        return run_command("full-tournament", "--config", variant, *budget)
