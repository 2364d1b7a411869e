"""A model becomes the champion of its variant, or the reason why not is recorded."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from ringrift_airflow.commands import run_command
from ringrift_airflow.links import ModelLink, RollbackLink
from ringrift_airflow.settings import open_loop

if TYPE_CHECKING:
    from airflow.sdk import Context

_log = logging.getLogger(__name__)
_Decided = TypeVar("_Decided")


class PromoteModelOperator(BaseOperator):
    """Swaps the champion pointer in the ledger, as the gates' reports and the rules of promotion allow.

    When the champion has changed since the champion gate, the gate is held again, against the new one. Run again, it
    keeps the champion that it made. A candidate that the cool-down or the daily maximum defers waits in the ledger, and
    `ringrift_data_sync` promotes it when its time has come, unless there is another champion by then.

    XCom `return_value` (each key also under its own name): the promotion record: `variant`, `model_digest`,
    `previous_digest`, `status` (`promoted` or `kept`), `reason`, `elo_gain`, `games`, `generation`.

    Args:
        model: the digest of a registered model, its 64 hex characters.
        variant: the one that it must be of; None: any.
        by_hand: a person says yes: cool-down, daily maximum and `promotion.auto_promote` do not count, the gates do.
        reason: why, in that person's words; kept in the history with the name of whoever started the run.

    Raises:
        AirflowSkipException: rejected, or deferred; what follows is skipped with the reason.
        ConfigError: the model is of another variant.
        GateError: a gate that must judge the model has not done so.
        LedgerError: no such model is registered.
    """

    template_fields: Sequence[str] = ("model", "variant", "reason")
    ui_color = "#dae8fc"
    operator_extra_links = (ModelLink(), RollbackLink())

    def __init__(
        self, *, model: Any, variant: Any = None, by_hand: bool = False, reason: Any = None, **options: Any
    ) -> None:
        super().__init__(**{"multiple_outputs": True, **options})
        self.model = model
        self.variant = variant
        self.by_hand = by_hand
        self.reason = reason

    def execute(self, context: Context) -> dict[str, Any]:
        """Decide, and act on it, in one transaction of the ledger."""
        from ringrift_loop.promotion.promote import promote

        loop = open_loop()
        record = with_current_contest(
            self.model,
            lambda: promote(loop, self.model, variant=self.variant, by_hand=self.by_hand, said=self._said(context)),
        )
        if record.status not in ("promoted", "kept"):
            raise AirflowSkipException(f"{record.status}: {record.reason}")
        return asdict(record)

    def _said(self, context: Context) -> str:
        """Who asks by hand, and why."""
        if not self.by_hand:
            return ""
        user = context["dag_run"].triggering_user_name
        return ": ".join(str(part) for part in (user, self.reason) if part)


def with_current_contest(model: str, decide: Callable[[], _Decided]) -> _Decided:
    """What `decide` gives; after another champion gate when the champion has changed since the last one.

    Raises:
        ContestOutdated: it has changed once more meanwhile.
    """
    from ringrift_loop.promotion.rules import ContestOutdated

    try:
        return decide()
    except ContestOutdated as outdated:
        _log.warning("%s", outdated)
        run_command("champion-gate", "--model", model, "--config", outdated.variant, "--json", verdict=True)
        return decide()
