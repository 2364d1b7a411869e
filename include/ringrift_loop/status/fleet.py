"""The hosts as the ledger last saw them: contact, failures, workers, and which generations they play with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from ringrift_loop.config import LoopConfig
from ringrift_loop.hosts.inventory import FOR_PEOPLE, LOCAL, Inventory
from ringrift_loop.ledger import hosts, state
from ringrift_loop.status.overview import HOST_FAILED_AFTER, loop_runs, worker_errors, worker_overviews


@dataclass(frozen=True)
class PlayedModel:
    """Workers that play the same variant with the same generation; one that plays several in turns counts for each."""

    variant: str
    generation: int  # 0: before the variant's first, the heuristic or another variant's champion
    behind: bool  # it is not the champion's
    workers: int


@dataclass(frozen=True)
class HostView:
    """One host of the inventory. Times are UTC seconds."""

    name: str
    transport: str
    address: str
    roles: tuple[str, ...]
    enabled: bool
    last_seen_at: float | None
    consecutive_failures: int
    next_attempt_at: float  # 0: in the next cycle
    last_error: str | None
    workers_assigned: int
    workers_playing: int
    played: tuple[PlayedModel, ...]
    worker_errors: tuple[str, ...]  # a sentence for each slot whose worker failed
    waiting_games: int | None  # sealed games left there at the last visit; None: not known
    suspicion: str | None = None  # why its games are held back from training
    for_people: tuple[str, ...] = ()  # what the inventory says of it and nothing is decided by, such as `cpus 64`

    @property
    def status(self) -> str:
        """`online`, `failing` (three failures in a row), `retrying`, `new` or `disabled`."""
        if not self.enabled:
            return "disabled"
        if self.consecutive_failures:
            return "failing" if self.consecutive_failures >= HOST_FAILED_AFTER else "retrying"
        return "new" if self.last_seen_at is None else "online"


def read_fleet(
    conn: Connection, config: LoopConfig, inventory: Inventory, *, now: float, stopped: bool = False
) -> list[HostView]:
    """Every host of the inventory, in its order; `stopped` says that the loop is known not to run."""
    rows = {row.name: row for row in hosts.all_hosts(conn)}
    runs = loop_runs(conn, config, now=now, stopped=stopped)
    slots = worker_overviews(conn, config, now=now, runs=runs)
    waiting = state.waiting_games(conn)
    views = []
    for host in inventory.hosts.values():
        row = rows.get(host.name, hosts.HostRow(host.name, None, 0, 0.0, None, 0))
        own = [slot for slot in slots if slot.host == host.name]
        playing = [slot for slot in own if slot.state == "playing"]
        models = Counter((play.variant, play.generation, play.behind) for slot in playing for play in slot.plays)
        views.append(
            HostView(
                name=host.name,
                transport=host.transport,
                address="this machine" if host.transport == LOCAL else host.address,
                roles=tuple(sorted(host.roles)),
                enabled=host.enabled,
                last_seen_at=row.last_seen_at,
                consecutive_failures=row.consecutive_failures,
                next_attempt_at=row.next_attempt_at,
                last_error=row.last_error,
                workers_assigned=len(own),
                workers_playing=len(playing),
                played=tuple(PlayedModel(*key, workers=number) for key, number in sorted(models.items())),
                worker_errors=worker_errors(own),
                waiting_games=waiting.get(host.name),
                suspicion=row.suspicion if row.suspected_at is not None else None,
                for_people=tuple(f"{key} {value}" for key in FOR_PEOPLE if (value := getattr(host, key)) is not None),
            )
        )
    return views


def generations(played: Iterable[PlayedModel]) -> str:
    """`gen 3 x2, gen 2 x1 (behind)`, the newest first; variants are taken together."""
    counts: Counter[tuple[int, bool]] = Counter()
    for model in played:
        counts[model.generation, model.behind] += model.workers
    newest_first = sorted(counts.items(), key=lambda item: (-item[0][0], item[0][1]))
    return ", ".join(
        f"gen {generation} x{number}{' (behind)' if behind else ''}" for (generation, behind), number in newest_first
    )


def by_variant(views: Sequence[HostView]) -> dict[str, str]:
    """The generations of the whole fleet, a text for each variant that is played."""
    models = [model for view in views for model in view.played]
    names = dict.fromkeys(sorted(model.variant for model in models))
    return {name: generations(model for model in models if model.variant == name) for name in names}
