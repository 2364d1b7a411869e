"""A model to every host, checked there by its digest, the pointer file last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from ringrift_airflow.links import ModelLink, WorkersLink
from ringrift_airflow.settings import open_loop

if TYPE_CHECKING:
    from airflow.sdk import Context


class DistributeModelOperator(BaseOperator):
    """Sends a variant's champion to every host that plays; a host that has it is left alone.

    A host that is away fails nothing: the next sync sends it what it lacks.

    XCom `return_value` (each key also under its own name): `variant`, `digest`, `reached` (hosts) and `failed` (host to
    reason).

    Args:
        model: the digest of the champion, its 64 hex characters.

    Raises:
        HostError: no host took it.
        LedgerError: it is not registered, or not the champion.
    """

    template_fields: Sequence[str] = ("model",)
    ui_color = "#dae8fc"
    operator_extra_links = (ModelLink(), WorkersLink())

    def __init__(self, *, model: Any, **options: Any) -> None:
        super().__init__(**{"multiple_outputs": True, **options})
        self.model = model

    def execute(self, context: Context) -> dict[str, Any]:
        """To all at once."""
        from ringrift_loop.cluster.sync.distribute import distribute

        return dict(distribute(open_loop(), self.model).as_json())
