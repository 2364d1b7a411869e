"""Failures in a row make the pause grow to its limit; one success ends them."""

from __future__ import annotations

from ringrift_loop.ledger import hosts
from ringrift_loop.ledger.database import Ledger


def test_the_pause_doubles_up_to_its_limit_and_never_becomes_for_ever(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        hosts.ensure(conn, ["a"])
        pauses = [
            hosts.failed(conn, "a", "no route", at=1000.0, poll_s=30, max_backoff_s=600) - 1000.0 for _ in range(2000)
        ]
        assert pauses[:6] == [60, 120, 240, 480, 600, 600]
        assert set(pauses[6:]) == {600}
        row = hosts.get(conn, "a")
        assert (row.consecutive_failures, row.active, row.last_error) == (2000, False, "no route")


def test_one_success_ends_the_pause(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        hosts.ensure(conn, ["a", "b"])
        hosts.ensure(conn, ["a"])
        hosts.failed(conn, "a", "no route", at=1000.0, poll_s=30, max_backoff_s=600)
        hosts.succeeded(conn, "a", at=1100.0)
        a, b = hosts.all_hosts(conn)
    assert (a.active, a.next_attempt_at, a.last_error, a.last_seen_at, a.sync_count) == (True, 0.0, None, 1100.0, 1)
    assert not b.active  # never met
