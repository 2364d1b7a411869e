"""Taking in a model on a host: from a stream, resumed where an earlier one was cut, checked, renamed into place.

The stream is a header, one line of JSON, then the rest of each file in the header's order. What arrived before a cut
stays in a hidden folder named after the digest; the next push asks `model_status` and sends what is missing.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ringrift_loop.errors import DataError, ModelError
from ringrift_loop.layout import HostDirectory
from ringrift_loop.network.artifact import MANIFEST, MAX_FILE_BYTES, ONNX, WEIGHTS, verify

FILES = (MANIFEST, WEIGHTS, ONNX)
_MAX_HEADER_BYTES = 4096
_CHUNK = 1 << 20


@dataclass(frozen=True)
class ModelStatus:
    """What a host has of a model."""

    present: bool  # whole and checked
    staged: Mapping[str, int]  # file -> bytes that arrived before a cut


def model_status(host_dir: HostDirectory, digest: str) -> ModelStatus:
    """Look at a model; a damaged one counts as absent."""
    if _whole(host_dir.model(digest), digest):
        return ModelStatus(True, {})
    folder = host_dir.model_staging(digest)
    sizes = {name: (folder / name).stat().st_size for name in FILES if (folder / name).is_file()}
    return ModelStatus(False, sizes)


def header(offsets: Mapping[str, int], sizes: Mapping[str, int]) -> bytes:
    """The first line of the stream: for each file where it goes on, and how long it is in the end."""
    return json.dumps({name: [offsets[name], sizes[name]] for name in FILES}).encode() + b"\n"


def receive_model(host_dir: HostDirectory, digest: str, stream: BinaryIO) -> None:
    """Read a model from a stream and put it into place; nothing is changed when it is there already.

    Raises:
        DataError: the stream is malformed, or ended early; what came is kept.
        ModelError: the files are not the model; nothing is kept.
    """
    target, staging = host_dir.model(digest), host_dir.model_staging(digest)
    target.parent.mkdir(parents=True, exist_ok=True)
    with _lock(staging.with_name(staging.name + ".lock")):
        if _whole(target, digest):
            return
        staging.mkdir(exist_ok=True)
        for name, (offset, size) in _parse(stream.readline(_MAX_HEADER_BYTES)).items():
            _take(stream, staging / name, offset, size)
        try:
            verify(staging, digest)
        except ModelError:
            shutil.rmtree(staging)  # begun anew next time
            raise
        if target.exists():
            shutil.rmtree(target)  # damaged, or it would have counted as whole
        staging.rename(target)
        _sync(target.parent)


def _take(stream: BinaryIO, path: Path, offset: int, size: int) -> None:
    have = path.stat().st_size if path.exists() else 0
    if offset > have:
        raise DataError(f"{path.name} is to go on at byte {offset}, but only {have} are here; push it again")
    with path.open("r+b" if path.exists() else "wb") as file:
        file.seek(offset)
        file.truncate()
        try:
            left = size - offset
            while left:
                chunk = stream.read(min(left, _CHUNK))
                if not chunk:
                    raise DataError(f"the stream ended {left} bytes before the end of {path.name}")
                file.write(chunk)
                left -= len(chunk)
        finally:
            file.flush()
            os.fsync(file.fileno())


def _parse(line: bytes) -> dict[str, tuple[int, int]]:
    try:
        document = json.loads(line)
        if list(document) != list(FILES):
            raise ValueError(f"it names {list(document)}")
        parsed = {name: (offset, size) for name, (offset, size) in document.items()}
        for offset, size in parsed.values():
            if type(offset) is not int or type(size) is not int or not 0 <= offset <= size <= MAX_FILE_BYTES:
                raise ValueError(f"offset {offset!r} and size {size!r}")
    except (ValueError, TypeError, RecursionError) as error:
        raise DataError(f"the stream starts with the files {', '.join(FILES)}: {error}") from error
    return parsed


def _whole(folder: Path, digest: str) -> bool:
    if not folder.exists():
        return False
    try:
        verify(folder, digest)
    except ModelError:
        return False
    return True


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Two pushes of one model to one host wait for each other; the second then finds it there."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
