"""What a host says in one round trip: new sealed segments, workers, models. Runs on the host.

The request names the segments that the ledger already has; the answer lists the others, and which of those named are
gone. Segments that the ledger confirmed long enough ago are deleted on the way, by exact name.
"""

from __future__ import annotations

import json
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

from ringrift_loop import __version__
from ringrift_loop.cluster.agent import heartbeat
from ringrift_loop.cluster.agent.workers import read_record
from ringrift_loop.errors import DataError
from ringrift_loop.hosts.entry import MAX_SLOTS
from ringrift_loop.layout import HostDirectory
from ringrift_loop.machine.files import NotPlainError, open_plain
from ringrift_loop.selfplay.segments import SegmentName

MAX_LISTED = 2000
MAX_POINTER_BYTES = 4096
MAX_MODELS = 1000
_POINTER_NAME = re.compile(r"current-([a-z0-9_]{1,32})\.json")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class ReportRequest:
    """What the coordinator sends along."""

    known: frozenset[str] = frozenset()  # segments in the ledger that the host may still hold
    delete: frozenset[str] = frozenset()  # of those, the ones that may go
    list_all: bool = False  # list the known ones too


@dataclass(frozen=True)
class SealedFile:
    """A sealed segment on the host."""

    name: SegmentName
    size_bytes: int
    age_s: float  # since it was sealed, by the host's own clock


@dataclass(frozen=True)
class WorkerReport:
    """One worker slot on the host."""

    slot: int
    alive: bool  # the process that was started there runs
    variant: str | None  # that it was started with
    age_s: float | None  # since the process record was written, by the host's own clock
    stop_requested_s: float | None  # seconds since it was told to finish
    heartbeat: bytes | None  # the file as it lies there
    heartbeat_age_s: float | None
    problem: str | None = None  # why nothing is known of the process


@dataclass(frozen=True)
class HostReport:
    """The answer."""

    sealed: tuple[SealedFile, ...]  # at most 2,000, oldest first
    gone: frozenset[str]  # of `known`, those that the host no longer holds
    refused: tuple[str, ...]  # names in the folder that are no segment's
    workers: tuple[WorkerReport, ...]
    pointers: dict[str, str]  # variant -> digest in its `current-<variant>.json`
    models: frozenset[str]  # digests of the model folders
    version: str = __version__  # of the program that answers


def host_report(host_dir: HostDirectory, request: ReportRequest) -> HostReport:
    """Delete what may go, then look at everything once."""
    for name in request.delete:
        (host_dir.sealed_segments / str(SegmentName.parse(name))).unlink(missing_ok=True)
    sealed, refused = _sealed(host_dir.sealed_segments)
    present = {str(file.name) for file in sealed}
    listed = sealed if request.list_all else [file for file in sealed if str(file.name) not in request.known]
    return HostReport(
        sealed=tuple(listed[:MAX_LISTED]),
        gone=request.known - present,
        refused=tuple(refused[:20]),
        workers=tuple(worker_reports(host_dir)),
        pointers=_pointers(host_dir),
        models=_models(host_dir),
    )


def _sealed(folder: Path) -> tuple[list[SealedFile], list[str]]:
    """Segments oldest first, in the order of their numbers within an epoch; and names that do not parse."""
    found, refused = [], []
    now = time.time()
    for entry in _entries(folder):
        if entry.name.startswith("."):
            continue  # a segment being written
        try:
            name = SegmentName.parse(entry.name)
            status = entry.stat(follow_symlinks=False)
        except (DataError, FileNotFoundError):
            refused.append(entry.name[:200])
            continue
        if not entry.is_file(follow_symlinks=False):
            refused.append(entry.name)
            continue
        found.append(SealedFile(name, status.st_size, _since(status.st_mtime, now)))
    found.sort(key=lambda file: (-file.age_s, file.name))
    return found, refused


def worker_reports(host_dir: HostDirectory) -> list[WorkerReport]:
    """Every slot that a worker was ever started in."""
    slots = set()
    for entry in _entries(host_dir.heartbeat(0).parent):
        number = entry.name.partition(".")[0]
        if number.isascii() and number.isdecimal() and int(number) < MAX_SLOTS and entry.name.endswith(".json"):
            slots.add(int(number))
    return [_worker(host_dir, slot) for slot in sorted(slots)]


def _worker(host_dir: HostDirectory, slot: int) -> WorkerReport:
    now = time.time()
    beat = _read(host_dir.heartbeat(slot), heartbeat.MAX_BYTES)
    beat_age = _age(host_dir.heartbeat(slot), now)
    try:
        record = read_record(host_dir, slot)
    except DataError as error:
        return WorkerReport(slot, False, None, None, None, beat, beat_age, str(error))
    if record is None:
        return WorkerReport(slot, False, None, None, None, beat, beat_age)
    asked = record.stop_requested_at
    return WorkerReport(
        slot=slot,
        alive=record.alive,
        variant=record.variant,
        age_s=_age(host_dir.worker_process(slot), now),
        stop_requested_s=None if asked is None else _since(asked, now),
        heartbeat=beat,
        heartbeat_age_s=beat_age,
    )


def _pointers(host_dir: HostDirectory) -> dict[str, str]:
    found = {}
    for entry in _entries(host_dir.current_model("any").parent):
        match = _POINTER_NAME.fullmatch(entry.name)
        if match is None:
            continue
        try:
            digest = json.loads(_read(Path(entry.path), MAX_POINTER_BYTES) or b"")["digest"]
        except (ValueError, KeyError, TypeError, RecursionError):
            continue  # not a pointer of ours: it is written anew
        if isinstance(digest, str) and _DIGEST.fullmatch(digest):
            found[match[1]] = digest
    return found


def _models(host_dir: HostDirectory) -> frozenset[str]:
    names = [entry.name for entry in _entries(host_dir.current_model("any").parent) if _DIGEST.fullmatch(entry.name)]
    return frozenset(names[:MAX_MODELS])


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:
        return []  # nothing was put there yet


def _read(path: Path, limit: int) -> bytes | None:
    """The file's bytes, None when there is no plain one; a file over the limit is cut one byte above it."""
    try:
        with open_plain(path) as file:
            return file.read(limit + 1)
    except (FileNotFoundError, NotPlainError):
        return None


def _age(path: Path, now: float) -> float | None:
    try:
        return _since(path.stat().st_mtime, now)
    except FileNotFoundError:
        return None


def _since(then: float, now: float) -> float:
    """Seconds since a time by this host's clock.

    A time in the future was written before the clock was set back. It counts as equally far in the past: a game must
    not wait, nor a worker hang unseen, until the clock has caught up.
    """
    return abs(now - then)
