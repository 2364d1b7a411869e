"""A person's approval before a champion changes, where `promotion.require_approval` asks for one."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Param
from airflow.sdk.exceptions import AirflowSkipException

from ringrift_airflow.links import ModelLink
from ringrift_airflow.notifications import notify_question
from ringrift_airflow.operators.promote_model import with_current_contest
from ringrift_airflow.settings import open_loop
from ringrift_loop.errors import GateError

if TYPE_CHECKING:
    from airflow.sdk import Context

    from ringrift_loop.promotion.approval import Question

_WAIT = timedelta(days=1)


class ApproveMoveOperator(ApprovalOperator):
    """Asks a person on Airflow's page, in the state `awaiting_input`, whether the champion pointer may move.

    It succeeds at once when there is nothing to ask: `promotion.require_approval` is off, the candidate is rejected by
    the gates, or it is approved already. While it waits it takes no slot of a pool. A no, or no answer within
    `response_timeout`, skips what follows. The answer is written into the ledger with what was shown; `promote` and
    `roll_back` look at it again in the transaction of the move, so it lets nothing through that has changed since.

    XCom `return_value`: None when nothing was asked, else Airflow's record of the answer.

    Args:
        model: the digest of the candidate; None asks about a rollback of `variant`.
        variant: the candidate's, None being any; with a rollback, whose champion.
        by_hand: a person started this; see `ringrift_loop/promotion/approval.py`.
        reason: why the rollback is wanted.
        response_timeout: how long the answer is waited for; a day unless told otherwise.
    """

    template_fields: Collection[str] = ("subject", "body", "model", "variant", "reason")
    ui_color = "#fff2cc"
    operator_extra_links = (ModelLink(),)

    def __init__(
        self,
        *,
        model: Any = None,
        variant: Any = None,
        by_hand: bool = False,
        reason: Any = None,
        response_timeout: timedelta = _WAIT,
        **options: Any,
    ) -> None:
        why = Param("", type="string", maxLength=500, title="Why", description="kept in the history", source="task")
        # Within a DAG `options` has its form as well, which is not for whoever answers.
        form = {"subject": "Move the champion?", "response_timeout": response_timeout, "params": {"why": why}}
        super().__init__(**options | form)
        self.model, self.variant, self.by_hand, self.reason = model, variant, by_hand, reason

    def execute(self, context: Context) -> Any:
        """Ask, or go on when there is nothing to ask."""
        question = self._question(context)
        if question is None:
            self.log.info("nobody has to be asked")
            return None
        self.subject, self.body = question.subject, question.body
        notify_question(question.subject, context)
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Write the answer down.

        Raises:
            AirflowSkipException: nobody answered in time, or the question is not open any more.
        """
        from ringrift_loop.promotion.approval import answer, withdraw

        loop, variant = open_loop(), self._variant()
        if event.get("error_type") == "timeout":
            withdraw(loop, variant, run=_run(context))
            raise AirflowSkipException(
                f"nobody answered within {self.response_timeout}; ringrift_promote asks again about the same candidate"
            )
        result = super().execute_complete(context, event)
        user = result["responded_by_user"] or {}
        try:
            answer(
                loop,
                variant,
                run=_run(context),
                approved=result["chosen_options"] == [self.APPROVE],
                by=str(user.get("name") or user.get("id") or "a person"),
                why=str(result["params_input"].get("why") or ""),
            )
        except GateError as outdated:
            raise AirflowSkipException(str(outdated)) from outdated
        return result

    def _question(self, context: Context) -> Question | None:
        from ringrift_loop.promotion.approval import ask_promotion, ask_rollback

        assert self.response_timeout is not None
        loop, run, wait_s = open_loop(), _run(context), self.response_timeout.total_seconds()
        if self.model is None:
            return ask_rollback(
                loop, self.variant, str(self.reason or ""), key=context["run_id"], run=run, wait_s=wait_s
            )
        return with_current_contest(
            self.model,
            lambda: ask_promotion(loop, self.model, variant=self.variant, by_hand=self.by_hand, run=run, wait_s=wait_s),
        )

    def _variant(self) -> str:
        """The variant that was asked about."""
        from ringrift_loop.ledger import models

        if self.variant is not None:
            return str(self.variant)
        with open_loop().ledger.read() as conn:
            model = models.get(conn, self.model)
        assert model is not None  # it was asked about
        return model.variant


def _run(context: Context) -> str:
    return f"{context['dag_run'].dag_id}/{context['run_id']}"
