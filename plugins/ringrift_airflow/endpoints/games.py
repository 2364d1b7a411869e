"""The page Games: games found and replayed, a record of one's own, and what the champion thinks of a position."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from ringrift_airflow.endpoints.access import NOT_READY, reading
from ringrift_airflow.endpoints.refusals import REFUSALS, refusing
from ringrift_loop.config.schema import VARIANT_NAMES
from ringrift_loop.errors import ConfigError
from ringrift_loop.views.games import GamePage, Wanted, find_games, hosts_of_games, read_game
from ringrift_loop.views.records import MAX_SIMULATIONS, Judgement, Replay, Unknown

router = APIRouter(responses=NOT_READY | REFUSALS)

_MAX_RECORD = 1 << 20
_MAX_MOVES = 1 << 18
_MAX_POSITIONS = 64

Result = Literal["elimination", "territory", "sole_survivor", "stalemate", "lps", "truncated"]
GameId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]


class FoundGames(BaseModel):
    """A page of games, and what the filter can choose among."""

    page: GamePage
    hosts: list[str]
    now: float
    """The coordinator's clock, UTC seconds."""


class OwnRecord(BaseModel):
    """What a person loads."""

    text: str = Field(max_length=_MAX_RECORD)


class Position(BaseModel):
    """Positions of one game, to be judged."""

    variant: str = Field(max_length=32)
    pie_rule: bool = False
    moves: str = Field(max_length=_MAX_MOVES, description="texts of the moves from the start, joined by spaces")
    plies: list[int] = Field(
        min_length=1, max_length=_MAX_POSITIONS, description="after how many of the moves; one of them with a search"
    )
    simulations: int = Field(0, ge=0, le=MAX_SIMULATIONS, description="0: the network alone, without a search")


@router.get("/games", summary="Games, newest first, a page at a time")
def find(
    variant: Annotated[str | None, Query(json_schema_extra={"enum": list(VARIANT_NAMES)})] = None,
    player: Annotated[str | None, Query(max_length=80, description="digest or its first digits, or a baseline")] = None,
    generation: Annotated[int | None, Query(ge=1, le=10**9)] = None,
    host: Annotated[str | None, Query(max_length=64)] = None,
    result: Result | None = None,
    winner: Annotated[int | None, Query(ge=0, le=4, description="seat; 0: nobody")] = None,
    plies_from: Annotated[int | None, Query(ge=0, le=10**6)] = None,
    plies_to: Annotated[int | None, Query(ge=0, le=10**6)] = None,
    since: Annotated[float | None, Query(ge=0, le=1e11, description="UTC seconds")] = None,
    until: Annotated[float | None, Query(ge=0, le=1e11)] = None,
    before: Annotated[str | None, Query(max_length=100, description="`older` of the page before")] = None,
) -> FoundGames:
    """The newest games that are as wanted."""
    if variant is not None and variant not in VARIANT_NAMES:
        with refusing():
            raise ConfigError(f"variant must be one of {', '.join(VARIANT_NAMES)}, got {variant[:80]!r}")
    wanted = Wanted(variant, player, generation, host, result, winner, plies_from, plies_to, since, until)
    with reading() as (loop, conn), refusing():
        page = find_games(conn, wanted, before=before)
        return FoundGames(page=page, hosts=hosts_of_games(conn), now=loop.clock())


@router.get("/games/{game_id}", summary="A game, move by move")
def replay(game_id: GameId) -> Replay:
    """Every position of a stored game, each as what differs from the one before."""
    with refusing():
        raw = _record(game_id)
        from ringrift_loop.views.replay import replay_record
        from ringrift_loop.views.thinking import ROOM

        ROOM.prepare()
        return replay_record(raw)


@router.get("/games/{game_id}/record", summary="A game's record, as its host wrote it", response_class=Response)
def download(game_id: GameId) -> Response:
    """One JSON object (docs/4-data.md)."""
    with refusing():
        raw = _record(game_id)
    headers = {"Content-Disposition": f'attachment; filename="ringrift-{game_id}.json"'}
    return Response(raw + b"\n", media_type="application/json", headers=headers)


@router.post("/games/load", summary="A record of one's own, move by move")
def load(record: OwnRecord) -> Replay:
    """As a stored game; nothing is kept. A record that is wrong is answered with what is wrong with it."""
    with refusing():
        from ringrift_loop.views.replay import load_record
        from ringrift_loop.views.thinking import ROOM

        ROOM.prepare()
        return load_record(record.text)


@router.post("/positions", summary="What the champion thinks of positions of a game")
def judge(position: Position) -> list[Judgement]:
    """Each seat's share of the win and the preferred moves; without a champion the heuristic's search answers."""
    with refusing():
        if position.variant not in VARIANT_NAMES:
            raise ConfigError(f"variant must be one of {', '.join(VARIANT_NAMES)}, got {position.variant[:80]!r}")
        from ringrift_loop.views.evaluation import Thinker
        from ringrift_loop.views.opponents import adviser_of
        from ringrift_loop.views.replay import states_of
        from ringrift_loop.views.thinking import ROOM

        ROOM.prepare()
        states = states_of(position.variant, position.moves, pie_rule=position.pie_rule)
        if not all(0 <= ply < len(states) for ply in position.plies):
            raise ConfigError(f"plies must be in 0..{len(states) - 1}, got {position.plies}")
        with reading() as (loop, conn):
            directory = loop.directory
            spec = adviser_of(conn, directory, position.variant)
        # Without the ledger's snapshot: a search may take seconds.
        thinker = Thinker(spec, position.variant, position.pie_rule)
        return thinker.judge(directory, states[position.plies], position.simulations)


def _record(game_id: str) -> bytes:
    with reading() as (loop, conn):
        found = read_game(conn, loop.directory, game_id)
    if found is None:
        raise Unknown(f"there is no game {game_id}")
    return found[1]
