"""Files that appear whole or not at all, and stay after a power cut; and reading only plain files."""

from __future__ import annotations

import errno
import json
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from ringrift_loop.errors import DataError

_PRIVATE = 0o600


def write_whole(path: Path, data: bytes) -> None:
    """Replace a file, durably; its folder is made where it is missing. Only its owner can read it."""
    with arriving(path) as file:
        file.write(data)


def write_json(path: Path, document: Any) -> None:
    """Replace a file by one line of JSON, durably."""
    write_whole(path, json.dumps(document, separators=(",", ":")).encode() + b"\n")


@contextmanager
def arriving(path: Path) -> Iterator[BinaryIO]:
    """A file being written under a hidden name beside its own, which it gets at the end; none when the body raises."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _PRIVATE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        rename_durably(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def rename_durably(source: Path, target: Path) -> None:
    """Rename a file or folder, and wait until the disk has it."""
    source.rename(target)
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Wait until the disk has the names in a folder."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class NotPlainError(OSError):
    """What lies there is a link, a pipe, a device or a folder."""


def open_plain(path: Path) -> BinaryIO:
    """Open a plain file for reading; never waits, and never follows a link.

    Raises:
        FileNotFoundError: it does not exist.
        NotPlainError: it is a link, a pipe, a device or a folder.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a link; a socket, or a device that is not there
            raise NotPlainError(f"{path} is not a plain file") from error
        raise
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise NotPlainError(f"{path} is not a plain file")
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_plain(path: Path, max_bytes: int) -> bytes:
    """What a plain file of at most `max_bytes` holds, whoever put it there; see `open_plain`.

    Raises:
        DataError: it is missing, no plain file, cannot be read, or is larger.
    """
    try:
        with open_plain(path) as file:
            raw = file.read(max_bytes + 1)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    if len(raw) > max_bytes:
        raise DataError(f"{path} is larger than {max_bytes} bytes")
    return raw
