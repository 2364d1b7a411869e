"""One host's turn in a sync cycle: a round trip, then pulls and pushes if there is anything to move.

`sync.py` runs the visits of all hosts and takes in what they pulled.
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
from ringrift_loop.cluster.sync.distribute import bring_models
from ringrift_loop.cluster.transport.opening import Transports
from ringrift_loop.cluster.transport.protocol import DISK_FULL, Transport, part_of
from ringrift_loop.config import DataIngestion
from ringrift_loop.errors import DataError, HostUnreachable, LoopError, ModelError, RemoteJobFailed
from ringrift_loop.hosts.inventory import SELFPLAY, Host
from ringrift_loop.ledger import segments
from ringrift_loop.ledger.promotions import Champion
from ringrift_loop.ledger.segments import HeldSegment
from ringrift_loop.loop import Loop
from ringrift_loop.selfplay.segments import MAX_SEGMENT_BYTES

_log = logging.getLogger(__name__)

HOST_LIMIT_S = 60.0  # wall clock for one host's round trip, pulls and pushes
GRACE_S = 600.0  # a segment stays on its host for so long after the ledger has it
PULL_LIMIT_BYTES = 256 << 20  # per host and cycle; the rest follows in the next one
PULL_LIMIT_FILES = 200
_PULLED_AT_ONCE = 16  # a visit that is cut off keeps what came before


@dataclass
class Visit:
    """A visit under way; filled in step by step."""

    host: Host
    report: HostReport | None = None
    pulled: list[Path] = field(default_factory=list)
    size_bytes: int = 0
    waiting: int = 0  # sealed games left on the host for now
    models_sent: list[str] = field(default_factory=list)
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
) -> Visit:
    """Ask a host, pull its new segments and bring it the champions; never raises what a host can cause."""
    visit = Visit(host)
    async with gate:
        started = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(HOST_LIMIT_S), aclosing(transports(host, loop.directory)) as transport:
                visit.report = await transport.call(REPORT, _request(loop, held))
                await _pull(loop, transport, visit)
                if SELFPLAY in host.roles:
                    visit.models_sent = await bring_models(transport, visit.report, champions, loop.directory)
        except ModelError as error:
            _log.error("%s cannot be sent a champion: %s", host.name, error)
            visit.problem = str(error)  # our own copy is at fault, not the host
        except TimeoutError:
            visit.error = HostUnreachable(f"not done within {HOST_LIMIT_S:.0f} s")
        except OSError as error:
            if error.errno in DISK_FULL:  # a host's own full disk is a RemoteJobFailed
                _log.error("what %s sends finds no room here: %s", host.name, error)
                visit.problem = f"the disk of the run directory is full: {error}"
            else:
                visit.error = error
        except LoopError as error:
            visit.error = error
        visit.seconds = asyncio.get_running_loop().time() - started
    return visit


def _request(loop: Loop, held: Sequence[HeldSegment]) -> ReportRequest:
    """Name what the ledger has; ask to delete what it has had for long enough.

    The last segment of each epoch stays: it tells a restarted worker that its journal was sealed.
    """
    last = {segment.epoch: segment.name for segment in held}  # they come in the order of seq
    over = loop.clock() - GRACE_S
    delete = frozenset(one.name for one in held if one.ingested_at <= over and one.name != last[one.epoch])
    full = loop.config.data_ingestion.sync_method == "full"
    return ReportRequest(frozenset(one.name for one in held), delete, list_all=full)


async def _pull(loop: Loop, transport: Transport, visit: Visit) -> None:
    assert visit.report is not None
    if visit.report.refused:
        _log.warning(
            "%s: no segments, though they lie among them: %s", visit.host.name, ", ".join(visit.report.refused)
        )
    if not visit.report.sealed:
        return
    with loop.ledger.read() as conn:
        known = segments.known_names(conn, visit.host.name, [str(file.name) for file in visit.report.sealed])
    new = []
    for file in visit.report.sealed:
        if not 0 < file.size_bytes <= MAX_SEGMENT_BYTES:
            # The others are taken all the same; the failure is on record until a person removes the file.
            visit.error = DataError(f"segment {file.name} has {file.size_bytes} bytes, allowed are {MAX_SEGMENT_BYTES}")
        elif str(file.name) not in known:
            new.append(file)
    into = loop.directory.incoming / visit.host.name
    _clear(into, new)
    if not worth_a_pull(new, loop.config.data_ingestion, loop.config.selfplay.segment_seconds):
        visit.waiting = sum(file.name.records for file in new)
        return
    chosen = _first(new)
    for first in range(0, len(chosen), _PULLED_AT_ONCE):
        part = chosen[first : first + _PULLED_AT_ONCE]
        # What a cut-off visit left there is whole, or it would have no name.
        await transport.pull([file for file in part if not (into / str(file.name)).exists()], into)
        for file in part:
            await _check(transport, file, into / str(file.name))
            visit.pulled.append(into / str(file.name))
            visit.size_bytes += file.size_bytes


def _clear(folder: Path, awaited: Sequence[SealedFile]) -> None:
    """Remove what killed or stopped cycles left of segments that the ledger has, or that the host no longer lists."""
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


def _first(new: Sequence[SealedFile]) -> list[SealedFile]:
    """The oldest segments, up to the limits of one cycle; at least one."""
    chosen: list[SealedFile] = []
    total = 0
    for file in new[:PULL_LIMIT_FILES]:
        total += file.size_bytes
        if chosen and total > PULL_LIMIT_BYTES:
            break
        chosen.append(file)
    return chosen


def _digest(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()
