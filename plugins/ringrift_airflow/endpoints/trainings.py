"""Training runs, for the tabs of the training's DAG, its runs and their tasks."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from ringrift_airflow.endpoints.access import NOT_READY, reading
from ringrift_loop.views.trainings import TrainingView, read_trainings

router = APIRouter()


@router.get("/trainings", summary="Training runs with progress and losses", responses=NOT_READY)
def trainings(
    dag_run: Annotated[str | None, Query(max_length=250, description="id of a run of `ringrift_training`")] = None,
) -> list[TrainingView]:
    """The newest ones, or those that a DAG run made."""
    with reading() as (loop, conn):
        return read_trainings(conn, loop, key=dag_run)
