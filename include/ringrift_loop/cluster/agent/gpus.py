"""The GPUs of this machine, as `nvidia-smi` lists them."""

from __future__ import annotations

import subprocess
from typing import Annotated

from msgspec import Meta

from ringrift_loop.checked_json import Count, Document, clean_fields
from ringrift_loop.errors import DataError
from ringrift_loop.text import clean

MAX_GPUS = 64
GpuIndex = Annotated[int, Meta(ge=0, lt=MAX_GPUS)]
_COMMAND = ("nvidia-smi", "--query-gpu=index,name,memory.total,memory.free", "--format=csv,noheader,nounits")
_LIMIT_S = 10.0
_SAID_LETTERS = 300


class Gpu(Document, frozen=True):
    """One GPU; no memory where nvidia-smi does not tell it."""

    index: GpuIndex
    total_mib: Count | None
    free_mib: Count | None
    name: str = ""

    def __post_init__(self) -> None:
        """The name is for people, and no memory is more than all."""
        clean_fields(self, "name")
        if self.total_mib is not None and self.known_free_mib > self.total_mib:
            raise ValueError(f"{self.free_mib} of {self.total_mib} MiB are free")

    @property
    def known_free_mib(self) -> int:
        """The free memory that can be counted on: none where nvidia-smi does not tell."""
        return self.free_mib or 0


def gpus_of_host() -> tuple[Gpu, ...]:
    """The GPUs of this machine; none when there is no nvidia-smi.

    Raises:
        DataError: it fails, or its answer is not what was asked for.
    """
    try:
        done = subprocess.run(_COMMAND, capture_output=True, timeout=_LIMIT_S, check=False)
    except FileNotFoundError:
        return ()
    except subprocess.TimeoutExpired as error:
        raise DataError(f"nvidia-smi did not answer within {_LIMIT_S:g} s") from error
    except OSError as error:
        raise DataError(f"nvidia-smi could not be started: {error.strerror}") from error
    said = done.stdout.decode("utf-8", "replace")
    if done.returncode != 0:
        words = clean((said + done.stderr.decode("utf-8", "replace")).strip(), _SAID_LETTERS)
        raise DataError(f"nvidia-smi ended with exit status {done.returncode}: {words}")
    try:
        return tuple(_gpu(row) for row in said.splitlines() if row.strip())[:MAX_GPUS]
    except ValueError as error:
        words = clean(said.strip(), _SAID_LETTERS)
        raise DataError(f"nvidia-smi reports index, name, total and free MiB, got {words!r}") from error


def _gpu(row: str) -> Gpu:
    """`0, NVIDIA A10, 23028, 22510`; a card that shares the machine's memory says `[N/A]`."""
    index, rest = row.split(",", 1)
    name, total, free = rest.rsplit(",", 2)
    total_mib, free_mib = (int(text) if text.strip().isdecimal() else None for text in (total, free))
    return Gpu(int(index), total_mib, free_mib, name.strip())
