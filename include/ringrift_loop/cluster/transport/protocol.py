"""The one protocol for reaching a host, and what its implementations share.

`call` has the host do one of `agent/actions.py`; the others move files. Every method may raise `HostError`,
`DataError` or `OSError`; a file that came from the host is not trusted yet when it returns.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from ringrift_loop.cluster.agent.actions import Action, Asked, Told
from ringrift_loop.cluster.agent.report import SealedFile

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


class Transport(Protocol):
    """A way to one host; used within one event loop."""

    async def call(self, action: Action[Asked, Told], request: Asked) -> Told:
        """Have the host do something; one round trip."""

    async def pull(self, files: Sequence[SealedFile], into: Path) -> None:
        """Copy segments into a folder of the coordinator; each appears there under its name, whole or not at all."""

    async def push_model(self, folder: Path, digest: str) -> None:
        """Put a model's folder on the host under its digest, checked there; an equal one is kept."""

    async def push_folder(self, local: Path, remote: str) -> None:
        """Make a folder of a job on the host equal to a local one; `remote` is such as `jobs/<id>/input`."""

    async def pull_folder(self, remote: str, local: Path, *, max_bytes: int) -> None:
        """Copy the files of a job's folder into a local one; refused when they are more than `max_bytes` together."""

    async def aclose(self) -> None:
        """Give back what the way to the host holds; `contextlib.aclosing` calls it."""


def part_of(folder: Path, name: str) -> Path:
    """Where the bytes of a segment lie until it is whole."""
    return folder / f".{name}.part"


@contextlib.contextmanager
def room_for_the_ledger(part: Path) -> Iterator[None]:
    """Delete what has arrived of a segment when the disk has no room for the rest; the ledger has to note that."""
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL:
            part.unlink()
        raise
