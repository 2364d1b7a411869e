"""Locks between processes: a file that the kernel unlocks when its holder ends, however it ends."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LOOK_S = 0.1


@contextmanager
def locked(path: Path, *, wait_s: float | None = None) -> Iterator[int]:
    """Hold a lock file; the number of the open file, which a child process may inherit and so go on holding it.

    Args:
        path: the file; made, with its folder, where it is missing.
        wait_s: how long another holder is waited for: None for ever, 0 not at all.

    Raises:
        BlockingIOError: another process holds it, and the time is over.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    give_up = None if wait_s is None else time.monotonic() + wait_s
    while True:
        # Closed, never unlocked: a child that inherited it goes on holding it.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _take(descriptor, path, give_up)
            if _is_still(path, descriptor):  # not removed with what it guards while this one waited
                yield descriptor
                return
        finally:
            os.close(descriptor)


def is_held(path: Path) -> bool:
    """Whether a process holds the lock file; nothing is made or changed."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _take(descriptor: int, path: Path, give_up: float | None) -> None:
    if give_up is None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= give_up:
                raise BlockingIOError(f"{path} is held by another process") from None
            time.sleep(_LOOK_S)


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
