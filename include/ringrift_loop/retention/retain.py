"""The whole of `ringrift-loop retention`: look, choose, and, when told to, delete and say what that freed."""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from ringrift_loop.config.schema import Retention
from ringrift_loop.errors import LedgerError
from ringrift_loop.json_value import JsonValue
from ringrift_loop.ledger import segments, state
from ringrift_loop.loop import Loop
from ringrift_loop.retention.collect import collect, measure
from ringrift_loop.retention.plan import (
    DAY_S,
    GIB,
    KINDS,
    LOGS,
    MATCHES,
    MIN_AGE_S,
    MODELS,
    SEGMENTS,
    TRAINING,
    Choice,
    Item,
    Limit,
    choose,
)
from ringrift_loop.retention.references import References, read_references
from ringrift_loop.status.verify import verify

_log = logging.getLogger(__name__)
_PART = 200  # items in one transaction


@dataclass(frozen=True)
class KindReport:
    """What became of one kind."""

    kind: str
    found: int
    found_bytes: int
    referenced: int
    """Of those, the ones that something refers to."""
    freed: int
    """Items that were deleted; with a dry run, that would be."""
    freed_bytes: int


@dataclass(frozen=True)
class RetentionReport:
    """What was found, and what went."""

    applied: bool
    kinds: tuple[KindReport, ...]
    choices: tuple[Choice, ...]
    """What went, or would go."""

    @property
    def freed_bytes(self) -> int:
        """Of all kinds."""
        return sum(kind.freed_bytes for kind in self.kinds)

    def as_json(self) -> dict[str, JsonValue]:
        """The report for logs and XCom, without the single items."""
        kinds: dict[str, JsonValue] = {kind.kind: dict(vars(kind)) for kind in self.kinds}
        return {"applied": self.applied, "freed_bytes": self.freed_bytes, "kinds": kinds}

    def describe(self) -> str:
        """One sentence."""
        parts = [f"{kind.freed} of {kind.found} {kind.kind}" for kind in self.kinds if kind.freed]
        verb = "freed" if self.applied else "a dry run: would free"
        return f"{verb} {self.freed_bytes / GIB:.3f} GiB: {', '.join(parts) or 'nothing is old or too much'}"


def check_ledger(loop: Loop) -> None:
    """Audit the ledger and keep how much that found, as `ringrift-loop ledger verify` does.

    Raises:
        LedgerError: it found something, so what the ledger refers to may not be all that is needed.
    """
    findings = verify(loop)
    with loop.ledger.begin() as conn:
        state.note_verification(conn, len(findings), at=loop.clock())
    if findings:
        raise LedgerError(
            f"nothing is deleted while the ledger's audit finds something, now {len(findings)} in all, the first is "
            f"{findings[0]}; `ringrift-loop ledger verify` prints a line for each"
        )


def retain(
    loop: Loop, *, apply: bool, log_folders: Sequence[Path] = (), say: Callable[[str], None] = _log.info
) -> RetentionReport:
    """Delete what nothing refers to and is too old or too much.

    Args:
        loop: the loop; it may be running.
        apply: False deletes nothing and says what would go.
        log_folders: beside the launcher's old logs, folders whose files are all logs, such as Airflow's.
        say: gets a line for each item.
    """
    folders = [loop.directory.airflow / "logs", loop.directory.job_logs, *log_folders]
    with loop.ledger.read() as conn:
        references = read_references(conn, loop.config)
    items = collect(loop.directory, references, list(dict.fromkeys(folders)))
    chosen = choose(items, limits_of(loop.config.retention), now=loop.clock())
    gone = _delete(loop, chosen) if apply else chosen
    for choice in gone:
        say(f"{'deleted' if apply else 'would delete'} {choice.item.path} ({choice.item.size} bytes): {choice.why}")
    report = RetentionReport(apply, tuple(_of_kind(kind, items, gone) for kind in KINDS), tuple(gone))
    say(report.describe())
    if apply:
        _tell(loop, report)
    return report


def limits_of(config: Retention) -> dict[str, Limit]:
    """The limits by kind: the configured ones, and for matches the least age: hosts play them within hours."""
    return {
        SEGMENTS: Limit(config.segments_days * DAY_S, config.segments_gib * GIB),
        TRAINING: Limit(config.training_days * DAY_S, config.training_gib * GIB),
        MODELS: Limit(config.models_days * DAY_S, config.models_gib * GIB),
        MATCHES: Limit(MIN_AGE_S, math.inf),
        LOGS: Limit(config.logs_days * DAY_S, config.logs_gib * GIB),
    }


def _of_kind(kind: str, items: Sequence[Item], gone: Sequence[Choice]) -> KindReport:
    own = [item for item in items if item.kind == kind]
    freed = [choice.item for choice in gone if choice.item.kind == kind]
    return KindReport(
        kind=kind,
        found=len(own),
        found_bytes=sum(item.size for item in own),
        referenced=sum(item.reference is not None for item in own),
        freed=len(freed),
        freed_bytes=sum(item.size for item in freed),
    )


def _delete(loop: Loop, chosen: Sequence[Choice]) -> list[Choice]:
    """Delete what is still free: what became referred to or was written to meanwhile stays.

    A folder is moved aside while nobody else can write to the ledger, so nothing can come to refer to it half-way; a
    segment is marked first. Killed in between, the next run deletes the rest.
    """
    aside = loop.directory.retired
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True, exist_ok=True)
    gone: list[Choice] = []
    for first in range(0, len(chosen), _PART):
        part = chosen[first : first + _PART]
        with loop.ledger.begin() as conn:
            references = read_references(conn, loop.config)
            free = [choice for choice in part if not _is_referenced(choice, references) and _is_as_it_was(choice.item)]
            for number, choice in enumerate(free):
                path = Path(choice.item.path)
                if choice.item.kind == SEGMENTS:
                    _mark(conn, loop, path)
                elif choice.item.kind != LOGS and path.is_dir():
                    path.rename(aside / f"{first + number}-{path.name}")
        for choice in free:
            if choice.item.kind in (SEGMENTS, LOGS):
                Path(choice.item.path).unlink(missing_ok=True)
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True, exist_ok=True)
        gone += free
    aside.rmdir()
    _remove_empty(loop.directory.airflow / "logs")
    return gone


def _is_referenced(choice: Choice, references: References) -> bool:
    path = Path(choice.item.path)
    if choice.item.kind == SEGMENTS:
        return (path.parents[1].name, path.name) in references.segments
    names = {TRAINING: references.training, MODELS: references.models, MATCHES: references.matches}
    return path.name in names.get(choice.item.kind, {})


def _is_as_it_was(item: Item) -> bool:
    """False when somebody uses it again: a bundle of matches is written before its job is in the ledger."""
    return measure(Path(item.path)) == (item.size, item.changed_at)


def _mark(conn: Connection, loop: Loop, path: Path) -> None:
    segments.prune(conn, path.parents[1].name, path.name, at=loop.clock())


def _tell(loop: Loop, report: RetentionReport) -> None:
    for kind in report.kinds:
        loop.metrics.incr("ringrift_retention_freed_bytes_total", kind.freed_bytes, kind=kind.kind)
    with loop.ledger.begin() as conn:
        told = report.as_json()
        loop.record(conn, "retention", report.describe(), freed_bytes=report.freed_bytes, kinds=told["kinds"])


def _remove_empty(folder: Path) -> None:
    """Remove the folders below that hold nothing; one that gets a file meanwhile stays."""
    for below in sorted((path for path in folder.rglob("*") if path.is_dir() and not path.is_symlink()), reverse=True):
        try:
            below.rmdir()
        except OSError:  # not empty
            continue
