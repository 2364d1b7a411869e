"""A training that does not end in time: Airflow's scheduler looks at the clock, its triggerer at the ledger.

So it is told also while no task starts, and whatever the task itself does. Why it is done this way:
docs/2-architecture.md, "A stuck training is told by Airflow".
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import BaseDeadlineReference, DeadlineAlert

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from ringrift_loop.config import LoopConfig

_log = logging.getLogger(__name__)
_OPEN = ("queued", "running")
_AWAY_S = 60.0  # until the next look at a ledger that did not answer


class RunMade(BaseDeadlineReference):
    """When Airflow made the run.

    Its own references do not do: a run that an asset wakes has no logical date, and with a deadline that counts from
    `queued_at` Airflow 3.3.2 cannot clear a task of the run any more.
    """

    def _evaluate_with(self, *, session: Session, **_: object) -> datetime:
        return datetime.now(UTC)


def training_deadline(config: LoopConfig) -> DeadlineAlert:
    """The deadline of a run of `ringrift_training`: no training of the configuration is over its limit earlier."""
    from ringrift_loop.tournament.duration import shortest_training

    return DeadlineAlert(
        reference=RunMade(),
        interval=timedelta(seconds=shortest_training(config)),
        callback=AsyncCallback(tell_stuck_training),
        name="training",
    )


async def tell_stuck_training(context: Mapping[str, Any]) -> None:
    """Wait until the run's training is over its limit, and tell; or until it has ended, which is no news.

    Called by the triggerer when the deadline has passed. What Airflow hands over is the run as it was then: the
    training may have been claimed later, have more time than others, or have ended.

    Args:
        context: `dag_run` as the REST API shows it.
    """
    while (wait_s := await asyncio.to_thread(_look, context)) is not None:
        await asyncio.sleep(wait_s)


def _look(context: Mapping[str, Any]) -> float | None:
    """One look, in a thread; returns after how many seconds the next one is due."""
    from sqlalchemy.exc import OperationalError

    from ringrift_airflow.notifications import notify_stuck
    from ringrift_airflow.settings import open_loop
    from ringrift_loop.errors import as_loop_error
    from ringrift_loop.training.claim import look

    run = context["dag_run"]
    loop = open_loop(with_credentials=False)
    try:
        standing = look(loop, run["dag_run_id"], may_claim=_may_claim(run, now=loop.clock()))
    except OperationalError as error:
        if (away := as_loop_error(error)) is None:
            raise
        _log.warning("%s; looking again in %.0f s", away, _AWAY_S)
        return _AWAY_S
    finally:
        loop.ledger.close()
    if standing.message:
        _log.warning("%s", standing.message)
        notify_stuck(standing.message, context)
    return standing.left_s


def _may_claim(run: Mapping[str, Any], *, now: float) -> bool:
    """Whether a run without a training may still get one: `claim_games` asks for so long."""
    from ringrift_airflow.dag_defaults import CLAIM_PATIENCE

    since = datetime.fromisoformat(run["run_after"])
    return run["state"] in _OPEN and now < (since + CLAIM_PATIENCE).timestamp()
