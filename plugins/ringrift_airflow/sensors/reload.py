"""Waits, deferred, until the workers of a variant have changed over to a model."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from airflow.sdk import BaseOperator, Context


class ReloadSensor(BaseOperator):
    """Waits until the workers of a variant report the promoted model; fails when they do not in time.

    Args:
        digest: the promoted model; templated.
        poll_s: seconds between two looks at the heartbeats in the ledger.
        timeout: how long the change-over may take.

    XCom `return_value`: the workers that play it (`loaded`) and those that were silent, as `host/slot`.

    Raises:
        TaskDeferralTimeout: workers still played another model at the end of `timeout`.
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
