"""The folders that travel with a job: which files they hold, and making one equal to another.

Plain files only, under names that are safe on any system. A file counts by its sha256: one that is there already is not
sent again, and one gets its name only when it is whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ringrift_loop.cluster.agent.wire import read_document, wrong
from ringrift_loop.errors import ConfigError, DataError
from ringrift_loop.layout import HostDirectory, checked_digest, checked_name
from ringrift_loop.machine.files import open_plain
from ringrift_loop.text import clean

VERSION = 1
MAX_FILES = 10_000
MAX_DEPTH = 8
MAX_LISTING_BYTES = 4 << 20
PART = ".part"
_CHUNK = 1 << 20


@dataclass(frozen=True)
class FileEntry:
    """A file of a folder."""

    size_bytes: int
    sha256: str


Listing = Mapping[str, FileEntry]  # path within the folder, with slashes -> file


def list_folder(folder: Path) -> dict[str, FileEntry]:
    """Every file below a folder with its digest; a folder that does not exist is empty.

    Hidden files stay where they are: those being written, and locks.

    Raises:
        DataError: something is no plain file, its name is not safe, or there are too many.
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


def listing_to_bytes(listing: Listing) -> bytes:
    """The listing as one line of JSON."""
    files = {name: [entry.size_bytes, entry.sha256] for name, entry in listing.items()}
    return json.dumps({"v": VERSION, "files": files}).encode() + b"\n"


def problem_to_bytes(error: DataError) -> bytes:
    """The answer in place of a listing when the folder cannot travel; asking again would not help."""
    return json.dumps({"v": VERSION, "problem": str(error)}).encode() + b"\n"


def listing_from_bytes(raw: bytes) -> dict[str, FileEntry]:
    """Read a listing; nothing in it is trusted.

    Raises:
        DataError: it is malformed, a name is not safe, there are too many, or the folder cannot travel.
    """
    document = read_document(raw, "a folder's listing", VERSION)
    if "problem" in document:
        raise DataError(clean(str(document["problem"])))
    files = document.get("files")
    if not isinstance(files, dict) or len(files) > MAX_FILES:
        wrong("files", f"an object of at most {MAX_FILES} files", files)
    return {_safe(name): _entry(value) for name, value in files.items()}


def missing_to_bytes(names: list[str]) -> bytes:
    """The answer of a host to what should be there."""
    return json.dumps({"v": VERSION, "missing": names}).encode() + b"\n"


def missing_from_bytes(raw: bytes, wanted: Listing) -> list[str]:
    """Read which files a host lacks.

    Raises:
        DataError: it is malformed, or names a file that nobody spoke of.
    """
    names = read_document(raw, "a list of missing files", VERSION).get("missing")
    if not isinstance(names, list) or len(names) > len(wanted) or not all(name in wanted for name in names):
        wrong("missing", "a list of the files that were named", names)
    return [str(name) for name in names]


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
            raise DataError(f"{path.name} arrived damaged: it is not the file of {entry.size_bytes} bytes as listed")
        temporary.rename(path)
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
            raise DataError(f"{entry.path} is no plain file and cannot travel; give its content, not a link")
        if len(found) > MAX_FILES:
            raise DataError(f"{folder} and its siblings hold more than {MAX_FILES} files")


def _safe(name: str) -> str:
    parts = name.split("/")
    if len(parts) > MAX_DEPTH:
        raise DataError(f"a file lies at most {MAX_DEPTH} folders deep, got {name[:120]!r}")
    try:
        for part in parts:
            checked_name(part, "a file that travels")
    except ConfigError as error:
        raise DataError(str(error)[:300]) from error
    return name


def _entry(value: Any) -> FileEntry:
    if not isinstance(value, list) or len(value) != 2:
        wrong("files", "a list of [bytes, sha256]", value)
    size, digest = value
    if type(size) is not int or not 0 <= size < 1 << 53 or not isinstance(digest, str):
        wrong("files", "a list of [bytes, sha256]", value)
    try:
        return FileEntry(size, checked_digest(digest))
    except ConfigError as error:
        raise DataError(str(error)) from error
