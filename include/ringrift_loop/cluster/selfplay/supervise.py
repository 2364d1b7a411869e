"""Self-play workers: started where roles call for them, told what to play, drained, restarted, replaced when they hang.

Level-triggered: each pass compares which slots should play (`assignment.py`), and by which plan of variants, with what
the hosts report; a new plan costs no restart. Only processes that the loop started are ever signalled, by recorded pid
and start. Workers outlive the task that started them; `stop_all` ends those of this machine.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, field

from ringrift_loop import __version__
from ringrift_loop.cluster.agent.actions import PLAN, REPORT, START_WORKER, STOP_WORKER
from ringrift_loop.cluster.agent.report import ReportRequest, WorkerReport, worker_reports
from ringrift_loop.cluster.agent.requests import StartWorker, StopWorker
from ringrift_loop.cluster.agent.workers import stop_worker
from ringrift_loop.cluster.selfplay.assignment import Slot, playing
from ringrift_loop.cluster.transport.opening import HOSTS_AT_ONCE, Transports, local_directory, open_transport
from ringrift_loop.cluster.transport.protocol import Transport
from ringrift_loop.cluster.transport.turns import failure_in, sentence
from ringrift_loop.config.leaves import plain_section
from ringrift_loop.errors import DataError
from ringrift_loop.hosts.inventory import LOCAL, Host
from ringrift_loop.json_value import JsonValue
from ringrift_loop.layout import HostDirectory
from ringrift_loop.ledger import events, hosts, state, workers
from ringrift_loop.loop import Loop
from ringrift_loop.resources.api import selfplay_weights
from ringrift_loop.resources.rebalance import workers_allowed
from ringrift_loop.selfplay.heartbeat import Heartbeat
from ringrift_loop.selfplay.plan import Plan
from ringrift_loop.text import one_line

_log = logging.getLogger(__name__)

HOST_LIMIT_S = 30.0  # wall clock for one host
SILENT_S = 120.0  # a heartbeat comes every 5 s; older than this, the worker hangs
FIRST_BEAT_S = 300.0  # a new worker may have kernels to compile before its first heartbeat
DRAIN_LIMIT_S = 60.0  # told to finish so long ago and still there: killed
_LATELY_S = 86_400.0  # a disabled host that was seen within that time is told to end what plays there
_CHANGE_WAIT_S = 8.0  # a pass waits so long for a drained worker, to start its successor at once
_STOP_WAIT_S = 8.0  # of the 10 s that `stop_all` has
_POLL_S = 0.1
_REMOTE_POLL_S = 1.0  # each look starts a program on the host


@dataclass
class ReconcileReport:
    """What a pass found and did."""

    halted: bool
    desired: int = 0
    playing: int = 0  # live workers that were not told to end, after the pass
    told: list[str] = field(default_factory=list)  # hosts that got another plan
    started: list[str] = field(default_factory=list)
    draining: list[str] = field(default_factory=list)
    killed: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)  # host or slot -> what went wrong
    refused: dict[str, str] = field(default_factory=dict)  # hosts that get no work -> why
    resting: list[str] = field(default_factory=list)  # hosts not asked because their pause is not over

    def as_json(self) -> dict[str, JsonValue]:
        """The report for logs and XCom."""
        return asdict(self)


def reconcile(loop: Loop, *, transports: Transports = open_transport) -> ReconcileReport:
    """Make the hosts run the workers that inventory, weights and the halt switch call for."""
    desired, plan, report, reachable = _plan(loop)
    asyncio.run(_reconcile_all(loop, desired, plan, report, reachable, transports))
    with loop.ledger.begin() as conn:
        for word, slots in (("started", report.started), ("killed", report.killed)):
            for slot in slots:
                events.record(conn, "worker", f"worker {slot} {word}", at=loop.clock())
    return report


def stop_all(loop: Loop, *, wait_s: float = _STOP_WAIT_S) -> list[str]:
    """End every self-play worker of this machine's hosts: told to finish first, killed after `wait_s` seconds.

    Returns:
        The slots that had to be killed, as "host/slot".
    """
    folders = _local_folders(loop)
    alive = _alive(folders)
    for name, slot in alive:
        stop_worker(folders[name], slot, at=loop.clock())
    give_up = time.monotonic() + wait_s
    while (alive := _alive(folders)) and time.monotonic() < give_up:
        time.sleep(_POLL_S)
    for name, slot in alive:
        stop_worker(folders[name], slot, kill=True, at=loop.clock())
    return [f"{name}/{slot}" for name, slot in alive]


def all_slots(loop: Loop) -> list[Slot]:
    """Every self-play slot of the inventory's enabled hosts."""
    return [Slot(host.name, number) for host in loop.inventory.hosts.values() for number in range(host.slots)]


def _plan(loop: Loop) -> tuple[Sequence[Slot], Plan, ReconcileReport, list[Host]]:
    """Decide which slots play and by which plan, write the slots down, and say which hosts to ask."""
    at = loop.clock()
    with loop.ledger.begin() as conn:
        hosts.ensure(conn, loop.inventory.hosts)
        halted = state.halted(conn)
        allowed = workers_allowed(conn, loop.inventory)
        slots = playing(all_slots(loop), state.selfplay_share(conn))
        desired = [slot for slot in slots if slot.number < allowed[slot.host]]
        plan = Plan.by(selfplay_weights(conn, loop.config))
        for slot in desired:
            workers.assign(conn, slot.host, slot.number, at=at)
        for slot in {Slot(row.host, row.slot) for row in workers.all_workers(conn)} - set(desired):
            workers.unassign(conn, slot.host, slot.number)
        rows = hosts.all_hosts(conn)
        resting = {row.name for row in rows if hosts.rests(row, at, loop.config.data_ingestion)}
        # A disabled machine may be gone for good; what plays on one that was there lately is to end.
        lately = {row.name for row in rows if row.last_seen_at is not None and at - row.last_seen_at < _LATELY_S}
    report = ReconcileReport(halted, desired=0 if halted else len(desired))
    report.resting = [name for name in loop.inventory.hosts if name in resting]
    reachable = [
        host
        for host in loop.inventory.hosts.values()
        if (host.name not in resting if host.enabled or host.transport == LOCAL else host.name in lately)
    ]
    return ([] if halted else desired), plan, report, reachable


async def _reconcile_all(
    loop: Loop,
    desired: Sequence[Slot],
    plan: Plan,
    report: ReconcileReport,
    reachable: Iterable[Host],
    transports: Transports,
) -> None:
    gate = asyncio.Semaphore(HOSTS_AT_ONCE)

    async def one(host: Host) -> None:
        wanted = [slot.number for slot in desired if slot.host == host.name]

        async def turn() -> None:
            async with aclosing(transports(host, loop.directory)) as transport:
                await _HostPass(loop, host, transport, wanted, plan, report).run()

        async with gate:
            error = await failure_in(host.name, turn(), limit_s=HOST_LIMIT_S)
        if error is not None and not host.enabled and host.transport != LOCAL:
            _log.info("%s is disabled and does not answer: %s", host.name, sentence(error))
        elif error is not None:
            report.failed[host.name] = sentence(error)
            _log.error("%s: %s", host.name, report.failed[host.name])

    await asyncio.gather(*(one(host) for host in reachable))


class _HostPass:
    """One host's part of a pass."""

    def __init__(
        self,
        loop: Loop,
        host: Host,
        transport: Transport,
        wanted: Collection[int],
        plan: Plan,
        report: ReconcileReport,
    ) -> None:
        self._loop, self._host, self._transport = loop, host, transport
        self._wanted, self._plan, self._report = wanted, plan, report
        self._follows: Plan | None = None
        self._refusal: str | None = None

    async def run(self) -> None:
        """Tell the plan, stop what should not run, wait a little for what was drained, start what is missing."""
        found = await self._look()
        if self._refusal is not None:
            self._report.refused[self._host.name] = self._refusal
            _log.warning("%s gets no work: %s", self._host.name, self._refusal)
            self._wanted = ()  # what runs there is drained
        if self._wanted and self._follows != self._plan:
            await self._transport.call(PLAN, self._plan)
            self._report.told.append(self._host.name)
        changing = [worker.slot for worker in found.values() if await self._stop(worker)]
        give_up = asyncio.get_running_loop().time() + _CHANGE_WAIT_S
        while any(found[slot].alive for slot in changing) and asyncio.get_running_loop().time() < give_up:
            await asyncio.sleep(_POLL_S if self._host.transport == LOCAL else _REMOTE_POLL_S)
            found = await self._look()
        for slot in self._wanted:
            await self._start(slot, found.get(slot))

    async def _look(self) -> dict[int, WorkerReport]:
        report = await self._transport.call(REPORT, ReportRequest())
        self._refusal, self._follows = version_refusal(self._host, report.version), report.plan
        return {worker.slot: worker for worker in report.workers}

    async def _stop(self, worker: WorkerReport) -> bool:
        """Drain or kill a worker that should not go on; returns whether its slot is to be filled again."""
        name = f"{self._host.name}/{worker.slot}"
        if worker.problem is not None:
            self._report.failed[name] = one_line(worker.problem)
        if not worker.alive:
            return False
        why = reason_to_kill(worker)
        if why is not None:
            _log.warning("worker %s is killed: %s", name, why)
            await self._transport.call(STOP_WORKER, StopWorker(worker.slot, kill=True))
            self._report.killed.append(f"{name} ({why})")
        elif worker.slot not in self._wanted or worker.variant is not None:  # of a version before plans
            if worker.stop_requested_s is None:
                await self._transport.call(STOP_WORKER, StopWorker(worker.slot))
            self._report.draining.append(name)
        else:
            return False
        return worker.slot in self._wanted

    async def _start(self, slot: int, worker: WorkerReport | None) -> None:
        if worker is not None and worker.alive:
            self._report.playing += worker.stop_requested_s is None
            return
        if worker is not None and worker.problem is not None:
            return  # a process of ours may run there unseen
        name = f"{self._host.name}/{slot}"
        settings = plain_section(self._loop.config.selfplay)
        await self._transport.call(START_WORKER, StartWorker(self._host.name, slot, settings))
        why = None if worker is None else reason_of_failure(worker)
        self._report.started.append(name if why is None else f"{name}, which had {why}")
        self._report.playing += 1
        reason = "first" if worker is None else "restart"
        self._loop.metrics.incr("ringrift_worker_starts_total", host=self._host.name, reason=reason)


def version_refusal(host: Host, theirs: str) -> str | None:
    """Why a host's program gets no work, or None when it is of this version.

    Its games are collected all the same, as long as its reports can be read.
    """
    if theirs == __version__:
        return None
    return f"ringrift-loop {theirs} runs there, this is {__version__}: ringrift-loop deploy --host {host.name}"


def reason_to_kill(worker: WorkerReport) -> str | None:
    """Why a live worker will not end by itself, or None when it is well."""
    if worker.stop_requested_s is not None:
        late = worker.stop_requested_s > DRAIN_LIMIT_S
        return f"asked to finish {worker.stop_requested_s:.0f} s ago" if late else None
    age = worker.age_s or 0.0
    beat = worker.heartbeat_age_s
    if beat is None or beat > age:  # the file is an earlier worker's
        return f"no heartbeat in the {age:.0f} s since its start" if age > FIRST_BEAT_S else None
    return f"last heartbeat {beat:.0f} s ago" if beat > SILENT_S else None


def reason_of_failure(worker: WorkerReport) -> str | None:
    """`failed: ` and what a worker that has ended wrote last, if it ended by an error."""
    if worker.alive or worker.heartbeat is None:
        return None
    try:
        beat = Heartbeat.parse(worker.heartbeat)
    except DataError:
        return None
    return f"failed: {one_line(beat.last_error or 'no reason is known')}" if beat.state == "failed" else None


def _local_folders(loop: Loop) -> dict[str, HostDirectory]:
    """The folders of this machine's hosts: those of the inventory, and embedded ones that it no longer names."""
    known = [host for host in loop.inventory.hosts.values() if host.transport == LOCAL]
    folders = {host.name: local_directory(host, loop.directory) for host in known}
    embedded = loop.directory.embedded_host("any").parent
    for folder in embedded.iterdir() if embedded.is_dir() else ():
        folders.setdefault(folder.name, HostDirectory(folder))
    return folders


def _alive(folders: Mapping[str, HostDirectory]) -> list[tuple[str, int]]:
    return [
        (name, worker.slot) for name, folder in folders.items() for worker in worker_reports(folder) if worker.alive
    ]
