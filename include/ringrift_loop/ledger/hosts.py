"""What the coordinator knows of each host: last contact, failures in a row, when to ask again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from ringrift_loop.config.schema import DataIngestion
from ringrift_loop.errors import LedgerError
from ringrift_loop.ledger.schema import hosts
from ringrift_loop.text import one_line

_ERROR_LENGTH = 2000


@dataclass(frozen=True)
class HostRow:
    """One host as last seen."""

    name: str
    last_seen_at: float | None  # UTC seconds of the last successful round trip
    consecutive_failures: int
    next_attempt_at: float  # not asked before this time
    last_error: str | None
    sync_count: int
    suspected_at: float | None = None  # since then its games are held back from training
    suspicion: str | None = None  # why, for people
    trusted_at: float | None = None  # when a person ended a suspicion: what came before counts for no new one

    @property
    def active(self) -> bool:
        """Reached at the last attempt."""
        return self.last_seen_at is not None and self.consecutive_failures == 0


def ensure(conn: Connection, names: Iterable[str]) -> None:
    """Make a row for each host that has none yet."""
    known = set(conn.execute(select(hosts.c.name)).scalars())
    new = [{"name": name} for name in names if name not in known]
    if new:
        conn.execute(insert(hosts), new)


def all_hosts(conn: Connection) -> list[HostRow]:
    """Every host ever met, by name; the inventory says which of them still count."""
    return [HostRow(**row._mapping) for row in conn.execute(select(hosts).order_by(hosts.c.name))]


def get(conn: Connection, name: str) -> HostRow:
    """One host.

    Raises:
        LedgerError: it has no row.
    """
    row = conn.execute(select(hosts).where(hosts.c.name == name)).first()
    if row is None:
        raise LedgerError(f"the ledger knows no host {name!r}")
    return HostRow(**row._mapping)


def rests(row: HostRow, at: float, ingestion: DataIngestion) -> bool:
    """Whether a host that failed is not asked yet; not for longer than its longest pause, whatever the clock did."""
    return 0.0 < row.next_attempt_at - at <= ingestion.retry_max_backoff_seconds


def succeeded(conn: Connection, name: str, *, at: float) -> None:
    """Record a round trip that worked; failures start again from nought."""
    conn.execute(
        update(hosts)
        .where(hosts.c.name == name)
        .values(
            last_seen_at=at,
            consecutive_failures=0,
            next_attempt_at=0.0,
            last_error=None,
            sync_count=hosts.c.sync_count + 1,
        )
    )


def failed(conn: Connection, name: str, error: str, *, at: float, poll_s: float, max_backoff_s: float) -> float:
    """Record a failed attempt.

    Returns:
        When to try again: `poll_s` doubled with each failure in a row, at most `max_backoff_s` from `at`.
    """
    failures = get(conn, name).consecutive_failures + 1
    # The exponent is capped so that a host away for a month does not overflow the float.
    next_attempt = at + min(max_backoff_s, poll_s * 2.0 ** min(failures, 32))
    conn.execute(
        update(hosts)
        .where(hosts.c.name == name)
        .values(consecutive_failures=failures, next_attempt_at=next_attempt, last_error=one_line(error, _ERROR_LENGTH))
    )
    return next_attempt


def suspect(conn: Connection, name: str, suspicion: str, *, at: float) -> None:
    """Hold a host's games back from training, those that come from now on among them, until `trust`."""
    values = {"suspected_at": at, "suspicion": one_line(suspicion, _ERROR_LENGTH)}
    conn.execute(update(hosts).where(hosts.c.name == name).values(values))


def trust(conn: Connection, name: str, *, at: float) -> None:
    """End a suspicion: the host's games count again, and only those to come can raise another one."""
    values = {"suspected_at": None, "suspicion": None, "trusted_at": at}
    conn.execute(update(hosts).where(hosts.c.name == name).values(values))


def suspected(conn: Connection) -> dict[str, str]:
    """The hosts whose games are held back, and why."""
    query = select(hosts.c.name, hosts.c.suspicion).where(hosts.c.suspected_at.is_not(None)).order_by(hosts.c.name)
    return dict(conn.execute(query).all())


def ask_again(conn: Connection, name: str) -> None:
    """End a failing host's pause and touch nothing else: it counts as failing until it has answered."""
    conn.execute(update(hosts).where(hosts.c.name == name).values(next_attempt_at=0.0))
