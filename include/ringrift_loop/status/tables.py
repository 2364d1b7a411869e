"""The ratings and the hosts as flat rows, with the column names of the deployment guide's cluster dashboard.

A dashboard reads them as they are, so every cell is a number, a short text or nothing. Whatever a host said in them is
plain text of bounded length.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection

from ringrift_loop.config.schema import LoopConfig
from ringrift_loop.hosts.inventory import Inventory
from ringrift_loop.ledger import models, promotions, ratings, utilization
from ringrift_loop.ledger.utilization import SampleRow
from ringrift_loop.status.fleet import HostView, generations, read_fleet
from ringrift_loop.status.overview import WorkerOverview, loop_runs, worker_overviews
from ringrift_loop.text import clean

Source = Literal["all", "trained", "baseline"]
_FRESH_SAMPLE_S = 300.0
_CELL = 200  # letters


@dataclass(frozen=True)
class EloRow:
    """One participant's rating."""

    Rank: int
    """1, 2, 3, ... within its variant, of the rows asked for."""
    Model: str
    """`square8_2p gen 7 (1a2b3c4d)`, or the baseline's name."""
    Elo: float
    StdErr: float
    """Standard error of the Elo."""
    WinRate: float
    """Wins by games, 0 to 1."""
    Games: int
    Wins: int
    Losses: int
    Draws: int
    """Games without a winner: they were cut off."""
    Config: str
    """The variant."""
    Champion: bool
    Digest: str | None
    """The model's; None for a baseline."""
    Search: str | None
    """What it searched with; None for a baseline."""


@dataclass(frozen=True)
class NodeRow:
    """One host."""

    Node: str
    Status: str
    """`online`, `failing` (three failures in a row), `retrying`, `new` or `disabled`."""
    Role: str
    """Comma-separated."""
    CPU: float | None
    """Use of its machine, percent; None without a sample of the last five minutes. So are the next two."""
    GPU: float | None
    """Use of its busiest GPU, percent; None as well without one."""
    GPUMemory: float | None
    """Memory in use on its fullest GPU, percent."""
    Memory: float | None
    """Memory in use, percent."""
    GamesPerHour: float
    """As its workers that play report."""
    WorkersPlaying: int
    WorkersAssigned: int
    Models: str
    """`gen 3 x2, gen 2 x1 (behind)`."""
    WaitingGames: int | None
    """Sealed games left there at the last visit."""
    Failures: int
    """In a row."""
    LastSeenSeconds: float | None
    """Since it last answered; None: never."""
    LastError: str | None


def elo_table(
    conn: Connection, config: LoopConfig, *, source: Source = "all", variant: str | None = None
) -> list[EloRow]:
    """The ratings as last fitted, strongest first, variant by variant.

    Args:
        conn: a reading transaction.
        config: names the variants.
        source: `trained` models, `baseline` players, or `all`.
        variant: only this one; it may be one that the configuration no longer names.
    """
    rows: list[EloRow] = []
    champions = promotions.all_champions(conn)
    for name in config.variants if variant is None else (variant,):
        known = {model.digest: model.generation for model in models.all_models(conn, name)}
        champion = champions[name].model_digest if name in champions else None
        kept = [
            row
            for row in ratings.table(conn, name)
            if source == "all" or ("|" in row.participant) == (source == "trained")
        ]
        rows += [_elo_row(rank, row, known, champion) for rank, row in enumerate(kept, start=1)]
    return rows


def node_table(
    conn: Connection, config: LoopConfig, inventory: Inventory, *, now: float, stopped: bool = False
) -> list[NodeRow]:
    """Every host of the inventory, in its order; arguments as for `read_fleet`."""
    runs = loop_runs(conn, config, now=now, stopped=stopped)
    slots = worker_overviews(conn, config, now=now, runs=runs)
    samples = utilization.newest(utilization.since(conn, now - _FRESH_SAMPLE_S))
    views = read_fleet(conn, config, inventory, now=now, stopped=stopped)
    return [_node_row(view, samples.get(view.name), _rate(view.name, slots), now) for view in views]


def _elo_row(rank: int, row: ratings.RatingRow, known: Mapping[str, int], champion: str | None) -> EloRow:
    digest, bar, search = row.participant.partition("|")
    is_model = bool(bar)
    return EloRow(
        Rank=rank,
        Model=clean(f"{row.variant} gen {known.get(digest, '?')} ({digest[:8]})" if is_model else digest, _CELL),
        Elo=round(row.elo, 1),
        StdErr=round(row.stderr, 1),
        WinRate=round(row.wins / row.games, 4) if row.games else 0.0,
        Games=row.games,
        Wins=row.wins,
        Losses=row.losses,
        Draws=row.draws,
        Config=row.variant,
        Champion=is_model and digest == champion,
        Digest=digest if is_model else None,
        Search=clean(search, _CELL) if is_model else None,
    )


def _node_row(view: HostView, sample: SampleRow | None, games_per_hour: float, now: float) -> NodeRow:
    gpus = () if sample is None else sample.gpus
    return NodeRow(
        Node=clean(view.name, _CELL),
        Status=view.status,
        Role=clean(",".join(view.roles), _CELL),
        CPU=None if sample is None else round(sample.cpu, 1),
        GPU=max((round(float(gpu.percent), 1) for gpu in gpus if gpu.percent is not None), default=None),
        GPUMemory=max(
            (round(100.0 * gpu.memory_used_mib / gpu.memory_total_mib, 1) for gpu in gpus if gpu.memory_total_mib),
            default=None,
        ),
        Memory=None if sample is None else round(sample.memory, 1),
        GamesPerHour=round(games_per_hour, 1),
        WorkersPlaying=view.workers_playing,
        WorkersAssigned=view.workers_assigned,
        Models=clean(generations(view.played), _CELL),
        WaitingGames=view.waiting_games,
        Failures=view.consecutive_failures,
        LastSeenSeconds=None if view.last_seen_at is None else round(max(0.0, now - view.last_seen_at), 1),
        LastError=None if view.last_error is None else clean(view.last_error, _CELL),
    )


def _rate(host: str, slots: Sequence[WorkerOverview]) -> float:
    playing = (slot for slot in slots if slot.host == host and slot.state == "playing")
    return sum((play.games_per_hour or 0.0 for slot in playing for play in slot.plays), start=0.0)
