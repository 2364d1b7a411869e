"""The page Control: what the loop does with its machines and why; a halt and the share of self-play, by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter
from pydantic import BaseModel, Field, StringConstraints

from ringrift_airflow.endpoints.access import MAY_STEER, NOT_READY, changing, may_steer, reading
from ringrift_airflow.settings import effective_config
from ringrift_loop.launcher.leftovers import has_ended
from ringrift_loop.resources.interventions import Asked, set_halt, set_selfplay_share
from ringrift_loop.views.control import ControlState, Setting, read_control, settings

router = APIRouter()

Why = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
"""A reason for the history."""


class Halt(BaseModel):
    """Whether the loop shall stand still."""

    halted: bool
    why: Why


class Share(BaseModel):
    """How many of the self-play slots may play."""

    share: float = Field(ge=0, le=1)
    why: Why


@dataclass(frozen=True)
class ControlAnswer(ControlState):
    """The state, and what this user may do about it."""

    may_change: bool
    """Halt, resume and limit self-play."""


@router.get("/control", summary="What the page Control shows", responses=NOT_READY)
def control(user: GetUserDep) -> ControlAnswer:
    """The machines, the decisions about them, and the weights of the variants."""
    with reading() as (loop, conn):
        state = read_control(conn, loop, now=loop.clock(), stopped=has_ended(loop.directory))
    return ControlAnswer(**vars(state), may_change=may_steer(user))


@router.get("/config", summary="The configuration in force", responses=NOT_READY)
def config() -> list[Setting]:
    """Every value with its origin; what may be a secret is hidden."""
    return settings(effective_config())


@router.put("/control/halt", summary="Halt the loop, or let it go on", dependencies=[MAY_STEER], responses=NOT_READY)
def halt(wish: Halt, user: GetUserDep) -> ControlAnswer:
    """As `ringrift-loop workers halt` and `resume`; the history says who and why."""
    with changing() as (loop, conn):
        set_halt(conn, wish.halted, Asked(user.get_name(), wish.why), at=loop.clock())
    return control(user)


@router.put("/control/share", summary="Limit self-play", dependencies=[MAY_STEER], responses=NOT_READY)
def share(wish: Share, user: GetUserDep) -> ControlAnswer:
    """As `ringrift-loop workers rate`; the history says who and why."""
    with changing() as (loop, conn):
        set_selfplay_share(conn, wish.share, Asked(user.get_name(), wish.why), at=loop.clock())
    return control(user)
