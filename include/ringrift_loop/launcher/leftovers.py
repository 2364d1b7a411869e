"""What an earlier launch may have left running, and what lets one launch at a time own a run directory and a ledger."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ringrift_loop.errors import ConfigError, LoopError, NoCapacity
from ringrift_loop.launcher.shutdown import STOP_LIMIT_S, LaunchRecord, stop_everything
from ringrift_loop.layout import RunDirectory
from ringrift_loop.ledger import leases
from ringrift_loop.ledger.database import Ledger
from ringrift_loop.ledger.leases import Lease
from ringrift_loop.machine.locks import is_held, locked

_log = logging.getLogger(__name__)
# A guardian that is cleaning up after a killed launcher holds the lock for as long as a stop may take.
_LOCK_WAIT_S = STOP_LIMIT_S + 7.0
_LEASE_S = 60.0


def record_file(directory: RunDirectory) -> Path:
    """Where the launch record lies."""
    return directory.airflow / "launch.json"


def lock_file(directory: RunDirectory) -> Path:
    """What a launch and its guardian hold locked; the pid of the launch stands in it."""
    return directory.airflow / "launch.lock"


def is_running(directory: RunDirectory) -> bool:
    """Whether a launch, or the guardian of one that was killed, holds the run directory."""
    return is_held(lock_file(directory))


def has_ended(directory: RunDirectory) -> bool:
    """Whether `make run` ran the loop here and has ended; False where Airflow runs otherwise."""
    return lock_file(directory).exists() and not is_running(directory)


@contextmanager
def launch_lock(directory: RunDirectory, wait_s: float = _LOCK_WAIT_S) -> Iterator[int]:
    """Own the run directory; the descriptor is for the guardian, which holds the lock as long as it has that open.

    Raises:
        ConfigError: another launch owns the run directory.
    """
    file = lock_file(directory)
    owner = file.read_text(errors="replace")[:32].strip() if file.exists() else ""
    with ExitStack() as stack:
        try:
            descriptor = stack.enter_context(locked(file, wait_s=0.0 if _is_alive(owner) else wait_s))
        except BlockingIOError:
            raise ConfigError(
                f"{directory.root} is in use by another `ringrift-loop up` (process {owner or 'unknown'}); "
                "stop that one, or choose another run directory with --home"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield descriptor


@contextmanager
def ledger_lease(ledger: Ledger) -> Iterator[Lease]:
    """Own the ledger: the lock above is not seen from other machines, nor from a copy of the run directory.

    Raises:
        ConfigError: another launch owns it.
    """
    with ledger.begin() as conn:
        leases.free_abandoned(conn, leases.LOOP, at=time.time())
    with ExitStack() as stack:
        try:
            lease = stack.enter_context(leases.hold(ledger, leases.LOOP, ttl_s=_LEASE_S))
        except NoCapacity as held:
            raise ConfigError(
                f"another loop runs on this ledger ({held}), on another machine or in a copy of the run directory: "
                "stop that one, or choose another ledger with RINGRIFT_LEDGER_URL"
            ) from None
        yield lease


def check_ledger(ledger: Ledger, lease: Lease) -> None:
    """Return while the ledger is ours; another launch may take it while this machine sleeps.

    Raises:
        LoopError: one has.
    """
    try:
        with ledger.read() as conn:
            lease.check(conn)
    except NoCapacity as lost:
        raise LoopError(f"the loop stops here, another one has taken its ledger: {lost}") from None


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

    Errors are logged: they must not keep the rest from being ended.
    """
    from ringrift_loop.cluster.selfplay.supervise import stop_all
    from ringrift_loop.loop import Loop

    try:
        stop_all(Loop.open(directory=directory))
    except LoopError as error:  # no ledger yet, or a configuration that has become wrong meanwhile
        _log.warning("the self-play workers could not be looked up: %s", error)


def _is_alive(owner: str) -> bool:
    """Whether the process that wrote its pid into the lock file lives; its guardian alone may be cleaning up."""
    if not owner.isdecimal():
        return False
    try:
        os.kill(int(owner), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
