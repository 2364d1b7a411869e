"""From an accepted candidate to workers that play with it; also the way back."""

from __future__ import annotations

import logging
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from airflow.sdk import get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from ringrift_airflow.dag_defaults import CHAMPION_GATE_LIMIT, HOSTS, LEDGER_POOL, SHORT, SUPERVISION_POOL
from ringrift_airflow.jobs import run_job
from ringrift_airflow.sensors.ledger_wait import ReloadSensor
from ringrift_airflow.settings import open_loop
from ringrift_loop.errors import NoCapacity

logger = logging.getLogger(__name__)

# Heartbeats come in every data_ingestion.poll_interval_seconds; a worker changes over between two games.
_RELOAD_LIMIT = timedelta(minutes=15)
_RELOAD_POLL_S = 10.0
# A candidate that only has to wait for the cool-down is tried again every minute (dag_defaults.RETRY_POLICY); this many
# times, so that no candidate holds up the next training for much longer than a cool-down.
_PROMOTE_RETRIES = 20


@task(pool=LEDGER_POOL, execution_timeout=CHAMPION_GATE_LIMIT, retries=_PROMOTE_RETRIES)
def promote(model: str, by_hand: bool = False) -> dict[str, Any]:
    """Swap the champion pointer, or record why not and skip what follows.

    When the champion has changed since the champion gate, as it may while a candidate waits for the cool-down, the gate
    is held again, against the new one.
    """
    from ringrift_loop.promotion.promote import promote as promoted
    from ringrift_loop.promotion.rules import ContestOutdated

    loop = open_loop()
    try:
        record = promoted(loop, model, by_hand=by_hand)
    except ContestOutdated as outdated:
        logger.warning("%s", outdated)
        run_job("champion-gate", "--model", model, "--config", outdated.variant, "--json", verdict=True)
        record = promoted(loop, model, by_hand=by_hand)
    if record.status == "deferred" and record.retry_at is not None and record.retry_at - loop.clock() < 1200.0:
        raise NoCapacity(record.reason)
    if record.status not in ("promoted", "kept"):
        raise AirflowSkipException(f"{record.status}: {record.reason}")
    return asdict(record)


@task(pool=LEDGER_POOL, execution_timeout=SHORT)
def roll_back(variant: str, reason: str) -> dict[str, Any]:
    """Swap the pointer back to the champion before, and write down why; a retry goes back no further."""
    from ringrift_loop.promotion.promote import rollback

    return asdict(rollback(open_loop(), variant, reason, key=get_current_context()["run_id"]))


@task(pool=SUPERVISION_POOL, execution_timeout=HOSTS)
def distribute(champion: dict[str, Any]) -> dict[str, Any]:
    """The model to every host, checked there by its digest, the pointer file last."""
    from ringrift_loop.cluster.distribute import distribute as distributed

    return distributed(open_loop(), champion["model_digest"]).as_json()


def confirm_reload(champion: Any) -> ReloadSensor:
    """Waits, deferred, until the workers of the variant report the new champion."""
    return ReloadSensor(
        task_id="confirm_reload",
        digest=champion["model_digest"],
        poll_s=_RELOAD_POLL_S,
        timeout=_RELOAD_LIMIT,
        pool=SUPERVISION_POOL,
        execution_timeout=SHORT,
    )
