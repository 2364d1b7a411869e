"""From an accepted candidate to workers that play with it; also the way back."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Any

from airflow.sdk import XComArg, get_current_context, task

from ringrift_airflow.dag_defaults import (
    FINISH_PRIORITY,
    HOSTS,
    LEDGER_POOL,
    SHORT,
    SUPERVISION_POOL,
)
from ringrift_airflow.notifications import notify_move
from ringrift_airflow.operators.approve_move import ApproveMoveOperator
from ringrift_airflow.operators.distribute_model import DistributeModelOperator
from ringrift_airflow.operators.promote_model import PromoteModelOperator
from ringrift_airflow.sensors.reload import ReloadSensor
from ringrift_airflow.settings import open_loop
from ringrift_airflow.tasks.gate import champion_gate_limit

# Heartbeats come in every data_ingestion.poll_interval_seconds; a worker changes over between two games.
_RELOAD_LIMIT = timedelta(minutes=15)
_RELOAD_POLL_S = 10.0


def approve(
    model: Any = None, variant: Any = None, *, by_hand: bool = False, reason: Any = None
) -> ApproveMoveOperator:
    """Asks a person first where `promotion.require_approval` is on; without a model about a rollback."""
    return ApproveMoveOperator(
        task_id="approve",
        model=model,
        variant=variant,
        by_hand=by_hand,
        reason=reason,
        pool=LEDGER_POOL,
        priority_weight=FINISH_PRIORITY,
        execution_timeout=SHORT if model is None else champion_gate_limit(),
    )


def promote(model: Any, variant: Any = None, by_hand: bool = False, reason: Any = None) -> XComArg:
    """Swaps the champion pointer, or records why not and skips what follows."""
    return PromoteModelOperator(
        task_id="promote",
        model=model,
        variant=variant,
        by_hand=by_hand,
        reason=reason,
        pool=LEDGER_POOL,
        priority_weight=FINISH_PRIORITY,
        execution_timeout=champion_gate_limit(),
        on_success_callback=notify_move,
    ).output


@task(pool=LEDGER_POOL, execution_timeout=SHORT, priority_weight=FINISH_PRIORITY, on_success_callback=notify_move)
def roll_back(variant: str, reason: str) -> dict[str, Any]:
    """Swap the pointer back to the champion before, and write down why; a retry goes back no further."""
    from ringrift_loop.promotion.promote import rollback

    return asdict(rollback(open_loop(), variant, reason, key=get_current_context()["run_id"]))


def distribute(champion: Any) -> DistributeModelOperator:
    """The model to every host, checked there by its digest, the pointer file last."""
    return DistributeModelOperator(
        task_id="distribute",
        model=champion["model_digest"],
        pool=SUPERVISION_POOL,
        priority_weight=FINISH_PRIORITY,
        execution_timeout=HOSTS,
    )


def confirm_reload(champion: Any) -> ReloadSensor:
    """Waits, deferred, until the workers of the variant report the new champion."""
    return ReloadSensor(
        task_id="confirm_reload",
        digest=champion["model_digest"],
        poll_s=_RELOAD_POLL_S,
        timeout=_RELOAD_LIMIT,
        pool=SUPERVISION_POOL,
        priority_weight=FINISH_PRIORITY,
        execution_timeout=SHORT,
        pre_execute=None,  # it only watches
    )
