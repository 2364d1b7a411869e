"""A model becomes the champion of its variant, or the reason why not is recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from ringrift_airflow.commands import run_command
from ringrift_airflow.links import RollbackLink
from ringrift_airflow.settings import open_loop
from ringrift_loop.errors import NoCapacity

if TYPE_CHECKING:
    from airflow.sdk import Context

# A candidate whose turn comes sooner than this is tried again by the task's retries; a later one is left to a person.
_WORTH_WAITING_S = 1200.0


class PromoteModelOperator(BaseOperator):
    """Swaps the champion pointer in the ledger, as the gates' reports and the rules of promotion allow.

    When the champion has changed since the champion gate, as it may while a candidate waits for the cool-down, the gate
    is held again, against the new one. Run again, it keeps the champion that it made.

    XCom `return_value` (each key also under its own name): the promotion record: `variant`, `model_digest`,
    `previous_digest`, `status` (`promoted` or `kept`), `reason`, `elo_gain`, `games`, `generation`.

    Args:
        model: the digest of a registered model, its 64 hex characters.
        variant: the one that it must be of; None: any.
        by_hand: a person says yes: cool-down, daily maximum and `promotion.auto_promote` do not count, the gates do.

    Raises:
        AirflowSkipException: rejected, or deferred for long; what follows is skipped with the reason.
        NoCapacity: deferred for less than 20 minutes; worth a retry.
        ConfigError: the model is of another variant.
        GateError: a gate that must judge the model has not done so.
        LedgerError: no such model is registered.
    """

    template_fields: Sequence[str] = ("model", "variant")
    ui_color = "#dae8fc"
    operator_extra_links = (RollbackLink(),)

    def __init__(self, *, model: Any, variant: Any = None, by_hand: bool = False, **options: Any) -> None:
        super().__init__(**{"multiple_outputs": True, **options})
        self.model = model
        self.variant = variant
        self.by_hand = by_hand

    def execute(self, context: Context) -> dict[str, Any]:
        """Decide, and act on it, in one transaction of the ledger."""
        from ringrift_loop.promotion.promote import promote
        from ringrift_loop.promotion.rules import ContestOutdated

        loop = open_loop()
        try:
            record = promote(loop, self.model, variant=self.variant, by_hand=self.by_hand)
        except ContestOutdated as outdated:
            self.log.warning("%s", outdated)
            run_command("champion-gate", "--model", self.model, "--config", outdated.variant, "--json", verdict=True)
            record = promote(loop, self.model, variant=self.variant, by_hand=self.by_hand)
        wait_s = float("inf") if record.retry_at is None else record.retry_at - loop.clock()
        if record.status == "deferred" and wait_s < _WORTH_WAITING_S:
            raise NoCapacity(record.reason)
        if record.status not in ("promoted", "kept"):
            raise AirflowSkipException(f"{record.status}: {record.reason}")
        return asdict(record)
