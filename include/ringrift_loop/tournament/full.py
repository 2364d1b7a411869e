"""The full tournament: every champion of a variant against its ancestors and the baselines, 50 games a pairing.

A round of it is more than one run may play: a run plays in portions until its time is up, and the next run goes on with
what is missing, as the match log shows. So the shadow tournaments, which use the same pool, wait for one portion and a
budget at most.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice

from ringrift_loop.config import LoopConfig
from ringrift_loop.engine.rules import variant as variant_of
from ringrift_loop.errors import ConfigError, GateError
from ringrift_loop.ledger import leases, matches
from ringrift_loop.loop import Loop
from ringrift_loop.ratings.refit import table_of
from ringrift_loop.text import counted
from ringrift_loop.tournament.arena import Arena, EngineArena
from ringrift_loop.tournament.blocks import BlockPlan, FreshBlocks
from ringrift_loop.tournament.conclusion import conclude
from ringrift_loop.tournament.full_schedule import by_variance_removed, full_pairings, missing_blocks
from ringrift_loop.tournament.shadow import field_of
from ringrift_loop.tournament.store import LedgerShelf, keep_all

PURPOSE = "tournament"
GAMES_PER_PAIRING = 50
_LONGEST_S = 300.0  # what the task has besides the time of a portion (tasks/full_tournament.py)


@dataclass(frozen=True)
class FullReport:
    """What one run of the full tournament did."""

    variant: str
    round: int
    """The round that was played in, counted from 1."""
    games: int
    pairings: int
    """Of the round, complete or not."""
    blocks_played: int
    blocks_missing: int
    """Of the round, left for the next run."""
    champion: str | None
    """Participant id of the champion."""
    champion_elo: float | None
    champion_stderr: float | None
    seconds: float


@dataclass(frozen=True)
class _Round:
    number: int
    pairings: int
    missing: int
    """Blocks."""
    plans: Iterator[BlockPlan]
    """All that are missing, the most telling first."""


def budget_s(config: LoopConfig) -> float:
    """Seconds in which one variant's run begins new portions.

    All variants together leave half of the time to others, and none holds the pool for longer than the time between two
    shadow tournaments.
    """
    evaluation = config.evaluation
    fair = evaluation.full_tournament_interval_seconds / (2 * len(config.variants))
    return min(fair, float(evaluation.shadow_interval_seconds), _LONGEST_S)


def run_full(
    loop: Loop, variant: str, games: int | None = None, *, budget: float | None = None, arena: Arena | None = None
) -> FullReport:
    """Play what is missing of a variant's full tournament until the budget is used up, then refit the ratings.

    A portion has as many games as a shadow tournament and is played to its end; at least one is played.

    Args:
        loop: the loop.
        variant: such as `square8_2p`.
        games: of each pairing in a round, rounded up to whole blocks; default: `GAMES_PER_PAIRING`.
        budget: seconds in which portions are begun; default: `budget_s`.
        arena: where to play; default: the rules engine.

    Raises:
        NoCapacity: another process plays the variant's full tournament.
        ConfigError: no games are asked for.
        GateError: there is no champion, or no new game was stored.
    """
    games = GAMES_PER_PAIRING if games is None else games
    if games < 1:
        raise ConfigError(f"a pairing of the full tournament needs at least 1 game, got {games}; the usual is 50")
    players = variant_of(variant).players
    until = budget_s(loop.config) if budget is None else budget
    portion = -(-loop.config.evaluation.shadow_games_per_config // players)
    started = loop.clock()
    with leases.hold(loop.ledger, f"full:{variant}", clock=loop.clock):
        todo = _round(loop, variant, -(-games // players), players)
        shelf, place = LedgerShelf(loop), arena or EngineArena(loop)
        played = blocks = 0
        while plans := list(islice(todo.plans, portion)):
            played += keep_all(shelf, place.play(plans))
            blocks += len(plans)
            if loop.clock() - started >= until:
                break
        if played == 0:
            raise GateError(
                f"the full tournament of {variant} stored no new game, {todo.missing} blocks of {players} games are "
                f"missing in round {todo.number}"
            )
        left = todo.missing - blocks
        so_far = f"round {todo.number}: {counted(left, 'block')} left"
        told = f"{counted(played, 'game')} of the full tournament of {variant}, {so_far}"
        end = conclude(loop, variant, "full", told, started=started)
    return FullReport(variant, todo.number, played, todo.pairings, blocks, left, **asdict(end))


def _round(loop: Loop, variant: str, per_pairing: int, players: int) -> _Round:
    with loop.ledger.read() as conn:
        field = field_of(conn, loop, variant)
        blocks_of = matches.blocks_by_pairing(conn, variant, PURPOSE)
        table = table_of(conn, variant)
    pairings = full_pairings(field)
    if not pairings:
        raise GateError(
            f"{variant} has no champion yet, so nobody can play its full tournament; the first promotion makes one"
        )
    played = {pair: len(ids) for pair, ids in blocks_of.items()}
    number, missing = missing_blocks(pairings, played, per_pairing)
    order = by_variance_removed(missing, champions=set(field.champions), table=table, games=players)
    fresh = FreshBlocks(variant, PURPOSE, players, set().union(*blocks_of.values()))
    return _Round(number, len(pairings), sum(missing.values()), (fresh.next(*pairing) for pairing in order))
