"""A log file that never grows beyond a limit, and its end for readers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ringrift_loop.machine.files import open_plain, write_whole

MAX_BYTES = 1 << 20
TAIL_BYTES = 16 << 10


def append_lines(path: Path, lines: Sequence[str], *, max_bytes: int = MAX_BYTES) -> None:
    """Append lines to a file, which is made where it is missing; once it is longer than its limit, its first half goes.

    Only its owner can read it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "ab") as file:
        file.write("".join(f"{line}\n" for line in lines).encode("utf-8", "replace"))
        size = file.tell()
    if size > max_bytes:
        with open_plain(path) as whole:
            rest = _end(whole, size, max_bytes // 2)
        write_whole(path, rest)


@dataclass(frozen=True)
class Tail:
    """The end of a log file."""

    text: str | None
    """Whole lines; None: nothing was added since `after`."""
    token: str
    """Changes whenever something is added; empty while there is no file."""
    changed_at: float | None
    """When something was last added, UTC seconds."""


def read_tail(path: Path, *, after: str = "", max_bytes: int = TAIL_BYTES) -> Tail:
    """The last lines of a file that may not exist.

    Args:
        path: the file; a link is none.
        after: the token of the last answer; with the same one there is no text.
        max_bytes: of the text, at most.
    """
    try:
        with open_plain(path) as file:
            size, changed_at = _size_and_time(file)
            token = f"{int(changed_at * 1e6):x}-{size:x}"
            if token == after:
                return Tail(None, token, changed_at)
            return Tail(_end(file, size, max_bytes).decode("utf-8", "replace"), token, changed_at)
    except FileNotFoundError:
        return Tail("", "", None)


def _size_and_time(file: BinaryIO) -> tuple[int, float]:
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime


def _end(file: BinaryIO, size: int, max_bytes: int) -> bytes:
    """The last whole lines within so many bytes; of a longer line its end."""
    if size <= max_bytes:
        file.seek(0)
        return file.read(size)
    file.seek(size - max_bytes - 1)
    part = file.read(max_bytes + 1)
    first = part.find(b"\n")
    return part[first + 1 :] if 0 <= first < len(part) - 1 else part[1:]
