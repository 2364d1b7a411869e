"""The page Play: a person against champions and baselines. Every person sees the own games only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_connection, requires_access_dag
from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BaseModel, Field

from ringrift_airflow.endpoints.access import NOT_READY, reading
from ringrift_airflow.endpoints.refusals import REFUSALS, Responses, refusing
from ringrift_loop.config.schema import VARIANT_NAMES
from ringrift_loop.errors import ConfigError
from ringrift_loop.views.records import (
    MAX_SIMULATIONS,
    GameOfPerson,
    Judgement,
    NewGame,
    Opponents,
    PersonRating,
    Table,
    Unknown,
)

if TYPE_CHECKING:
    from ringrift_loop.views.play import PlayRoom

MAY_PLAY = Depends(requires_access_dag("POST", DagAccessEntity.RUN, param_dag_id="ringrift_data_sync"))
"""Whoever may start the loop's runs may make this machine think."""
MAY_SEE_ALL = Depends(requires_access_connection("GET"))
"""Whoever may read Airflow's connections, with the logins in them, may look at everybody's games."""

router = APIRouter(prefix="/play", responses=NOT_READY | REFUSALS)

_MISSING: Responses = {404: {"description": "There is no such game of yours."}}
_MOVED_ON: Responses = _MISSING | {409: {"description": "The game is not where the question says; look again."}}
GameId = Annotated[str, Path(pattern=r"^[0-9a-f]{24}$")]
Known = Annotated[int, Query(ge=0, le=10_000, description="plies whose positions are known; only later ones are told")]


class OwnGames(BaseModel):
    """A person's games and ratings."""

    login: str
    games: list[GameOfPerson]
    ratings: list[PersonRating]
    now: float


class WantedGame(BaseModel):
    """A game to begin."""

    variant: str = Field(max_length=32)
    seat: int = Field(ge=1, le=4, description="of the person")
    opponents: list[Annotated[str, Field(max_length=80)]] = Field(
        min_length=1, max_length=3, description="for the other seats in order: a model's digest or a baseline"
    )
    simulations: int = Field(ge=1, le=MAX_SIMULATIONS)
    pie_rule: bool = False


class Begun(BaseModel):
    """A game that has begun."""

    id: str


class At(BaseModel):
    """Where the page thinks that the game is."""

    ply: int = Field(ge=0, le=10_000, description="plies played")


class Move(At):
    """A person's move."""

    move: str = Field(max_length=48, description="its text, one of the question's choices")


@router.get("", summary="One's own games and ratings")
def own_games(user: GetUserDep) -> OwnGames:
    """The game that was changed last comes first."""
    with refusing():
        from ringrift_loop.views.person_rating import person_ratings

        login = user.get_name()
        with reading() as (loop, conn):
            room = _room(login)
            ratings = person_ratings(conn, login, room.finished())
            return OwnGames(login=login, games=room.games(), ratings=ratings, now=loop.clock())


@router.get("/everyone", summary="Everybody's games", dependencies=[MAY_SEE_ALL])
def everyones(user: GetUserDep) -> list[GameOfPerson]:
    """For whoever may read Airflow's connections; to be looked at only."""
    with refusing():
        return _room(user.get_name()).everyones()


@router.get("/everyone/{game_id}", summary="Anybody's game", dependencies=[MAY_SEE_ALL], responses=_MISSING)
def anyones(game_id: GameId, user: GetUserDep, known: Known = 0) -> Table:
    """As its player sees it."""
    with refusing():
        room = _room(user.get_name())
        owner = next((game.login for game in room.everyones() if game.id == game_id), None)
        if owner is None:
            raise Unknown(f"there is no game {game_id}")
        return _room(owner).look(game_id, known=known)


@router.get("/opponents", summary="Whom a variant can be played against")
def opponents(variant: Annotated[str, Query(json_schema_extra={"enum": list(VARIANT_NAMES)})]) -> Opponents:
    """The champion, earlier champions and baselines, with their ratings."""
    with refusing():
        if variant not in VARIANT_NAMES:
            raise ConfigError(f"variant must be one of {', '.join(VARIANT_NAMES)}, got {variant[:80]!r}")
        from ringrift_loop.views.opponents import find_opponents

        with reading() as (loop, conn):
            return find_opponents(conn, loop.config, loop.directory, variant)


@router.post("", summary="Begin a game", status_code=201, dependencies=[MAY_PLAY])
def begin(wanted: WantedGame, user: GetUserDep) -> Begun:
    """A game of the person who asks."""
    with _playing(user.get_name()) as room:
        game = NewGame(wanted.variant, wanted.seat, wanted.opponents, wanted.simulations, wanted.pie_rule)
        return Begun(id=room.begin(game))


@router.get("/{game_id}", summary="A game as it stands", responses=_MISSING)
def look(game_id: GameId, user: GetUserDep, known: Known = 0) -> Table:
    """The positions after the known ones, and what the person is asked now."""
    with _playing(user.get_name()) as room:
        return room.look(game_id, known=known)


@router.post("/{game_id}/moves", summary="Play a move", dependencies=[MAY_PLAY], responses=_MOVED_ON)
def play(game_id: GameId, move: Move, user: GetUserDep, known: Known = 0) -> Table:
    """One of the choices; what follows without a choice is played with it."""
    with _playing(user.get_name()) as room:
        return room.play(game_id, move.ply, move.move, known=known)


@router.post("/{game_id}/reply", summary="Let the opponents play on", dependencies=[MAY_PLAY], responses=_MISSING)
def reply(game_id: GameId, at: At, user: GetUserDep, known: Known = 0) -> Table:
    """For about a second; to be asked again while it is not the person's turn."""
    with _playing(user.get_name()) as room:
        return room.reply(game_id, at.ply, known=known)


@router.post("/{game_id}/hint", summary="A hint", dependencies=[MAY_PLAY], responses=_MOVED_ON)
def hint(game_id: GameId, at: At, user: GetUserDep) -> Judgement:
    """What an opponent would do in the person's place. The game does not count for the rating from then on."""
    with _playing(user.get_name()) as room:
        return room.hint(game_id, at.ply)


@router.post("/{game_id}/take-back", summary="Take the last move back", dependencies=[MAY_PLAY], responses=_MOVED_ON)
def take_back(game_id: GameId, at: At, user: GetUserDep) -> Table:
    """To the person's last choice. The game does not count for the rating from then on."""
    with _playing(user.get_name()) as room:
        return room.take_back(game_id, at.ply)


@router.post("/{game_id}/resign", summary="Give the game up", dependencies=[MAY_PLAY], responses=_MOVED_ON)
def resign(game_id: GameId, user: GetUserDep) -> Table:
    """The person is last, for good."""
    with _playing(user.get_name()) as room:
        return room.resign(game_id)


@router.delete("/{game_id}", summary="Remove a game", status_code=204, dependencies=[MAY_PLAY], responses=_MISSING)
def remove(game_id: GameId, user: GetUserDep) -> None:
    """For good; it does not count for the rating any more."""
    with _playing(user.get_name()) as room:
        room.remove(game_id)


@router.get("/{game_id}/record", summary="A game as a record", responses=_MISSING, response_class=Response)
def record(game_id: GameId, user: GetUserDep) -> Response:
    """JSON that the page Games loads."""
    with _playing(user.get_name()) as room:
        text = room.record(game_id)
    headers = {"Content-Disposition": f'attachment; filename="ringrift-{game_id}.json"'}
    return Response(text + "\n", media_type="application/json", headers=headers)


@contextmanager
def _playing(login: str) -> Iterator[PlayRoom]:
    with refusing():
        yield _room(login)


def _room(login: str) -> PlayRoom:
    from ringrift_loop.views.play import PlayRoom

    # The ledger is looked at for the run directory's sake only: no snapshot of it lasts while somebody thinks.
    with reading() as (loop, _):
        rated = loop.config.evaluation
        return PlayRoom(loop.directory, login, loop.clock(), (rated.simulations, rated.considered_moves))
