"""The shadow tournament: a few games every five minutes, from which the ratings are kept fresh."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, replace

from sqlalchemy import Connection

from ringrift_loop.engine.rules import variant as variant_of
from ringrift_loop.errors import GateError
from ringrift_loop.ledger import leases, matches, models, promotions
from ringrift_loop.loop import Loop
from ringrift_loop.ratings.refit import table_of
from ringrift_loop.text import counted
from ringrift_loop.tournament.arena import Arena, EngineArena
from ringrift_loop.tournament.blocks import BlockPlan, FreshBlocks
from ringrift_loop.tournament.conclusion import conclude
from ringrift_loop.tournament.participants import RANDOM, baseline_ids, evaluation_search, model_participant
from ringrift_loop.tournament.schedule import Field, anchoring, next_pairings
from ringrift_loop.tournament.store import LedgerShelf, keep_all
from ringrift_loop.tournament.watch import SHADOW as PURPOSE
from ringrift_loop.tournament.watch import champion_watch


@dataclass(frozen=True)
class ShadowReport:
    """What a shadow tournament did."""

    variant: str
    games_requested: int
    games: int
    """Games played: the number asked for, rounded up to whole blocks."""
    pairings: dict[str, int]
    """Blocks by pairing, as `participant - opponent`."""
    champion: str | None
    """Participant id of the champion."""
    champion_elo: float | None
    champion_stderr: float | None
    seconds: float


def run_shadow(loop: Loop, variant: str, games: int | None = None, *, arena: Arena | None = None) -> ShadowReport:
    """Play a shadow tournament of one variant, store its games and refit the ratings.

    Args:
        loop: the loop.
        variant: such as `square8_2p`.
        games: default: `evaluation.shadow_games_per_config`.
        arena: where to play; default: the rules engine.

    Raises:
        NoCapacity: another process plays the variant's shadow tournament.
        GateError: no new game was stored.
    """
    wanted = loop.config.evaluation.shadow_games_per_config if games is None else games
    players = variant_of(variant).players
    started = loop.clock()
    with leases.hold(loop.ledger, f"shadow:{variant}", clock=loop.clock):
        plans = _plan(loop, variant, blocks=-(-wanted // players), players=players)
        played = keep_all(LedgerShelf(loop), (arena or EngineArena(loop)).play(plans))
        if played == 0:
            raise GateError(f"the shadow tournament of {variant} stored no new game, {wanted} were asked for")
        rounded = f" ({wanted} asked for, rounded up to whole blocks)" if played > wanted else ""
        end = conclude(
            loop, variant, "shadow", f"{counted(played, 'shadow game')} of {variant}{rounded}", started=started
        )
    pairings = dict(Counter(_text(plan) for plan in plans))
    return ShadowReport(variant, wanted, played, pairings, **asdict(end))


def field_of(conn: Connection, loop: Loop, variant: str) -> Field:
    """Who can play in the variant: champions, the newest undecided model, baselines."""
    search = evaluation_search(loop.config)
    champions = dict.fromkeys(promotions.pointers(conn, variant))
    latest = models.latest(conn, variant)
    undecided = latest is not None and latest.digest not in champions and not promotions.of_model(conn, latest.digest)
    return Field(
        candidate=model_participant(latest.digest, variant, search).id if latest and undecided else None,
        champions=tuple(model_participant(digest, variant, search).id for digest in champions),
        baselines=baseline_ids(variant),
    )


def _plan(loop: Loop, variant: str, *, blocks: int, players: int) -> list[BlockPlan]:
    with loop.ledger.read() as conn:
        watch = champion_watch(conn, loop.config, variant)
        field = replace(field_of(conn, loop, variant), watched=watch is not None and watch.answer == "open")
        blocks_of = matches.blocks_by_pairing(conn, variant, PURPOSE)
        table = table_of(conn, variant)
    played = {pair: len(ids) for pair, ids in blocks_of.items()}
    pairings = next_pairings(field, blocks, played=played, table=table)
    if table is None or not table.games.get(RANDOM):
        pairings = [anchoring(field), *pairings[:-1]]
    fresh = FreshBlocks(variant, PURPOSE, players, set().union(*blocks_of.values()))
    return [fresh.next(*pairing) for pairing in pairings]


def _text(plan: BlockPlan) -> str:
    own, other = plan.seatings[0][0], plan.seatings[0][-1]
    return f"{own} - {other}"
