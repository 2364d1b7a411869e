"""The folders that travel with a job: which files they hold, and making one equal to another.

Plain files only, under names that are safe on any system. A file counts by its sha256: one that is there already is not
sent again, and one gets its name only when it is whole.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO, TypeAlias

from msgspec import Meta

from ringrift_loop.checked_json import Count, Digest, Document, clean_fields
from ringrift_loop.errors import ConfigError, DataError
from ringrift_loop.layout import HostDirectory, checked_name
from ringrift_loop.machine.files import open_plain, rename_durably

MAX_FILES = 10_000
MAX_DEPTH = 8
PART = ".part"
_CHUNK = 1 << 20


class FileEntry(Document, frozen=True, array_like=True):
    """A file of a folder."""

    size_bytes: Count
    sha256: Digest


Listing: TypeAlias = Mapping[str, FileEntry]  # path within the folder, with slashes -> file


class FolderFiles(Document, frozen=True):
    """What a folder holds, or should hold."""

    files: Annotated[dict[str, FileEntry], Meta(max_length=MAX_FILES)]
    problem: str | None = None  # why the folder cannot travel; asking again would not help

    def __post_init__(self) -> None:
        """Names are safe on any system; the problem is for people."""
        clean_fields(self, "problem")
        for name in self.files:
            _safe(name)


def list_folder(folder: Path) -> dict[str, FileEntry]:
    """Every file below a folder with its digest; a folder that does not exist is empty.

    Hidden files stay where they are: those being written, and locks.

    Raises:
        DataError: something is not a plain file, its name is not safe, or there are too many.
    """
    found: dict[str, FileEntry] = {}
    _list(folder, "", found)
    return found


def missing_in(folder: Path, wanted: Listing) -> list[str]:
    """What a folder lacks, or has otherwise; the folders for it are made."""
    present = list_folder(folder) if folder.exists() else {}
    for name in wanted:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
    return sorted(name for name, entry in wanted.items() if present.get(name) != entry)


def remove_others(folder: Path, wanted: Listing) -> None:
    """Remove from a job's folder what an earlier attempt was sent and this one is not."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in list_folder(folder).keys() - wanted.keys():
        (folder / name).unlink()


def below(host_dir: HostDirectory, relative: str) -> Path:
    """The folder of a job that a request names, such as `jobs/ab12/input`.

    Raises:
        DataError: it is no folder within a job's.
    """
    try:
        parts = [checked_name(part, "a folder") for part in relative.split("/")]
    except ConfigError as error:
        raise DataError(str(error)) from error
    if parts[0] != host_dir.jobs.name or len(parts) < 3:
        raise DataError(f"folders travel to and from jobs/<id>/<folder>, got {relative!r}")
    return host_dir.root.joinpath(*parts)


def check_total(listing: Listing, max_bytes: int, where: str) -> None:
    """Return when the files are not too large together.

    Raises:
        DataError: they are.
    """
    total = sum(entry.size_bytes for entry in listing.values())
    if total > max_bytes:
        raise DataError(f"{where} holds {total} bytes, allowed are {max_bytes}")


def part_name() -> str:
    """A name that nobody else uses, under which a file arrives; a listing leaves it out."""
    return f".{secrets.token_hex(8)}{PART}"


@contextmanager
def arriving(path: Path, entry: FileEntry) -> Iterator[BinaryIO]:
    """A file being written; it gets its name when it is what was announced.

    Raises:
        DataError: it is not.
    """
    temporary = path.parent / part_name()
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if temporary.stat().st_size != entry.size_bytes or digest_of(temporary) != entry.sha256:
            raise DataError(f"{path.name} arrived damaged: it is not the listed file of {entry.size_bytes} bytes")
        rename_durably(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def digest_of(path: Path) -> str:
    """sha256 of a file that is not a link."""
    digest = hashlib.sha256()
    with open_plain(path) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _list(folder: Path, prefix: str, found: dict[str, FileEntry]) -> None:
    try:
        with os.scandir(folder) as entries:
            inside = sorted(entries, key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    for entry in inside:
        if entry.name.startswith("."):
            continue
        name = _safe(prefix + entry.name)
        status = entry.stat(follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            _list(Path(entry.path), f"{name}/", found)
        elif stat.S_ISREG(status.st_mode):
            found[name] = FileEntry(status.st_size, digest_of(Path(entry.path)))
        else:
            raise DataError(f"{entry.path} is not a plain file and cannot be sent; give its content, not a link")
        if len(found) > MAX_FILES:
            raise DataError(f"{folder} and its siblings hold more than {MAX_FILES} files")


def _safe(name: str) -> str:
    parts = name.split("/")
    if len(parts) > MAX_DEPTH:
        raise DataError(f"a file may lie at most {MAX_DEPTH} folders deep, got {name[:120]!r}")
    try:
        for part in parts:
            checked_name(part, "a file that travels")
    except ConfigError as error:
        raise DataError(str(error)[:300]) from error
    return name
