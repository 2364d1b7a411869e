"""What a host says in one round trip: new sealed segments, workers, models. Runs on the host.

The request names the segments that the ledger already has; the answer lists the others, and which of those named are
gone. Segments that the ledger confirmed long enough ago are deleted on the way, by exact name.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from ringrift_loop import __version__
from ringrift_loop.checked_json import Count, Digest, Document, ProgramVersion, Seconds, VariantName, clean_fields
from ringrift_loop.cluster.agent.utilization import Utilization, utilization
from ringrift_loop.cluster.agent.workers import read_record
from ringrift_loop.errors import DataError
from ringrift_loop.hosts.entry import MAX_SLOTS
from ringrift_loop.layout import HostDirectory
from ringrift_loop.machine.files import NotPlainError, open_plain
from ringrift_loop.selfplay import heartbeat
from ringrift_loop.selfplay.plan import Plan, read_plan
from ringrift_loop.selfplay.pointer import read_pointer
from ringrift_loop.selfplay.segments import SegmentName

MAX_LISTED = 2000
MAX_MODELS = 1000
_MAX_REFUSED = 20
_POINTER_NAME = re.compile(r"current-([a-z0-9_]{1,32})\.json")
_DIGEST = re.compile(r"[0-9a-f]{64}")


class ReportRequest(Document, frozen=True):
    """What the coordinator sends along."""

    known: frozenset[str] = frozenset()  # segments in the ledger that the host may still hold
    delete: frozenset[str] = frozenset()  # of those, the ones that may go
    list_all: bool = False  # list the known ones too
    measure: bool = False  # tell the use since the last report that was asked for it

    def __post_init__(self) -> None:
        """Nothing is deleted but segments that the ledger has."""
        for name in self.known:
            SegmentName.parse(name)
        if not self.delete <= self.known:
            raise ValueError("a request deletes only what it names as known")


class SealedFile(Document, frozen=True, array_like=True):
    """A sealed segment on the host."""

    file_name: str
    size_bytes: Count
    age_s: Seconds  # since it was sealed, by the host's own clock

    def __post_init__(self) -> None:
        """The name is a segment's."""
        SegmentName.parse(self.file_name)

    @property
    def name(self) -> SegmentName:
        """What its name says."""
        return SegmentName.parse(self.file_name)


class WorkerReport(Document, frozen=True):
    """One worker slot on the host."""

    slot: Annotated[int, Meta(ge=0, lt=MAX_SLOTS)]
    alive: bool  # the process that was started there runs
    variant: VariantName | None  # the only one that it plays; None: it follows the host's plan
    age_s: Seconds | None  # since the process record was written, by the host's own clock
    stop_requested_s: Seconds | None  # seconds since it was told to finish
    heartbeat: str | None  # the file as it lies there; its own reader checks it
    heartbeat_age_s: Seconds | None
    problem: str | None = None  # why nothing is known of the process

    def __post_init__(self) -> None:
        """The problem is for people."""
        clean_fields(self, "problem")


class HostReport(Document, frozen=True):
    """The answer."""

    sealed: Annotated[tuple[SealedFile, ...], Meta(max_length=MAX_LISTED)]  # oldest first
    gone: frozenset[str]  # of `known`, those that the host no longer holds
    refused: Annotated[tuple[str, ...], Meta(max_length=_MAX_REFUSED)]  # names in the folder that are no segment's
    workers: Annotated[tuple[WorkerReport, ...], Meta(max_length=MAX_SLOTS)]
    # variant -> digest in its `current-<variant>.json`
    pointers: Annotated[dict[VariantName, Digest], Meta(max_length=MAX_MODELS)]
    models: Annotated[frozenset[Digest], Meta(max_length=MAX_MODELS)]  # of the model folders
    version: ProgramVersion = __version__  # of the program that answers
    plan: Plan | None = None  # that the workers follow; None: there is no readable one
    utilization: Utilization | None = None  # since the last report; None: this is the first, or too soon after it

    def __post_init__(self) -> None:
        """Nothing is listed twice; the names of what is no segment are for people."""
        clean_fields(self, "refused")
        for what, names in (("segment", [file.file_name for file in self.sealed]), ("slot", self.slots)):
            if len(set(names)) < len(names):
                raise ValueError(f"a {what} is listed twice")

    @property
    def slots(self) -> list[int]:
        """The slots that are reported."""
        return [worker.slot for worker in self.workers]

    def check_against(self, request: ReportRequest) -> None:
        """Return when this can be the answer to a request.

        Raises:
            DataError: it cannot.
        """
        if not self.gone <= request.known:
            raise DataError("a report says that segments are gone which nobody asked about")


def host_report(host_dir: HostDirectory, request: ReportRequest) -> HostReport:
    """Delete what may go, then look at everything once."""
    for name in request.delete:
        (host_dir.sealed_segments / str(SegmentName.parse(name))).unlink(missing_ok=True)
    sealed, refused = _sealed(host_dir.sealed_segments)
    present = {str(file.name) for file in sealed}
    listed = sealed if request.list_all else [file for file in sealed if str(file.name) not in request.known]
    workers = tuple(worker_reports(host_dir))
    return HostReport(
        sealed=tuple(listed[:MAX_LISTED]),
        gone=request.known - present,
        refused=tuple(refused[:_MAX_REFUSED]),
        workers=workers,
        pointers=_pointers(host_dir),
        models=_models(host_dir),
        plan=_plan(host_dir),
        utilization=utilization(host_dir, [worker.slot for worker in workers]) if request.measure else None,
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
        found.append(SealedFile(str(name), status.st_size, round(_since(status.st_mtime, now), 3)))
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
        with contextlib.suppress(DataError):  # not a pointer of ours: it is written anew
            pointer = read_pointer(host_dir, match[1])
            if pointer is not None:
                found[match[1]] = pointer.digest
    return found


def _plan(host_dir: HostDirectory) -> Plan | None:
    try:
        return read_plan(host_dir)
    except DataError:
        return None  # it is written anew


def _models(host_dir: HostDirectory) -> frozenset[str]:
    names = [entry.name for entry in _entries(host_dir.current_model("any").parent) if _DIGEST.fullmatch(entry.name)]
    return frozenset(names[:MAX_MODELS])


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:
        return []  # nothing was put there yet


def _read(path: Path, limit: int) -> str | None:
    """The file's text, None when there is no plain one; a file over the limit is cut one byte above it."""
    try:
        with open_plain(path) as file:
            return file.read(limit + 1).decode("utf-8", "replace")
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
