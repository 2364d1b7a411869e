"""The training stage: claim a variant's new games, train a candidate, end the claim once the gates have judged it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import XComArg, get_current_context, task

from ringrift_airflow.assets import TRAINING_DUE
from ringrift_airflow.dag_defaults import (
    CLAIM_RETRIES,
    FINISH_PRIORITY,
    GPU_JOB_RETRIES,
    LEDGER_POOL,
    SHORT,
    TRAINING_POOL,
    left_to_the_next_run,
)
from ringrift_airflow.operators.train_model import TrainModelOperator
from ringrift_airflow.settings import loop_config, open_loop
from ringrift_loop.tournament.duration import longest_training


def due_variants() -> list[str]:
    """The variants of the asset events that woke this run."""
    events = get_current_context()["triggering_asset_events"].get(TRAINING_DUE, [])
    return [event.extra["variant"] for event in events]


@task(pool=LEDGER_POOL, execution_timeout=SHORT, retries=CLAIM_RETRIES)
def claim_games() -> dict[str, Any]:
    """Make a training run and give it the variant's unconsumed games, in one transaction.

    Whoever starts the DAG by hand gets a run of the variant that the form asks for, whatever the number of games, and
    waits where it cannot have one yet. A run that was woken takes one of its variants that is still due, and is skipped
    with the reason when none is: one that is due later wakes another run.
    """
    from ringrift_loop.training.claim import claim_due, claim_in_turn

    context = get_current_context()
    chosen = context["params"].get("variant")
    if chosen:
        return claim_in_turn(open_loop(), chosen, key=context["run_id"]).as_json()
    with left_to_the_next_run():
        return claim_due(open_loop(), due_variants(), key=context["run_id"]).as_json()


def train_limit() -> timedelta:
    """How long a training of any configured variant may take."""
    return timedelta(seconds=longest_training(loop_config()))


def train(claim: Any) -> XComArg:
    """A candidate model from the replay window, here or on a training host; a retry goes on from the checkpoint."""
    return TrainModelOperator(
        task_id="train",
        run_id=claim["run_id"],
        wait_s=train_limit().total_seconds(),
        pool=TRAINING_POOL,
        execution_timeout=train_limit(),
        pre_execute=None,  # a training that runs on a host is taken in when it ends, halted or not
        **GPU_JOB_RETRIES,
    ).output


# Games are given back in a halt, too.
@task(pool=LEDGER_POOL, execution_timeout=SHORT, pre_execute=None, priority_weight=FINISH_PRIORITY)
def settle_claim(claim: dict[str, Any]) -> dict[str, Any]:
    """Let the variant have its next run; give the games back when no model came of them."""
    from ringrift_loop.training.claim import settle

    return settle(open_loop(), claim["run_id"])
