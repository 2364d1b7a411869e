"""Leases: at most one process works on a thing; a dead holder's lease runs out by itself."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil
from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from ringrift_loop.errors import NoCapacity
from ringrift_loop.ledger.database import Ledger
from ringrift_loop.ledger.schema import leases
from ringrift_loop.machine.processes import boot_mark

_log = logging.getLogger(__name__)

LOOP = "loop"
"""The lease of the launch that runs the loop on this ledger."""
_WAIT_POLL_S = 15.0


@dataclass(frozen=True)
class LeaseRow:
    """One lease; free once `expires_at` has passed."""

    name: str
    holder: str
    acquired_at: float
    expires_at: float

    @property
    def is_abandoned(self) -> bool:
        """Whether the holder is a process of this machine that has ended; of other machines nothing is known."""
        place, _, rest = self.holder.partition(f":{boot_mark()}:")
        pid = rest.partition(":")[0]
        return place == socket.gethostname() and pid.isdecimal() and not psutil.pid_exists(int(pid))


def acquire(conn: Connection, name: str, holder: str, *, ttl_s: float, at: float) -> bool:
    """Take or renew a lease for `ttl_s` seconds; False when another holder has it."""
    row = _get(conn, name)
    if row is not None and row.holder != holder and row.expires_at > at:
        return False
    if row is None:
        values = {"name": name, "holder": holder, "acquired_at": at, "expires_at": at + ttl_s}
        conn.execute(insert(leases).values(values))
        return True
    since = row.acquired_at if row.holder == holder else at
    values = {"holder": holder, "acquired_at": since, "expires_at": at + ttl_s}
    conn.execute(update(leases).where(leases.c.name == name).values(values))
    return True


def release(conn: Connection, name: str, holder: str) -> None:
    """Give a lease back; nothing happens when another holds it by now."""
    conn.execute(delete(leases).where(leases.c.name == name, leases.c.holder == holder))


def holder(conn: Connection, name: str, *, at: float) -> LeaseRow | None:
    """Who has the lease now; None when it is free."""
    row = _get(conn, name)
    return row if row is not None and row.expires_at > at else None


def held(conn: Connection, *, at: float) -> list[LeaseRow]:
    """The leases that somebody has at a time, by name."""
    query = select(leases).where(leases.c.expires_at > at).order_by(leases.c.name)
    rows = [LeaseRow(**row._mapping) for row in conn.execute(query)]
    return [row for row in rows if not row.is_abandoned]


def running_loop(conn: Connection, *, at: float) -> LeaseRow | None:
    """The launch that runs the loop on this ledger; None without one, or when it is known to have been killed."""
    row = holder(conn, LOOP, at=at)
    return None if row is None or row.is_abandoned else row


def free_abandoned(conn: Connection, name: str, *, at: float) -> None:
    """Give back the lease of a process of this machine that was killed."""
    row = holder(conn, name, at=at)
    if row is not None and row.is_abandoned:
        release(conn, name, row.holder)


def free_all_abandoned(conn: Connection) -> None:
    """Give back every lease of processes of this machine that were killed."""
    for row in [LeaseRow(**each._mapping) for each in conn.execute(select(leases))]:
        if row.is_abandoned:
            release(conn, row.name, row.holder)


@dataclass(frozen=True)
class Lease:
    """A lease in force, renewed in the background."""

    name: str
    holder: str

    def check(self, conn: Connection) -> None:
        """Return while the lease is ours; call it in the transaction that writes the result.

        Raises:
            NoCapacity: it ran out, as when the process was stopped for too long, and another has taken it since.
        """
        row = _get(conn, self.name)
        if row is None or row.holder != self.holder:
            by = "and is free" if row is None else f"to {row.holder}"
            raise NoCapacity(f"the lease {self.name} was lost {by}; nothing is written")


@contextmanager
def hold(
    ledger: Ledger,
    name: str,
    *,
    ttl_s: float = 120.0,
    wait_s: float = 0.0,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Lease]:
    """Hold a lease for the time of the block, renewing it three times per `ttl_s`.

    Args:
        ledger: where leases are kept.
        name: what is to be worked on by one process alone.
        ttl_s: how long the lease outlives a process that was killed.
        wait_s: how long to wait while another process holds it.
        clock: UTC seconds.
        sleep: waits for so many seconds.

    Raises:
        NoCapacity: another process holds it; the message says which and until when.
    """
    lease = Lease(name, f"{socket.gethostname()}:{boot_mark()}:{os.getpid()}:{uuid.uuid4().hex[:8]}")
    give_up_at = clock() + wait_s
    while (other := _holder_after_trying(ledger, lease, ttl_s, clock)) is not None:
        left = other.expires_at - clock()
        if clock() >= give_up_at:
            raise NoCapacity(f"lease held: {name} by {other.holder}, renewed or free in {left:.0f} s")
        _log.info("waiting for the lease %s, held by %s, renewed or free in %.0f s", name, other.holder, left)
        sleep(max(0.0, min(_WAIT_POLL_S, give_up_at - clock())))
    stop = threading.Event()
    renewer = threading.Thread(
        target=_renew, args=(ledger, lease, ttl_s, clock, stop), daemon=True, name=f"lease {name}"
    )
    renewer.start()
    try:
        yield lease
    finally:
        stop.set()
        renewer.join()
        with ledger.begin() as conn:
            release(conn, name, lease.holder)


def _holder_after_trying(ledger: Ledger, lease: Lease, ttl_s: float, clock: Callable[[], float]) -> LeaseRow | None:
    """Try to take the lease: None when it is ours now, else who has it."""
    with ledger.begin() as conn:
        if acquire(conn, lease.name, lease.holder, ttl_s=ttl_s, at=clock()):
            return None
        return _get(conn, lease.name)


def _renew(ledger: Ledger, lease: Lease, ttl_s: float, clock: Callable[[], float], stop: threading.Event) -> None:
    while not stop.wait(ttl_s / 3):
        try:
            with ledger.begin() as conn:
                lease.check(conn)
                acquire(conn, lease.name, lease.holder, ttl_s=ttl_s, at=clock())
        except NoCapacity as lost:
            _log.error("%s", lost)
            return
        except SQLAlchemyError as error:  # a ledger that is away for a moment is asked again in ttl/3
            _log.warning("lease %s not renewed: %s", lease.name, error)


def _get(conn: Connection, name: str) -> LeaseRow | None:
    row = conn.execute(select(leases).where(leases.c.name == name)).first()
    return None if row is None else LeaseRow(**row._mapping)
