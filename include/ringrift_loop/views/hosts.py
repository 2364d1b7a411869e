"""The machines and what they do: load against its band, workers, failures with a remedy, lag, jobs and their logs.

`read_hosts` is the whole page but for details, `read_workers` one host's workers, `read_load` the machines' last hour.
All of it is what the ledger and the run directory have; nothing here contacts a host.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType

from sqlalchemy import Connection, select

from ringrift_loop.config.schema import LoopConfig
from ringrift_loop.hosts.inventory import Inventory
from ringrift_loop.layout import LEDGER_NAME, RunDirectory, checked_name
from ringrift_loop.ledger import jobs, resources, utilization
from ringrift_loop.ledger.jobs import CANCELLED, FAILED, UNREACHABLE, JobRow
from ringrift_loop.ledger.schema import utilization_samples
from ringrift_loop.ledger.utilization import SampleRow
from ringrift_loop.machine.bounded_log import Tail, read_tail
from ringrift_loop.resources.bands import cpu_band
from ringrift_loop.resources.decision import MachineSample, machine_samples
from ringrift_loop.resources.rebalance import targets_of
from ringrift_loop.status.fleet import HostView, read_fleet
from ringrift_loop.status.overview import WorkerOverview, loop_runs, worker_overviews
from ringrift_loop.text import clean, clean_lines

FRESH_S = 300.0
"""A sample older than this says nothing about the present load."""
LOAD_S = 3600.0
_LOAD_POINTS = 60
_MOST_MACHINES = 40
_MOST_JOBS = 20
_SENTENCE = 2000
_JOB_REMEDIES: Mapping[str, str] = MappingProxyType(
    {
        "retryable": "nothing: its task tries again by itself",
        "out_of_memory": "give it less to do at once, or raise resource_targets.job_memory_gb; then clear its task",
        "data": "look at what it was given and what it left; the same would fail the same way",
        "code": "read the end of its log, correct what it runs, then clear its task",
    }
)


@dataclass(frozen=True)
class MachineLine:
    """One machine with all hosts on it; percentages are of the machine."""

    id: str
    hosts: tuple[str, ...]
    at: float
    """When it was measured, UTC seconds."""
    cpu: float
    workers: float
    """Of that, self-play workers."""
    jobs: float
    """Of that, jobs of the loop and the loop itself."""
    strangers: float
    """Of that, everything else."""
    zone: str
    """Where `cpu` stands: `below`, `optimal`, `above` or `critical`."""
    low: float
    target: float
    high: float
    critical: float
    memory: float
    memory_max: float
    disk: float | None
    gpu: float | None
    """Of its busiest GPU."""
    gpu_memory: float | None
    """Of its fullest GPU."""
    duty: float
    """Share of their time in which its workers compute, 0 to 1."""
    action: str | None
    """The last decision; None before the first."""
    reason: str | None
    decided_at: float | None


@dataclass(frozen=True)
class HostLine:
    """One host of the inventory. Times are UTC seconds."""

    name: str
    address: str
    transport: str
    roles: tuple[str, ...]
    status: str
    """`online`, `failing` (three failures in a row), `retrying`, `new` or `disabled`."""
    last_seen_at: float | None
    failures: int
    """In a row."""
    next_attempt_at: float
    """Not asked before; 0: in the next cycle."""
    error: str | None
    """The last one, while it fails; or why its games are held back from training."""
    remedy: str | None
    """What to do about it."""
    workers_assigned: int
    workers_playing: int
    games_per_hour: float
    """As its workers that play report."""
    played: tuple[PlayedLine, ...]
    worker_errors: tuple[str, ...]
    waiting_games: int | None
    """Sealed games left there at the last visit; None: not known."""
    unsynced: int | None
    """Segments that were due and are still there after the last visit."""
    lag_s: float | None
    """Age of the oldest of them."""
    late: bool
    """The lag is longer than `data_ingestion.max_age_seconds` and two polls."""
    machine: str | None
    notes: tuple[str, ...]
    """What the inventory says of it for people, such as `cpus 64`."""


@dataclass(frozen=True)
class PlayedLine:
    """Workers that play a variant with the same generation."""

    variant: str
    generation: int
    behind: bool
    """It is not the champion's."""
    workers: int


@dataclass(frozen=True)
class JobLine:
    """A job that runs detached on a host. Times are UTC seconds."""

    id: str
    role: str
    host: str
    gpus: tuple[int, ...]
    state: str
    """`placed`, `running`, `unreachable`, `succeeded`, `failed` or `cancelled`."""
    active: bool
    attempt: int
    placed_at: float
    last_contact_at: float
    ended_at: float | None
    error: str | None
    remedy: str | None


@dataclass(frozen=True)
class HostsView:
    """Everything that works for the loop."""

    at: float
    runs: bool
    machines: tuple[MachineLine, ...]
    hosts: tuple[HostLine, ...]
    """In the order of the inventory."""
    jobs: tuple[JobLine, ...]
    """Those that may run, then the last that ended."""
    games_per_hour: float
    """Of all workers that play."""


@dataclass(frozen=True)
class WorkerLine:
    """One worker slot."""

    slot: int
    state: str
    variant: str | None
    """At play then."""
    plays: tuple[WorkerPlay, ...]
    error: str | None


@dataclass(frozen=True)
class WorkerPlay:
    """One variant that a worker plays in turns."""

    variant: str
    generation: int
    games_per_hour: float
    behind: bool


@dataclass(frozen=True)
class LoadPoint:
    """A minute of a machine, percent of it."""

    at: float
    cpu: float
    own: float
    """Of that, the loop's workers and jobs."""


@dataclass(frozen=True)
class MachineLoad:
    """One machine's last hour, oldest first."""

    machine: str
    points: tuple[LoadPoint, ...]


def read_hosts(
    conn: Connection, config: LoopConfig, inventory: Inventory, *, now: float, stopped: bool = False
) -> HostsView:
    """Machines, hosts and jobs as last heard of; arguments as for `read_fleet`."""
    runs = loop_runs(conn, config, now=now, stopped=stopped)
    newest = utilization.newest(utilization.since(conn, now - FRESH_S))
    slots = worker_overviews(conn, config, now=now, runs=runs)
    rates = _rates(slots)
    views = read_fleet(conn, config, inventory, now=now, stopped=stopped)
    hosts = tuple(_host(view, newest.get(view.name), rates.get(view.name, 0.0), config) for view in views)
    decisions = resources.decisions(conn)
    known = [sample for name, sample in newest.items() if name in inventory.hosts]
    return HostsView(
        at=now,
        runs=runs,
        machines=tuple(
            _machine(sample, decisions.get(sample.machine), config, inventory) for sample in machine_samples(known)
        ),
        hosts=hosts,
        jobs=tuple(_jobs(conn)),
        games_per_hour=round(sum(rates.values()), 1),
    )


def read_workers(
    conn: Connection, config: LoopConfig, host: str, *, now: float, stopped: bool = False
) -> tuple[WorkerLine, ...]:
    """The worker slots of one host, by number."""
    runs = loop_runs(conn, config, now=now, stopped=stopped)
    return tuple(
        WorkerLine(
            slot=each.slot,
            state=each.state,
            variant=each.variant,
            plays=tuple(WorkerPlay(one.variant, one.generation, one.games_per_hour, one.behind) for one in each.plays),
            error=None if each.error is None else clean(each.error),
        )
        for each in worker_overviews(conn, config, now=now, runs=runs)
        if each.host == host
    )


def read_load(conn: Connection, *, now: float) -> tuple[MachineLoad, ...]:
    """The last hour of at most forty machines, a point a minute; hosts of one machine are one."""
    own = utilization_samples.c
    query = (
        select(own.machine, own.host, own.at, own.cpu, own.workers, own.jobs, own.control)
        .where(own.at >= now - LOAD_S)
        .order_by(own.at)
    )
    minutes: dict[str, dict[int, dict[str, tuple[float, float, float]]]] = defaultdict(lambda: defaultdict(dict))
    step = LOAD_S / _LOAD_POINTS
    for machine, host, at, cpu, workers, jobs_, control in conn.execute(query):
        minutes[machine][int(at // step)][host] = cpu, workers + jobs_, control
    return tuple(
        MachineLoad(
            machine, tuple(_point(minute * step, list(told.values())) for minute, told in sorted(of_machine.items()))
        )
        for machine, of_machine in sorted(minutes.items())[:_MOST_MACHINES]
    )


def read_job_log(directory: RunDirectory, job_id: str, *, after: str = "") -> Tail:
    """The end of what was heard of a job's log.

    Raises:
        ConfigError: the text is no job's id.
    """
    checked_name(job_id, "a job's id", LEDGER_NAME)
    tail = read_tail(directory.job_log(job_id), after=after)
    return tail if tail.text is None else Tail(clean_lines(tail.text, len(tail.text)), tail.token, tail.changed_at)


def _point(at: float, told: Sequence[tuple[float, float, float]]) -> LoadPoint:
    """Each host of a machine sees the same machine and the same launch, and its own workers and jobs."""
    cpu = sum(each[0] for each in told) / len(told)
    own = sum(each[1] for each in told) + max(each[2] for each in told)
    return LoadPoint(at, round(cpu, 1), round(min(cpu, own), 1))


def _machine(
    sample: MachineSample, decision: resources.DecisionRow | None, config: LoopConfig, inventory: Inventory
) -> MachineLine:
    targets = targets_of(config, inventory, sample.hosts)
    band = cpu_band(targets)
    own = min(sample.cpu, sample.workers + sample.jobs)
    return MachineLine(
        id=clean(sample.machine),
        hosts=sample.hosts,
        at=sample.at,
        cpu=round(sample.cpu, 1),
        workers=round(sample.workers, 1),
        jobs=round(max(0.0, own - sample.workers), 1),
        strangers=round(sample.strangers, 1),
        zone=band.zone(sample.cpu).value,
        **asdict(band),
        memory=round(sample.memory, 1),
        memory_max=targets.memory_max,
        disk=sample.disk,
        gpu=sample.gpu,
        gpu_memory=sample.gpu_memory,
        duty=sample.duty if decision is None else decision.duty,
        action=None if decision is None else decision.action,
        reason=None if decision is None else clean(decision.reason, _SENTENCE),
        decided_at=None if decision is None else decision.at,
    )


def _host(view: HostView, sample: SampleRow | None, games_per_hour: float, config: LoopConfig) -> HostLine:
    lag_s = None if sample is None else sample.unsynced_s if sample.unsynced else 0.0
    allowed_s = config.data_ingestion.max_age_seconds + 2 * config.data_ingestion.poll_interval_seconds
    late = lag_s is not None and lag_s > allowed_s
    return HostLine(
        name=clean(view.name),
        address=clean(view.address),
        transport=view.transport,
        roles=view.roles,
        status=view.status,
        last_seen_at=view.last_seen_at,
        failures=view.consecutive_failures,
        next_attempt_at=view.next_attempt_at,
        error=_error(view),
        remedy=_remedy(view, late=late),
        workers_assigned=view.workers_assigned,
        workers_playing=view.workers_playing,
        games_per_hour=round(games_per_hour, 1),
        played=tuple(PlayedLine(each.variant, each.generation, each.behind, each.workers) for each in view.played),
        worker_errors=tuple(clean(error) for error in view.worker_errors),
        waiting_games=view.waiting_games,
        unsynced=None if sample is None else sample.unsynced,
        lag_s=lag_s,
        late=late,
        machine=None if sample is None else clean(sample.machine),
        notes=tuple(clean(note) for note in view.for_people),
    )


def _error(view: HostView) -> str | None:
    if view.last_error is not None:
        return clean(view.last_error, _SENTENCE)
    return None if view.suspicion is None else clean(f"held back from training: {view.suspicion}", _SENTENCE)


def _remedy(view: HostView, *, late: bool) -> str | None:
    """What to type, as `ringrift-loop doctor` says it."""
    name = clean(view.name)
    if view.status in ("failing", "retrying"):
        return f"ringrift-loop doctor --host {name}; once fixed: ringrift-loop hosts reset {name}"
    if view.suspicion is not None:
        return f"see what it runs and plays with; once it is in order: ringrift-loop hosts trust {name}"
    if view.status == "new" or late:
        return f"ringrift-loop sync --host {name}"
    return f"ringrift-loop doctor --host {name}" if view.worker_errors else None


def _rates(slots: Iterable[WorkerOverview]) -> dict[str, float]:
    """Games an hour by host."""
    rates: dict[str, float] = {}
    for slot in slots:
        if slot.state == "playing":
            rates[slot.host] = rates.get(slot.host, 0.0) + sum(play.games_per_hour for play in slot.plays)
    return rates


def _jobs(conn: Connection) -> list[JobLine]:
    active = sorted(jobs.active(conn), key=lambda row: -row.placed_at)
    ended = [row for row in jobs.all_jobs(conn, limit=_MOST_JOBS + len(active)) if not row.active]
    return [_job(row) for row in [*active, *ended][: max(_MOST_JOBS, len(active))]]


def _job(row: JobRow) -> JobLine:
    failure = row.failure or {}
    said = failure.get("message")
    return JobLine(
        id=row.id,
        role=row.role,
        host=clean(row.host),
        gpus=tuple(row.gpus),
        state=row.state,
        active=row.active,
        attempt=row.attempt,
        placed_at=row.placed_at,
        last_contact_at=row.last_contact_at,
        ended_at=row.ended_at,
        error=None if said is None else clean(str(said), _SENTENCE),
        remedy=_job_remedy(row, str(failure.get("failure_class", ""))),
    )


def _job_remedy(row: JobRow, failure_class: str) -> str | None:
    if row.state == UNREACHABLE:
        ends = f"it ends by itself {row.fence_s:.0f} s after its host last heard from us"
        return f"ringrift-loop doctor --host {clean(row.host)}; {ends}"
    if row.state == FAILED:
        return _JOB_REMEDIES.get(failure_class)
    return "clear its task to run it again" if row.state == CANCELLED else None
