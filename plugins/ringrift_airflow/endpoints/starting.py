"""Changes that a page asks for: each starts the DAG that makes it, under the user's name, and is in the history.

A page never moves anything itself. What it starts here is what a person starts in Airflow, with the same form, the same
rules and the same log.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import requires_access_dag
from fastapi import Depends, HTTPException
from pydantic import StringConstraints

from ringrift_loop.loop import Loop
from ringrift_loop.text import clean

Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=3, max_length=500)]
"""Why, in a person's words."""

CHANGES: dict[int | str, dict[str, Any]] = {
    403: {"description": "The user may not start this DAG."},
    404: {"description": "What is asked for is not there."},
    409: {"description": "It cannot be done now; `detail` says why."},
}


@dataclass(frozen=True)
class Started:
    """The DAG run that does what was asked for."""

    dag_id: str
    run_id: str


def may_start(dag_id: str) -> Any:
    """The dependency of a route that starts a DAG: the user may do so in Airflow."""
    return Depends(requires_access_dag("POST", DagAccessEntity.RUN, param_dag_id=dag_id))


def is_allowed(dag_id: str, user: BaseUser) -> bool:
    """Whether `may_start` lets the user through: a page shows no button that would be refused."""
    run, details = DagAccessEntity.RUN, DagDetails(id=dag_id)
    return bool(get_auth_manager().is_authorized_dag(method="POST", access_entity=run, details=details, user=user))


def start(
    loop: Loop,
    dag_id: str,
    conf: Mapping[str, str],
    *,
    user: str,
    asks: str,
    reason: str,
    variant: str | None = None,
) -> Started:
    """Start a DAG and write down who asked for what and why; neither happens without the other.

    Args:
        loop: the loop.
        dag_id: such as `ringrift_promote`.
        conf: its form.
        user: Airflow's name of whoever asks.
        asks: for what, as in `ann asks for the promotion of ...`.
        reason: why.
        variant: what it is about.

    Raises:
        HTTPException: 409 when the DAG is not known yet, is paused, or refuses the form.
    """
    from airflow.api.common.trigger_dag import trigger_dag
    from airflow.exceptions import DagNotFound, ParamValidationError
    from airflow.models.dag import DagModel
    from airflow.utils.types import DagRunTriggeredByType

    known = DagModel.get_current(dag_id)
    if known is not None and known.is_paused:
        raise HTTPException(409, f"the DAG {dag_id} is paused: switch it on in Airflow, then ask again")
    with loop.ledger.begin() as conn:
        try:
            run = trigger_dag(
                dag_id,
                triggered_by=DagRunTriggeredByType.UI,
                triggering_user_name=user,
                conf=dict(conf),
                note=reason,
            )
        except DagNotFound:
            raise HTTPException(409, f"Airflow does not know the DAG {dag_id} yet: try again in a minute") from None
        except (ParamValidationError, ValueError) as error:
            raise HTTPException(409, clean(str(error).partition("\n")[0])) from error
        assert run is not None
        who = clean(user)
        data = {"user": who, "why": reason, "dag_id": dag_id, "run_id": run.run_id}
        loop.record(conn, "request", f"{who} asks for {asks}: {reason}", variant=variant, **data)
    return Started(dag_id, run.run_id)
