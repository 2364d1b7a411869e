"""Deferred tasks that wait on the ledger: for games that make a training run due, for workers to change over."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from airflow.sdk import BaseOperator, Context

from ringrift_airflow.assets import TRAINING_DUE
from ringrift_airflow.settings import open_loop


class TrainingDueSensor(BaseOperator):
    """Waits, however long it takes, until a variant is due for training, then wakes `ringrift_training` by an asset.

    Args:
        poll_s: seconds between two looks at the ledger.
    """

    ui_color = "#e6f1f2"

    def __init__(self, *, poll_s: float, **kwargs: Any) -> None:
        super().__init__(outlets=[TRAINING_DUE], **kwargs)
        self.poll_s = poll_s

    def execute(self, context: Context) -> None:
        """Hand the waiting over to the triggerer: it costs no worker slot."""
        from ringrift_airflow.triggers.training_due import TrainingDueTrigger

        trigger = TrainingDueTrigger(poll_s=self.poll_s, asker=str(context["run_id"]))
        self.defer(trigger=trigger, method_name="emit")

    def emit(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Note the request in the ledger, so that it is not made twice, and emit the asset event.

        Killed between the two, the task is tried again and makes its own request once more.
        """
        from ringrift_loop.training.due import request

        request(open_loop(), event["variant"], asker=str(context["run_id"]))
        context["outlet_events"][TRAINING_DUE].extra = event
        return event


class ReloadSensor(BaseOperator):
    """Waits until the workers of a variant report the promoted model; fails when they do not in time.

    Args:
        digest: the promoted model; templated.
        poll_s: seconds between two looks at the heartbeats in the ledger.
        timeout: how long the change-over may take.
    """

    template_fields: Sequence[str] = ("digest",)
    ui_color = "#e6f1f2"

    def __init__(self, *, digest: str, poll_s: float, timeout: timedelta, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.digest = digest
        self.poll_s = poll_s
        self.timeout = timeout

    def execute(self, context: Context) -> None:
        """Hand the waiting over to the triggerer."""
        from ringrift_airflow.triggers.reload import ReloadTrigger

        trigger = ReloadTrigger(digest=self.digest, poll_s=self.poll_s)
        self.defer(trigger=trigger, method_name="confirmed", timeout=self.timeout)

    def confirmed(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """The status with which the waiting ended."""
        return event
