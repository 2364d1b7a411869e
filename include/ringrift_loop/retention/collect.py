"""What lies on the coordinator's disk that could be deleted, each with its size, its age and what refers to it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from ringrift_loop.layout import RunDirectory
from ringrift_loop.retention.plan import LOGS, MATCHES, MODELS, SEGMENTS, TRAINING, Item
from ringrift_loop.retention.references import References


def collect(directory: RunDirectory, references: References, log_folders: Sequence[Path]) -> list[Item]:
    """Everything of the five kinds; links and what vanishes meanwhile are passed over.

    Args:
        directory: the run directory.
        references: what the ledger refers to.
        log_folders: folders with logs of finished tasks, such as Airflow's; every file below them counts.
    """
    return [
        *_segments(directory, references),
        *_folders(TRAINING, directory.trainings, references.training),
        *_folders(MODELS, directory.models, references.models),
        *_folders(MATCHES, directory.all_matches, references.matches),
        *_logs(log_folders),
    ]


def _segments(directory: RunDirectory, references: References) -> Iterator[Item]:
    for file in _files(directory.segments):
        place = file.relative_to(directory.segments).parts
        if len(place) == 3:  # host, epoch, name
            yield from _item(SEGMENTS, file, references.segments.get((place[0], place[2])))


def _folders(kind: str, parent: Path, references: dict[str, str]) -> Iterator[Item]:
    for entry in _entries(parent):
        if entry.is_dir(follow_symlinks=False):
            yield from _item(kind, Path(entry.path), references.get(entry.name))


def _logs(folders: Sequence[Path]) -> Iterator[Item]:
    for folder in folders:
        for file in _files(folder):
            yield from _item(LOGS, file, None)


def measure(path: Path) -> tuple[int, float] | None:
    """Bytes of a file or folder and when anything in it was last written, UTC seconds; None when it vanishes."""
    try:
        whole = path.lstat()
        size, changed_at = whole.st_size, whole.st_mtime
        if stat.S_ISDIR(whole.st_mode):
            size = 0
            for file in _files(path):
                inner = file.lstat()
                size, changed_at = size + inner.st_size, max(changed_at, inner.st_mtime)
    except FileNotFoundError:
        return None
    return size, changed_at


def _item(kind: str, path: Path, reference: str | None) -> Iterator[Item]:
    """One item, unless it vanishes while it is looked at."""
    measured = measure(path)
    if measured is not None:
        yield Item(kind, str(path), *measured, reference)


def _files(folder: Path) -> Iterator[Path]:
    """Every plain file below a folder; follows no link."""
    for entry in _entries(folder):
        if entry.is_dir(follow_symlinks=False):
            yield from _files(Path(entry.path))
        elif entry.is_file(follow_symlinks=False):
            yield Path(entry.path)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return []
