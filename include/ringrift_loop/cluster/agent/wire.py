"""Requests and reports as they travel between coordinator and host: one JSON document each, checked on arrival.

What comes from a host is bounded and typed here before anything looks at it. Both sides refuse another version.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

from ringrift_loop import __version__
from ringrift_loop.cluster.agent.report import (
    MAX_LISTED,
    MAX_MODELS,
    HostReport,
    ReportRequest,
    SealedFile,
    WorkerReport,
)
from ringrift_loop.errors import DataError
from ringrift_loop.hosts.entry import MAX_SLOTS
from ringrift_loop.selfplay.segments import SegmentName
from ringrift_loop.text import clean

VERSION = 1
MAX_REQUEST_BYTES = 4 << 20
MAX_COUNT = 1 << 53  # numbers in JSON are exact below
_VARIANT = re.compile(r"[a-z0-9_]{1,32}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_PROGRAM_VERSION = re.compile(r"[0-9A-Za-z.+!_-]{1,40}")


def request_to_bytes(request: ReportRequest) -> bytes:
    """The request as the host's stdin."""
    document = {
        "v": VERSION,
        "known": sorted(request.known),
        "delete": sorted(request.delete),
        "list_all": request.list_all,
    }
    return json.dumps(document, separators=(",", ":")).encode()


def request_from_bytes(raw: bytes) -> ReportRequest:
    """Read a request on the host.

    Raises:
        DataError: it is malformed, or of another version.
    """
    document = read_document(raw, "a request", VERSION)
    known, delete = (frozenset(str(SegmentName.parse(name)) for name in _texts(document, key)) for key in _NAMES)
    if not delete <= known:
        raise DataError("a request deletes only what it names as known")
    if not isinstance(document.get("list_all"), bool):
        wrong("list_all", "true or false", document.get("list_all"))
    return ReportRequest(known, delete, document["list_all"])


_NAMES = ("known", "delete")


def report_to_bytes(report: HostReport) -> bytes:
    """The report as the host's stdout: one line."""
    document = {
        "v": VERSION,
        "version": report.version,
        "sealed": [[str(file.name), file.size_bytes, round(file.age_s, 3)] for file in report.sealed],
        "gone": sorted(report.gone),
        "refused": list(report.refused),
        "workers": [_worker_to_json(worker) for worker in report.workers],
        "pointers": report.pointers,
        "models": sorted(report.models),
    }
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def report_from_bytes(raw: bytes, request: ReportRequest) -> HostReport:
    """Read a host's answer to a request; nothing in it is trusted.

    Raises:
        DataError: it is malformed, too long, of another version, or no answer to this request.
    """
    document = read_document(raw, "a report", VERSION)
    gone = frozenset(_texts(document, "gone"))
    if not gone <= request.known:
        raise DataError("a report says of segments that they are gone that nobody asked for")
    return HostReport(
        sealed=tuple(_sealed(entry) for entry in _list(document, "sealed", MAX_LISTED)),
        gone=gone,
        refused=tuple(clean(name) for name in _texts(document, "refused")[:20]),
        workers=tuple(_worker_from_json(entry) for entry in _list(document, "workers", MAX_SLOTS)),
        pointers=_pointers(document.get("pointers")),
        models=frozenset(_matching(_DIGEST, digest, "models") for digest in _list(document, "models", MAX_MODELS)),
        version=_matching(_PROGRAM_VERSION, document.get("version"), "version"),
    )


def _worker_to_json(worker: WorkerReport) -> dict[str, object]:
    return {
        "slot": worker.slot,
        "alive": worker.alive,
        "variant": worker.variant,
        "age_s": worker.age_s,
        "stop_requested_s": worker.stop_requested_s,
        "heartbeat": None if worker.heartbeat is None else worker.heartbeat.decode("utf-8", "replace"),
        "heartbeat_age_s": worker.heartbeat_age_s,
        "problem": worker.problem,
    }


def _worker_from_json(entry: object) -> WorkerReport:
    if not isinstance(entry, dict):
        wrong("workers", "a list of objects", entry)
    slot, variant, beat, problem = (entry.get(key) for key in ("slot", "variant", "heartbeat", "problem"))
    if type(slot) is not int or not 0 <= slot < MAX_SLOTS:
        wrong("slot", f"a whole number below {MAX_SLOTS}", slot)
    if not isinstance(entry.get("alive"), bool):
        wrong("alive", "true or false", entry.get("alive"))
    if beat is not None and not isinstance(beat, str):
        wrong("heartbeat", "text", beat)
    if problem is not None and not isinstance(problem, str):
        wrong("problem", "text", problem)
    return WorkerReport(
        slot=slot,
        alive=entry["alive"],
        variant=None if variant is None else _matching(_VARIANT, variant, "variant"),
        age_s=_optional_seconds(entry, "age_s"),
        stop_requested_s=_optional_seconds(entry, "stop_requested_s"),
        heartbeat=None if beat is None else beat.encode("utf-8", "replace"),  # its own reader checks it
        heartbeat_age_s=_optional_seconds(entry, "heartbeat_age_s"),
        problem=None if problem is None else clean(problem),
    )


def _sealed(entry: object) -> SealedFile:
    if not isinstance(entry, list) or len(entry) != 3:
        wrong("sealed", "a list of [name, bytes, seconds]", entry)
    name, size, age = entry
    if not isinstance(name, str):
        wrong("sealed", "file names", name)
    if type(size) is not int or not 0 <= size < MAX_COUNT:
        wrong("sealed", "sizes in bytes", size)
    return SealedFile(SegmentName.parse(name), size, seconds(age, "sealed"))


def _pointers(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or len(value) > MAX_MODELS:
        wrong("pointers", "an object of variants and digests", value)
    return {
        _matching(_VARIANT, variant, "pointers"): _matching(_DIGEST, digest, "pointers")
        for variant, digest in value.items()
    }


def read_document(raw: bytes, what: str, version: int) -> dict[str, Any]:
    """The JSON object that came, when it is of this version.

    Raises:
        DataError: it is none, or of another version; the message names the versions of the program on both sides.
    """
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{what} is JSON: {error}; got {raw[:120]!r}") from error
    if not isinstance(document, dict):
        raise DataError(f"{what} is a JSON object, got {raw[:120]!r}")
    if document.get("v") != version:
        theirs = document.get("version", "another version")
        raise DataError(
            f"{what} of version {version} was expected, got v={document.get('v')!r:.20} by ringrift-loop "
            f"{theirs!r:.40}, this is {__version__}; install the same version on both sides"
        )
    return document


def _list(document: dict[str, Any], key: str, most: int) -> list[object]:
    value = document.get(key)
    if not isinstance(value, list) or len(value) > most:
        wrong(key, f"a list of at most {most}", value)
    return value


def _texts(document: dict[str, Any], key: str) -> list[str]:
    value = document.get(key)
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        wrong(key, "a list of texts", value)
    return value


def _matching(pattern: re.Pattern[str], value: object, key: str) -> str:
    if not isinstance(value, str) or pattern.fullmatch(value) is None:
        wrong(key, f"text like {pattern.pattern}", value)
    return value


def _optional_seconds(entry: dict[str, Any], key: str) -> float | None:
    return None if entry.get(key) is None else seconds(entry[key], key)


def seconds(value: object, key: str) -> float:
    """A finite number from 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        wrong(key, "seconds from 0", value)
    return float(value)


def wrong(key: str, wanted: str, got: object) -> NoReturn:
    """Refuse a field.

    Raises:
        DataError: always.
    """
    raise DataError(f"{key} must be {wanted}, got {repr(got)[:80]}")
