"""Taking in a model on a host: from a stream, resumed where an earlier one was cut, checked, renamed into place.

The stream is the rest of each file, one after the other. What arrived before a cut stays in a hidden folder named after
the digest; the next push asks `model_status` and sends what is missing.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import BinaryIO

from ringrift_loop.cluster.agent.requests import FILES, FilePart, ModelStatus, ModelStream
from ringrift_loop.errors import DataError, ModelError
from ringrift_loop.layout import HostDirectory
from ringrift_loop.machine.files import rename_durably
from ringrift_loop.machine.locks import locked
from ringrift_loop.network.artifact import verify

_CHUNK = 1 << 20


def model_status(host_dir: HostDirectory, digest: str) -> ModelStatus:
    """Look at a model; a damaged one counts as absent."""
    if _whole(host_dir.model(digest), digest):
        return ModelStatus(True, {})
    folder = host_dir.model_staging(digest)
    sizes = {name: (folder / name).stat().st_size for name in FILES if (folder / name).is_file()}
    return ModelStatus(False, sizes)


def receive_model(host_dir: HostDirectory, wanted: ModelStream, stream: BinaryIO) -> None:
    """Read a model from a stream and put it into place; nothing is changed when it is there already.

    Raises:
        DataError: the stream has a gap, or ended early; what came is kept.
        ModelError: the files are not the model; nothing is kept.
    """
    digest = wanted.digest
    target, staging = host_dir.model(digest), host_dir.model_staging(digest)
    with locked(staging.with_name(staging.name + ".lock")):
        if _whole(target, digest):
            return
        staging.mkdir(exist_ok=True)
        for name in FILES:
            _take(stream, staging / name, wanted.files[name])
        try:
            verify(staging, digest)
        except ModelError:
            shutil.rmtree(staging)  # begun anew next time
            raise
        if target.exists():
            shutil.rmtree(target)  # damaged, or it would have counted as whole
        rename_durably(staging, target)


def _take(stream: BinaryIO, path: Path, part: FilePart) -> None:
    have = path.stat().st_size if path.exists() else 0
    if part.offset > have:
        raise DataError(f"{path.name} was to resume at byte {part.offset}, but only {have} are here; push it again")
    with path.open("r+b" if path.exists() else "wb") as file:
        file.seek(part.offset)
        file.truncate()
        try:
            left = part.size - part.offset
            while left:
                chunk = stream.read(min(left, _CHUNK))
                if not chunk:
                    raise DataError(f"the stream ended {left} bytes before the end of {path.name}")
                file.write(chunk)
                left -= len(chunk)
        finally:
            file.flush()
            os.fsync(file.fileno())


def _whole(folder: Path, digest: str) -> bool:
    if not folder.exists():
        return False
    try:
        verify(folder, digest)
    except ModelError:
        return False
    return True
