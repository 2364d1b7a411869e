"""The pointer file: which model a host's workers should play a variant with.

It is renamed into place last, after the model's own files, so what it names is complete.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from ringrift_loop.checked_json import Digest, Document, Number, line, parse
from ringrift_loop.errors import DataError
from ringrift_loop.layout import HostDirectory
from ringrift_loop.machine.files import open_plain, write_whole

_MAX_BYTES = 4096


class Pointer(Document, frozen=True):
    """What the pointer file says."""

    digest: Digest
    generation: Annotated[int, Meta(ge=1, lt=1 << 53)]
    promoted_at: Number | None = None  # UTC seconds


def read_pointer(host_dir: HostDirectory, variant: str) -> Pointer | None:
    """The model that the host was told to play a variant with; None before the first.

    Raises:
        DataError: the pointer file cannot be read, or is not what the coordinator writes.
    """
    path = host_dir.current_model(variant)
    try:
        with open_plain(path) as file:
            raw = file.read(_MAX_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    try:
        return parse(raw, Pointer, "the pointer")
    except DataError as error:
        raise DataError(f"{path} does not name a model: {error}") from error


def write_pointer(host_dir: HostDirectory, variant: str, pointer: Pointer) -> None:
    """Put the file in place of the last one."""
    write_whole(host_dir.current_model(variant), line(pointer))
