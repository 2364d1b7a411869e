"""What an earlier launch may have left running, and the lock that lets one launch at a time own a run directory."""

from __future__ import annotations

import fcntl
import logging
import os
import time
from pathlib import Path

from ringrift_loop.errors import ConfigError, LedgerError
from ringrift_loop.launcher.shutdown import STOP_LIMIT_S, LaunchRecord, stop_everything
from ringrift_loop.layout import RunDirectory

_log = logging.getLogger(__name__)
# A guardian that is cleaning up after a killed launcher holds the lock for as long as a stop may take.
_LOCK_WAIT_S = STOP_LIMIT_S + 7.0


def record_file(directory: RunDirectory) -> Path:
    """Where the launch record lies."""
    return directory.airflow / "launch.json"


def take_lock(directory: RunDirectory, wait_s: float = _LOCK_WAIT_S) -> int:
    """The descriptor of the run directory's lock, held until the last process that has it open ends.

    Raises:
        ConfigError: another launch owns the run directory.
    """
    directory.airflow.mkdir(parents=True, exist_ok=True)
    file = directory.airflow / "launch.lock"
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    give_up_at = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            owner = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
            if _is_alive(owner) or time.monotonic() >= give_up_at:
                os.close(descriptor)
                raise ConfigError(
                    f"{directory.root} is in use by another `ringrift-loop up` (process {owner or 'unknown'}); "
                    "stop that one, or choose another run directory with --home"
                ) from None
            time.sleep(0.2)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def end_leftovers(directory: RunDirectory, *, spare: tuple[int, ...] = ()) -> list[str] | None:
    """End what an earlier launch left running; None when it had ended in order.

    Returns:
        the names of components that had to be killed.
    """
    launch = LaunchRecord.load(record_file(directory))
    if launch is None:
        return None
    killed = stop_everything(launch, stop_workers=lambda: stop_local_workers(directory), spare=spare)
    record_file(directory).unlink(missing_ok=True)
    return killed


def stop_local_workers(directory: RunDirectory) -> None:
    """End the self-play workers of the embedded hosts; they seal their open segments first.

    A ledger that is not there yet has no workers. Errors are logged: they must not keep the rest from being ended.
    """
    from ringrift_loop.cluster.selfplay.supervise import stop_all
    from ringrift_loop.loop import Loop

    try:
        stop_all(Loop.open(directory=directory))
    except LedgerError as error:
        _log.warning("the self-play workers could not be looked up: %s", error)


def _is_alive(owner: str) -> bool:
    """Whether the process that wrote its pid into the lock file lives; its guardian alone may be cleaning up."""
    if not owner.isdigit():
        return False
    try:
        os.kill(int(owner), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
