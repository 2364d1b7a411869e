"""Leases exclude each other, run out, and say when they were lost."""

from __future__ import annotations

import threading
import time

import pytest

from ledger_rows import rows
from ringrift_loop.errors import NoCapacity
from ringrift_loop.ledger import leases
from ringrift_loop.ledger.database import Ledger
from ringrift_loop.ledger.leases import LeaseRow


def test_a_held_lease_keeps_others_out_until_it_is_given_back(ledger: Ledger) -> None:
    with leases.hold(ledger, "train/square8_2p"):
        with (
            pytest.raises(NoCapacity, match="lease held: train/square8_2p by"),
            leases.hold(ledger, "train/square8_2p"),
        ):
            pass
        with leases.hold(ledger, "train/hex8_2p"):
            pass
    with leases.hold(ledger, "train/square8_2p"):
        pass


def test_waiting_for_a_lease_ends_when_its_dead_holder_s_time_is_over(ledger: Ledger) -> None:
    now = [100.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    def clock() -> float:
        return now[0]

    with ledger.begin() as conn:
        leases.acquire(conn, "sync", "dead", ttl_s=120.0, at=100.0)
    with pytest.raises(NoCapacity), leases.hold(ledger, "sync", wait_s=60.0, clock=clock, sleep=sleep):
        pass
    assert now[0] == 160.0
    with leases.hold(ledger, "sync", wait_s=600.0, clock=clock, sleep=sleep):
        assert 220.0 <= now[0] < 240.0


def test_a_lease_of_a_dead_holder_runs_out(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        assert leases.acquire(conn, "sync", "dead", ttl_s=30, at=100.0)
        assert not leases.acquire(conn, "sync", "me", ttl_s=30, at=129.9)
        assert leases.acquire(conn, "sync", "me", ttl_s=30, at=130.0)
        leases.release(conn, "sync", "dead")  # the dead holder comes back: too late
        row = leases.holder(conn, "sync", at=131.0)
    assert row is not None
    assert (row.holder, row.acquired_at) == ("me", 130.0)


def test_renewing_keeps_the_time_of_acquisition(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        leases.acquire(conn, "sync", "me", ttl_s=30, at=100.0)
        leases.acquire(conn, "sync", "me", ttl_s=30, at=120.0)
        row = leases.holder(conn, "sync", at=149.0)
        assert row is not None
        assert (row.acquired_at, row.expires_at) == (100.0, 150.0)
        assert leases.holder(conn, "sync", at=150.0) is None


def test_a_lease_is_renewed_for_as_long_as_it_is_held(ledger: Ledger) -> None:
    def ends_at() -> float:
        with ledger.read() as conn:
            (row,) = rows(conn, LeaseRow)
        return row.expires_at

    with leases.hold(ledger, "sync", ttl_s=0.3):
        first, give_up_at = ends_at(), time.monotonic() + 30
        while ends_at() == first:
            assert time.monotonic() < give_up_at, "it was not renewed"
            time.sleep(0.02)
        assert ends_at() > first


def test_a_holder_whose_lease_was_taken_over_is_told_so(ledger: Ledger) -> None:
    with leases.hold(ledger, "sync", ttl_s=0.06) as lease:
        with ledger.begin() as conn:
            lease.check(conn)
            leases.release(conn, "sync", lease.holder)
            with pytest.raises(NoCapacity, match="the lease sync was lost and is free"):
                lease.check(conn)
            leases.acquire(conn, "sync", "other", ttl_s=1000, at=0.0)
        for renewer in [thread for thread in threading.enumerate() if thread.name == "lease sync"]:
            renewer.join(timeout=30)
            assert not renewer.is_alive()
        with ledger.begin() as conn, pytest.raises(NoCapacity, match="the lease sync was lost to other"):
            lease.check(conn)
    with ledger.read() as conn:
        assert leases.holder(conn, "sync", at=1.0) is not None  # the other's lease was left alone
