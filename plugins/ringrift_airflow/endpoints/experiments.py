"""The page Experiments: what was compared, what it cost, and which arm was stronger."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter

from ringrift_airflow.endpoints.access import NOT_READY
from ringrift_airflow.settings import loop_directory
from ringrift_loop.errors import ConfigError
from ringrift_loop.experiments.shown import ShownExperiments, read_all
from ringrift_loop.project import Project

router = APIRouter()


@router.get("/experiments", summary="What the page Experiments shows", responses=NOT_READY)
def experiments() -> ShownExperiments:
    """Those made here and those that came with the program, the newest first."""
    return read_all(loop_directory().experiments, _shipped())


def _shipped() -> Path | None:
    try:
        return Project.find(Path.cwd()).root / "docs" / "experiments"
    except ConfigError:
        return None
