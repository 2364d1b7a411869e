"""One cycle over all hosts: heartbeats and sealed segments in, champions out.

A host with nothing new costs one round trip (`visit.py`). One that fails is recorded with a growing pause, at most ten
minutes, and delays none of the others. What was pulled is ingested as it comes; segments leave a host only some time
after the ledger has them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from statistics import fmean

from msgspec import structs
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from ringrift_loop.cluster.agent.report import WorkerReport
from ringrift_loop.cluster.sync.budget import BUDGET, Account, Budget, OverBudgetError
from ringrift_loop.cluster.sync.ingest import (
    CheckedSegment,
    EngineReplayer,
    Ingested,
    Replayer,
    check_segment,
    ingest_checked,
    refuse_segment,
)
from ringrift_loop.cluster.sync.visit import Visit, visit_host
from ringrift_loop.cluster.transport.opening import HOSTS_AT_ONCE, Transports, open_transport
from ringrift_loop.cluster.transport.turns import described, host_failure
from ringrift_loop.errors import ConfigError, DataError, HostError, HostUnreachable
from ringrift_loop.json_value import JsonValue
from ringrift_loop.ledger import events, hosts, leases, promotions, quarantine, segments, state, utilization, workers
from ringrift_loop.ledger.utilization import SampleRow
from ringrift_loop.loop import Loop
from ringrift_loop.selfplay.heartbeat import Heartbeat, variant_plays
from ringrift_loop.selfplay.segments import SegmentName
from ringrift_loop.text import counted

_log = logging.getLogger(__name__)

LEASE = "data_sync"
_VISITS_AT_ONCE = 64  # visits that are taken in together
_GAMES_AT_ONCE = 1000  # in one transaction, and in memory, refused ones included
_KEPT_AT_ONCE_BYTES = 16 << 20  # of refused games' texts in memory
_WRITE_AFTER_S = 5.0  # of checking: what is done is written, whatever the rest costs
# What goes wrong with this machine's ledger or files is no host's fault.
_OURS = (OperationalError, OSError)
_LEASE_S = 30.0  # a killed cycle blocks the next one for no longer than a poll interval


@dataclass(frozen=True)
class HostSync:
    """What one visit brought."""

    host: str
    error: str | None = None
    next_attempt_at: float = 0.0
    games_new: int = 0
    games_known: int = 0
    games_quarantined: int = 0
    segments: int = 0
    size_bytes: int = 0
    waiting: int = 0  # sealed games left on the host until there are more of them, or they are older
    over: str | None = None  # what it ran out of in this cycle (`budget.py`)
    models_sent: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class SyncReport:
    """One cycle."""

    hosts: tuple[HostSync, ...]
    resting: tuple[str, ...]  # hosts not asked because their pause is not over
    new_by_variant: Mapping[str, int] = field(default_factory=dict)
    problems: tuple[str, ...] = ()  # faults of this machine, such as a damaged model file

    @property
    def games_new(self) -> int:
        """New games of all hosts."""
        return sum(host.games_new for host in self.hosts)

    @property
    def failed(self) -> list[HostSync]:
        """The visits that failed."""
        return [host for host in self.hosts if host.error is not None]

    def as_json(self) -> dict[str, JsonValue]:
        """The report for logs and XCom."""
        return {
            "games_new": self.games_new,
            "games_known": sum(host.games_known for host in self.hosts),
            "games_quarantined": sum(host.games_quarantined for host in self.hosts),
            "new_by_variant": dict(self.new_by_variant),
            "hosts_asked": len(self.hosts),
            "hosts_failed": {host.host: host.error for host in self.failed},
            "hosts_resting": list(self.resting),
            "over_budget": {host.host: host.over for host in self.hosts if host.over is not None},
            "models_sent": {host.host: list(host.models_sent) for host in self.hosts if host.models_sent},
            "problems": list(self.problems),
        }


def sync_once(
    loop: Loop,
    *,
    only: Collection[str] = (),
    replayer: Replayer | None = None,
    transports: Transports = open_transport,
    budget: Budget = BUDGET,
) -> SyncReport:
    """Visit every host that is due; take in what is new, send what is missing.

    Args:
        loop: the loop.
        only: names of enabled hosts to visit at once, due or not; none for all that are due.
        replayer: what checks a game; by default the rules engine.
        transports: how to reach a host.
        budget: what each host may use of this machine.

    Raises:
        ConfigError: `only` names a host that is not there or not enabled.
        NoCapacity: another cycle runs.
    """
    names = [host.name for host in loop.inventory.enabled]
    unknown = [name for name in only if name not in names]
    if unknown:
        raise ConfigError(f"no enabled host is named {', '.join(unknown)}; the hosts are {', '.join(names)}")
    with leases.hold(loop.ledger, LEASE, ttl_s=_LEASE_S, clock=loop.clock):
        report = asyncio.run(_sync(loop, only, replayer or EngineReplayer(), transports, budget))
    with loop.ledger.begin() as conn:
        if not only:  # a visit by hand is no cycle
            state.count_cycle(conn, at=loop.clock())
        seen = {host.host: host.waiting for host in report.hosts if host.error is None}
        state.note_waiting_games(conn, seen, at=loop.clock())
        if report.games_new:
            message = f"{counted(report.games_new, 'new game')} ({_counts(report.new_by_variant)})"
            events.record(conn, "sync", message, at=loop.clock(), data=report.as_json())
    return report


async def _sync(
    loop: Loop, only: Collection[str], replayer: Replayer, transports: Transports, budget: Budget
) -> SyncReport:
    at = loop.clock()
    with loop.ledger.begin() as conn:
        hosts.ensure(conn, loop.inventory.hosts)
        rows = {row.name: row for row in hosts.all_hosts(conn)}
        players = promotions.generators(conn)
        enabled = [host for host in loop.inventory.enabled if not only or host.name in only]
        due = [host for host in enabled if only or not hosts.rests(rows[host.name], at, loop.config.data_ingestion)]
        held = segments.held(conn, [host.name for host in due])
    gate = asyncio.Semaphore(HOSTS_AT_ONCE)
    finished: asyncio.Queue[asyncio.Task[Visit]] = asyncio.Queue()
    visits = []  # kept: the event loop itself forgets tasks
    for host in due:
        visit = visit_host(loop, host, held.get(host.name, ()), players, gate, transports, Account(host.name, budget))
        visits.append(asyncio.create_task(visit))
        visits[-1].add_done_callback(finished.put_nowait)
    done: list[HostSync] = []
    new: Counter[str] = Counter()
    problems: list[str] = []
    while len(done) < len(visits):
        # Those that ended while the last ones were taken in: the more hosts, the fewer transactions for each.
        batch = [(await finished.get()).result()]
        while not finished.empty() and len(batch) < _VISITS_AT_ONCE:
            batch.append(finished.get_nowait().result())
        # In a thread: the other hosts' transfers go on while games are replayed. One writer.
        for taken, result, ingested in await asyncio.to_thread(_take_in, loop, batch, replayer):
            done.append(result)
            for one in ingested:
                new.update(one.new_by_variant)
            if taken.problem is not None:
                problems.append(f"{taken.host.name}: {taken.problem}")
    done.sort(key=lambda host: host.host)
    names = {host.name for host in due}
    resting = tuple(host.name for host in enabled if host.name not in names)
    return SyncReport(tuple(done), resting, dict(new), tuple(problems))


def _take_in(
    loop: Loop, visits: Sequence[Visit], replayer: Replayer
) -> list[tuple[Visit, HostSync, Sequence[Ingested]]]:
    """Take in what was pulled, then write down how the visits went."""
    ingested = _ingest_all(loop, visits, replayer)
    at = loop.clock()
    with loop.ledger.begin() as conn:
        results = [_recorded(conn, loop, visit, ingested[visit.host.name], at) for visit in visits]
    for visit, result in zip(visits, results, strict=True):
        if result.over is not None:
            _log.warning("%s: %s", result.host, result.over)
        played = [played_at for one in ingested[visit.host.name] for played_at in one.played_at]
        _emit(loop, result, visit.error, [at - played_at for played_at in played])
    return [(visit, result, ingested[visit.host.name]) for visit, result in zip(visits, results, strict=True)]


def _ingest_all(loop: Loop, visits: Sequence[Visit], replayer: Replayer) -> dict[str, list[Ingested]]:
    """Take in what was pulled, by host; also when a visit broke off after it."""
    ingested: dict[str, list[Ingested]] = {visit.host.name: [] for visit in visits}
    checked: list[CheckedSegment] = []
    written_at = time.monotonic()
    for visit, path in _in_turn(visits):
        segment = _check(loop, visit, path, replayer)
        if segment is not None:
            checked.append(segment)
        if _many(checked) or time.monotonic() - written_at > _WRITE_AFTER_S:
            _write(loop, visits, checked, ingested)
            checked, written_at = [], time.monotonic()
    _write(loop, visits, checked, ingested)
    return ingested


def _in_turn(visits: Sequence[Visit]) -> Iterator[tuple[Visit, Path]]:
    """The pulled segments, one of each host after another: one with many of them does not keep the others waiting."""
    for paths in zip_longest(*(visit.pulled for visit in visits)):
        yield from ((visit, path) for visit, path in zip(visits, paths, strict=True) if path is not None)


def _check(loop: Loop, visit: Visit, path: Path, replayer: Replayer) -> CheckedSegment | None:
    """Check a segment at its host's expense; None when it has to wait."""
    name, account, epoch = visit.host.name, visit.account, path.name.partition("-")[0]
    if epoch in visit.stuck or account.over_while_checking:
        return None  # later ones wait, so that an epoch is always taken in without a gap
    if isinstance(replayer, EngineReplayer):
        replayer.load()
    fresh, at = account.fresh, loop.clock()
    try:
        return check_segment(name, path, at=at, replayer=replayer, account=account)
    except OverBudgetError as error:
        account.over, account.over_while_checking = str(error), True
        if not fresh and account.cpu_s > account.budget.cpu_s:
            return None  # many games, each of which may be in order
        visit.error = DataError(f"segment {path.name}: {error}")
        return refuse_segment(name, path, str(error), at=at) if fresh else None
    except Exception as error:  # noqa: BLE001 - see turns.py
        visit.error = host_failure(name, error)
        _log.error("%s: %s", name, described(visit.error))
        visit.stuck.add(epoch)
        return None


def _many(checked: Sequence[CheckedSegment]) -> bool:
    kept = sum(len(row.payload or "") for one in checked for row in one.refused)
    return kept >= _KEPT_AT_ONCE_BYTES or sum(len(one.good) + len(one.refused) for one in checked) >= _GAMES_AT_ONCE


def _write(
    loop: Loop, visits: Sequence[Visit], checked: Sequence[CheckedSegment], ingested: Mapping[str, list[Ingested]]
) -> None:
    """Take checked segments in together; when that fails, each host's alone, so that it fails for one of them only."""
    if not checked:
        return
    try:
        budget = visits[0].account.budget
        done = ingest_checked(loop.ledger, loop.directory, checked, at=loop.clock(), budget=budget)
    except _OURS:
        raise
    except Exception as error:  # noqa: BLE001 - see turns.py
        for visit in visits:
            own = [segment for segment in checked if segment.host == visit.host.name]
            if len(own) == len(checked):
                visit.error = host_failure(visit.host.name, error)
                return
            _write(loop, [visit], own, ingested)
        return
    for segment, one in zip(checked, done, strict=True):
        ingested[segment.host].append(one)


def _recorded(conn: Connection, loop: Loop, visit: Visit, ingested: Sequence[Ingested], at: float) -> HostSync:
    """Write down how the visit went; what cannot be written of it is the host's failure."""
    try:
        with conn.begin_nested():
            return _record(conn, loop, visit, ingested, at)
    except _OURS:
        raise
    except Exception as error:  # noqa: BLE001 - see turns.py
        visit.report, visit.refused, visit.error = None, [], host_failure(visit.host.name, error)
        return _record(conn, loop, visit, ingested, at)


def _record(conn: Connection, loop: Loop, visit: Visit, ingested: Sequence[Ingested], at: float) -> HostSync:
    """Write down how the visit went: contact or failure, heartbeats, segments that the host let go."""
    name = visit.host.name
    next_attempt = 0.0
    before = hosts.get(conn, name)
    if visit.report is not None:
        segments.release(conn, name, sorted(visit.report.gone), at=at)
        segments.reappeared(conn, name, visit.known)
        utilization.forget_later(conn, name, at)
        kept = []
        for worker in visit.report.workers:
            beat = _heartbeat(name, worker)
            if beat is not None:
                kept += [beat.duty] if worker.alive and beat.state == "playing" else []
                document = beat.as_json()
                _note_reload(conn, loop, name, worker.slot, document)
                workers.report(conn, name, worker.slot, document, at=at - (worker.heartbeat_age_s or 0.0))
        if visit.report.utilization is not None:
            taken = {one.name for one in ingested}
            left = [file.age_s for file in visit.due if str(file.name) not in taken]
            told = visit.report.utilization
            use = {
                **structs.asdict(told),
                "allowance": None if told.allowance is None else told.allowance.as_json(),
            }
            if kept:  # workers give way to their neighbours by themselves
                use["duty"] = fmean(kept)
            utilization.add(conn, SampleRow(name, at, **use, unsynced=len(left), unsynced_s=max(left, default=0.0)))
    refused = sum(one.quarantined for one in ingested)
    room = not visit.refused or quarantine.kept(conn, name) < visit.account.budget.quarantine_total_bytes
    for row in visit.refused if room else ():
        refused += SegmentName.parse(row.segment).records if quarantine.add(conn, row) else 0
    if refused:
        message = f"{counted(refused, 'game')} from {name} refused, damaged or not to be replayed; see the quarantine"
        events.record(conn, "quarantine", message, at=at)
    if visit.error is None:
        hosts.succeeded(conn, name, at=at)
        if before.consecutive_failures:
            events.record(conn, "host", f"{name} is back", at=at)
    else:
        ingestion = loop.config.data_ingestion
        poll_s, most_s = ingestion.poll_interval_seconds, ingestion.retry_max_backoff_seconds
        message = described(visit.error)
        next_attempt = hosts.failed(conn, name, message, at=at, poll_s=poll_s, max_backoff_s=most_s)
        if not before.consecutive_failures:
            events.record(conn, "host", f"{name} fails: {message}", at=at)
    return HostSync(
        host=name,
        error=None if visit.error is None else described(visit.error),
        next_attempt_at=next_attempt,
        games_new=sum(one.new for one in ingested),
        games_known=sum(one.known for one in ingested),
        games_quarantined=sum(one.quarantined for one in ingested),
        segments=len(ingested),
        size_bytes=visit.size_bytes,
        waiting=visit.waiting,
        over=visit.account.over,
        models_sent=tuple(visit.models_sent),
        seconds=visit.seconds,
    )


def _note_reload(conn: Connection, loop: Loop, host: str, slot: int, beat: Mapping[str, JsonValue]) -> None:
    """Measure how long a champion took to a worker that played the variant with another model at its last visit."""
    before = workers.heartbeat(conn, host, slot)
    if before is None or before.get("state") != "playing":
        return
    if any(before.get(key) != beat[key] for key in ("pid", "start_time")):
        return  # another worker, which has begun with the new model
    played = variant_plays(before)
    for variant, play in variant_plays(beat).items():
        if variant not in played or played[variant].model == play.model:
            continue
        champion = promotions.champion(conn, variant)
        if champion is not None and play.model == champion.model_digest:
            took_s = max(0.0, loop.clock() - champion.promoted_at)
            loop.metrics.observe("ringrift_promotion_to_worker_seconds", took_s, config=variant)


def _heartbeat(host: str, worker: WorkerReport) -> Heartbeat | None:
    if worker.heartbeat is None:
        return None
    try:
        return Heartbeat.parse(worker.heartbeat)
    except DataError as error:
        _log.warning("%s/%d: %s", host, worker.slot, described(error))
        return None


def _emit(loop: Loop, result: HostSync, error: Exception | None, latencies: Sequence[float]) -> None:
    metrics, host = loop.metrics, result.host
    metrics.incr("ringrift_games_synced_total", result.games_new, host=host)
    metrics.incr("ringrift_games_known_total", result.games_known, host=host)
    metrics.incr("ringrift_games_quarantined_total", result.games_quarantined, host=host)
    metrics.incr("ringrift_segments_synced_total", result.segments, host=host)
    metrics.incr("ringrift_sync_bytes_total", result.size_bytes, host=host)
    metrics.observe("ringrift_sync_duration_seconds", result.seconds, host=host)
    for latency in latencies:
        metrics.observe("ringrift_game_latency_seconds", max(0.0, latency), host=host)
    if error is not None:
        metrics.incr("ringrift_sync_errors_total", host=host, error_type=_kind(error))


def _kind(error: Exception) -> str:
    if isinstance(error, HostUnreachable):
        return "unreachable"
    if isinstance(error, HostError):
        return "remote"
    return "data" if isinstance(error, DataError) else "other"


def _counts(numbers: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(numbers.items()))
