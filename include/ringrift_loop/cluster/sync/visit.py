"""One host's turn in a sync cycle: a round trip, then pulls and pushes if there is anything to move.

`cycle.py` runs the visits of all hosts and takes in what they pulled; `budget.py` says how much that may be.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from ringrift_loop.cluster.agent.actions import REPORT
from ringrift_loop.cluster.agent.report import HostReport, ReportRequest, SealedFile
from ringrift_loop.cluster.sync.budget import Account
from ringrift_loop.cluster.sync.distribute import bring_models
from ringrift_loop.cluster.transport.opening import Transports
from ringrift_loop.cluster.transport.protocol import DISK_FULL, Transport, part_of
from ringrift_loop.cluster.transport.turns import failure_in
from ringrift_loop.config import DataIngestion
from ringrift_loop.errors import ModelError, RemoteJobFailed
from ringrift_loop.hosts.inventory import SELFPLAY, Host
from ringrift_loop.ledger import segments
from ringrift_loop.ledger.promotions import Champion
from ringrift_loop.ledger.quarantine import QuarantineRow
from ringrift_loop.ledger.segments import HeldSegment
from ringrift_loop.loop import Loop
from ringrift_loop.selfplay.segments import MAX_SEGMENT_BYTES
from ringrift_loop.text import one_line

_log = logging.getLogger(__name__)

GRACE_S = 600.0  # a segment stays on its host for so long after the ledger has it
_PULLED_AT_ONCE = 16  # a visit that is cut off keeps what came before
_TOO_LARGE_AT_ONCE = 20  # listed segments that are quarantined unseen in one visit


@dataclass
class Visit:
    """A visit under way; filled in step by step."""

    host: Host
    account: Account
    report: HostReport | None = None
    known: list[str] = field(default_factory=list)  # listed segments that were taken in before
    pulled: list[Path] = field(default_factory=list)
    refused: list[QuarantineRow] = field(default_factory=list)  # segments that are not even fetched
    size_bytes: int = 0
    waiting: int = 0  # sealed games left on the host for now
    due: list[SealedFile] = field(default_factory=list)  # segments that were to come in this visit, or sooner
    models_sent: list[str] = field(default_factory=list)
    stuck: set[str] = field(default_factory=set)  # epochs of which a segment has to wait, and so the later ones
    error: Exception | None = None
    problem: str | None = None  # a fault of this machine
    seconds: float = 0.0


async def visit_host(
    loop: Loop,
    host: Host,
    held: Sequence[HeldSegment],
    champions: Mapping[str, Champion],
    gate: asyncio.Semaphore,
    transports: Transports,
    account: Account,
) -> Visit:
    """Ask a host, pull its new segments and bring it the champions; never raises what a host can cause."""
    visit = Visit(host, account)

    async def turn() -> None:
        async with aclosing(transports(host, loop.directory)) as transport:
            visit.report = await transport.call(REPORT, _request(loop, held))
            await _pull(loop, transport, visit)
            if SELFPLAY in host.roles:
                visit.models_sent = await bring_models(transport, visit.report, champions, loop.directory)

    async with gate:
        started = asyncio.get_running_loop().time()
        error = await failure_in(host.name, turn(), limit_s=account.budget.visit_s)
        visit.seconds = asyncio.get_running_loop().time() - started
    if isinstance(error, ModelError):
        _log.error("%s cannot be sent a champion: %s", host.name, error)
        visit.problem = str(error)  # our own copy is at fault, not the host
    elif isinstance(error, OSError) and error.errno in DISK_FULL:  # a host's own full disk is a RemoteJobFailed
        _log.error("no room here for what %s sends: %s", host.name, error)
        visit.problem = f"the disk of the run directory is full: {error}"
    else:
        visit.error = error
    return visit


def _request(loop: Loop, held: Sequence[HeldSegment]) -> ReportRequest:
    """Name what the ledger has; ask to delete what it has had for long enough.

    The last segment of each epoch stays: it tells a restarted worker that its journal was sealed.
    """
    last = {segment.epoch: segment.name for segment in held}  # they come in the order of seq
    over = loop.clock() - GRACE_S
    delete = frozenset(one.name for one in held if one.ingested_at <= over and one.name != last[one.epoch])
    full = loop.config.data_ingestion.sync_method == "full"
    return ReportRequest(frozenset(one.name for one in held), delete, list_all=full, measure=True)


async def _pull(loop: Loop, transport: Transport, visit: Visit) -> None:
    assert visit.report is not None
    if visit.report.refused:
        names = one_line(", ".join(visit.report.refused))
        _log.warning("%s: not segments, though they lie among them: %s", visit.host.name, names)
    if not visit.report.sealed:
        return
    with loop.ledger.read() as conn:
        known = segments.known_names(conn, visit.host.name, [str(file.name) for file in visit.report.sealed])
    visit.known = sorted(known)
    # By name: a host may list one twice.
    unknown = {name: file for file in visit.report.sealed if (name := str(file.name)) not in known}
    new = [file for file in unknown.values() if file.size_bytes <= MAX_SEGMENT_BYTES]
    for name, file in unknown.items():
        if file.size_bytes > MAX_SEGMENT_BYTES and len(visit.refused) < _TOO_LARGE_AT_ONCE:
            reason = f"it has {file.size_bytes} bytes and was left on the host; at most {MAX_SEGMENT_BYTES} are taken"
            visit.refused.append(QuarantineRow(visit.host.name, name, None, None, reason, None, loop.clock()))
    chosen = visit.account.fetched(new)
    into = loop.directory.incoming / visit.host.name
    _clear(into, chosen)
    if not worth_a_pull(new, loop.config.data_ingestion, loop.config.selfplay.segment_seconds):
        visit.waiting = sum(file.name.records for file in new)
        return
    visit.due = new
    for first in range(0, len(chosen), _PULLED_AT_ONCE):
        part = chosen[first : first + _PULLED_AT_ONCE]
        # What a cut-off visit left there is whole, or it would have no name.
        await transport.pull([file for file in part if not (into / str(file.name)).exists()], into)
        for file in part:
            await _check(transport, file, into / str(file.name))
            visit.pulled.append(into / str(file.name))
            visit.size_bytes += file.size_bytes


def _clear(folder: Path, awaited: Sequence[SealedFile]) -> None:
    """Remove what killed or stopped cycles left of segments that are not fetched in this one."""
    if not folder.is_dir():
        return
    names = {str(file.name) for file in awaited}
    keep = names | {part_of(folder, name).name for name in names}
    for path in folder.iterdir():
        if path.name not in keep:
            path.unlink()


async def _check(transport: Transport, file: SealedFile, path: Path) -> None:
    """Compare the digest; pull again when it is wrong.

    The same wrong digest twice means damage on the host: ingest quarantines the segment. Otherwise the way is at fault.
    """
    first = _digest(path)
    if first[:16] == file.name.sha16:
        return
    path.unlink()
    await transport.pull([file], path.parent)
    second = _digest(path)
    if second[:16] != file.name.sha16 and second != first:
        path.unlink()
        raise RemoteJobFailed(f"segment {file.name} arrived damaged twice, and not in the same way")


def worth_a_pull(new: Sequence[SealedFile], config: DataIngestion, segment_seconds: float) -> bool:
    """Whether a host's sealed games should be fetched now: enough of them, or one that would wait too long otherwise.

    Args:
        new: segments that the ledger does not have.
        config: `min_games_per_sync`, `max_age_seconds` and the poll interval.
        segment_seconds: how old a game may be when its segment is sealed, s.
    """
    if sum(file.name.records for file in new) >= config.min_games_per_sync:
        return True
    # Left alone now, it is looked at again one poll interval later.
    latest = config.max_age_seconds - config.poll_interval_seconds - segment_seconds
    return any(file.age_s >= latest for file in new)


def _digest(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()
