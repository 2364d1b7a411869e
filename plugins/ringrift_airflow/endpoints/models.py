"""The page Models: what each model is made of, how strong it is, who beat whom; and changing the champion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, HTTPException, Path, Query
from pydantic import BaseModel, Field

from ringrift_airflow.endpoints.access import NOT_READY, reading
from ringrift_airflow.endpoints.starting import CHANGES, Reason, Started, is_allowed, may_start, start
from ringrift_loop.config.schema import VARIANT_NAMES
from ringrift_loop.errors import LedgerError
from ringrift_loop.ledger import models, promotions
from ringrift_loop.views.lineage import GameLineage, Lineage, game_lineage, lineage
from ringrift_loop.views.matchups import Matchups, read_matchups
from ringrift_loop.views.models import LossPoint, ModelsView, Refusal, loss_points, read_models, refusals

_MOST = 200
_PROMOTE, _ROLL_BACK = "ringrift_promote", "ringrift_rollback"
_UNKNOWN: dict[int | str, dict[str, Any]] = {**NOT_READY, 404: {"description": "The ledger has nothing of that name."}}

Variant = Annotated[str, Query(alias="config", description="the variant", max_length=32)]
Digest = Annotated[str, Path(pattern="^[0-9a-f]{64}$", description="a model's digest")]

router = APIRouter()


@dataclass(frozen=True)
class VariantChoice:
    """A variant that the page can show."""

    variant: str
    models: int
    """That are registered."""
    champion_generation: int
    """Moves of the pointer so far; 0: no champion yet."""


@dataclass(frozen=True)
class ModelsAnswer(ModelsView):
    """The models, and what this user may do about them."""

    may_promote: bool
    may_roll_back: bool


class PromotionWish(BaseModel):
    """Which model shall be the champion, and why."""

    model: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    reason: Reason


class RollbackWish(BaseModel):
    """Which variant's champion shall be taken back, and why."""

    variant: str
    reason: Reason


@router.get("/variants", summary="Variants with the number of their models", responses=NOT_READY)
def variants() -> list[VariantChoice]:
    """Those of the configuration, then others that have models."""
    with reading() as (loop, conn):
        counts = models.count_by_variant(conn)
        champions = promotions.all_champions(conn)
        names = dict.fromkeys([*loop.config.variants, *sorted(counts)])
        return [
            VariantChoice(name, counts.get(name, 0), champions[name].generation if name in champions else 0)
            for name in names
        ]


@router.get("/models", summary="The newest models of a variant", responses=NOT_READY)
def list_models(
    user: GetUserDep,
    variant: Variant,
    most: Annotated[int, Query(ge=1, le=_MOST)] = 60,
    before: Annotated[int | None, Query(ge=1, description="only models of a lower generation")] = None,
) -> ModelsAnswer:
    """With their ratings, verdicts and states, and the question that waits for a person."""
    _check(variant)
    with reading() as (loop, conn):
        required = loop.config.promotion.require_approval
        view = read_models(conn, variant, now=loop.clock(), approval_required=required, most=most, before=before)
    return ModelsAnswer(
        **vars(view), may_promote=is_allowed(_PROMOTE, user), may_roll_back=is_allowed(_ROLL_BACK, user)
    )


@router.get("/models/losses", summary="The losses of the newest trainings", responses=NOT_READY)
def losses(variant: Variant) -> list[LossPoint]:
    """Of training and validation rows, oldest first."""
    _check(variant)
    with reading() as (_, conn):
        return list(loss_points(conn, variant))


@router.get("/models/matchups", summary="Who beat whom, with intervals", responses=NOT_READY)
def matchups(variant: Variant) -> Matchups:
    """The last champions, newest models and baselines against each other."""
    _check(variant)
    with reading() as (_, conn):
        return read_matchups(conn, variant)


@router.get("/models/refusals", summary="The candidates that were last refused, and why", responses=NOT_READY)
def refused(variant: Variant, most: Annotated[int, Query(ge=1, le=_MOST)] = 20) -> list[Refusal]:
    """The newest first."""
    _check(variant)
    with reading() as (_, conn):
        return list(refusals(conn, variant, most=most))


@router.get("/models/{digest}", summary="How a model came about and what became of it", responses=_UNKNOWN)
def one_model(digest: Digest) -> Lineage:
    """Its game window, training, parents, gates, promotions and rollbacks."""
    with reading() as (_, conn):
        try:
            return lineage(conn, digest)
        except LedgerError as error:
            raise HTTPException(404, str(error)) from error


@router.get("/games/{game_id}/lineage", summary="What learned from a game", responses=_UNKNOWN)
def one_game(game_id: Annotated[str, Path(max_length=64)]) -> GameLineage:
    """Its host, segment and player, and the training runs whose window held it."""
    with reading() as (_, conn):
        try:
            return game_lineage(conn, game_id)
        except LedgerError as error:
            raise HTTPException(404, str(error)) from error


@router.post(
    "/models/promote",
    summary="Make a model the champion",
    responses={**NOT_READY, **CHANGES},
    dependencies=[may_start(_PROMOTE)],
)
def promote(wish: PromotionWish, user: GetUserDep) -> Started:
    """Start `ringrift_promote`, which decides by the gates and rules as always."""
    with reading() as (loop, conn):
        model = models.get(conn, wish.model)
        if model is None:
            raise HTTPException(404, f"no model {wish.model[:12]} is registered")
        champion = promotions.champion(conn, model.variant)
        if champion is not None and champion.model_digest == wish.model:
            raise HTTPException(409, f"{wish.model[:12]} is the champion of {model.variant} already")
        return start(
            loop,
            _PROMOTE,
            {"model": wish.model, "variant": model.variant, "reason": wish.reason},
            user=user.get_name(),
            asks=f"the promotion of {wish.model[:12]}, generation {model.generation} of {model.variant}",
            reason=wish.reason,
            variant=model.variant,
        )


@router.post(
    "/models/roll_back",
    summary="Return to the champion before",
    responses={**NOT_READY, **CHANGES},
    dependencies=[may_start(_ROLL_BACK)],
)
def roll_back(wish: RollbackWish, user: GetUserDep) -> Started:
    """Start `ringrift_rollback` with the reason."""
    _check(wish.variant)
    with reading() as (loop, conn):
        pointers = promotions.pointers(conn, wish.variant)
        if len(pointers) < 2:
            raise HTTPException(409, f"{wish.variant} has had {len(pointers)} champions; there is none to go back to")
        return start(
            loop,
            _ROLL_BACK,
            {"variant": wish.variant, "reason": wish.reason},
            user=user.get_name(),
            asks=f"the rollback of {wish.variant} from {pointers[0][:12]} to {pointers[1][:12]}",
            reason=wish.reason,
            variant=wish.variant,
        )


def _check(variant: str) -> None:
    if variant not in VARIANT_NAMES:
        raise HTTPException(422, f"config must be one of {', '.join(VARIANT_NAMES)}, got {variant[:80]!r}")
