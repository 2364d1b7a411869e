"""Games in the ledger, by the host that sent them: which hosts are held back from training, and what that means."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ringrift_loop.cluster.sync.audit import audit_hosts
from ringrift_loop.cluster.sync.suspicion import EVENT, LOOK_S, read_samples, watch_hosts
from ringrift_loop.errors import HostUnreachable
from ringrift_loop.hosts.inventory import parse_inventory
from ringrift_loop.ledger import events, games, hosts, segments, training
from ringrift_loop.ledger.games import GameRow
from ringrift_loop.ledger.schema import games as game_rows
from ringrift_loop.ledger.segments import SegmentRow
from ringrift_loop.loop import Loop
from ringrift_loop.status.overview import read_overview

VARIANT = "square8_2p"
NOW = 1_000_000.0
HOSTS = "standard_hosts:\n" + "".join(
    f"  {name}: {{ssh_host: {name}.example, ssh_user: u, role: selfplay}}\n" for name in "abcd"
)


@pytest.fixture
def fleet(loop: Loop) -> Loop:
    """Four hosts on other machines, and a clock that stands."""
    with loop.ledger.begin() as conn:
        hosts.ensure(conn, "abcd")
    return replace(loop, inventory=parse_inventory(HOSTS, "hosts.yaml"), clock=lambda: NOW)


def put(loop: Loop, host: str, count: int, *, seed: int, plies: float = 114.0, **changes: Any) -> list[GameRow]:
    """Games that a host sent over the last hours: they began at even intervals and took ten seconds a ply."""
    rng = np.random.default_rng(seed)
    name = f"{seed:032x}-0000000001-{count}.jsonl.zst"
    rows = []
    for number in range(count):
        length = int(rng.gamma(9.0, plies / 9.0)) + 1
        begun = NOW - 40_000.0 + 25_000.0 * number / count
        row = GameRow(
            id=f"{seed * 100_000 + number:032x}",
            move_hash=f"{seed * 100_000 + number:064x}",
            variant=VARIANT,
            host=host,
            segment=name,
            position=number,
            plies=length,
            rows=length // 2,
            winner=1 + int(rng.random() < 0.55),
            result="elimination",
            player="f" * 64,
            search={"full": 16},
            engine_version="1",
            played_at=begun + 10.0 * length,
            ingested_at=begun + 10.0 * length + 30.0,
            started_at=begun,
            value_error=float(rng.gamma(2.0, 0.2)),
            value_spread=float(rng.gamma(4.0, 0.02)),
        )
        rows.append(replace(row, **changes))
    segment = SegmentRow(host, name, "0" * 64, f"{seed:032x}", 1, count, count, 0, 0, 1000, NOW - 100.0)
    with loop.ledger.begin() as conn:
        segments.add(conn, segment)
        games.add(conn, rows)
    return rows


def _away(*_: Any) -> Any:
    raise HostUnreachable("away")


def test_a_host_that_differs_is_held_back_until_a_person_trusts_it(fleet: Loop) -> None:
    for seed, host in enumerate("abc", 1):
        put(fleet, host, 400, seed=seed)
    lies = put(fleet, "d", 400, seed=4, plies=160.0)
    with fleet.ledger.read() as conn:
        assert games.pending(conn, VARIANT) == 1600
    (found,) = watch_hosts(fleet)
    assert (found.host, found.decided) == ("d", True)
    with fleet.ledger.begin() as conn:
        assert set(hosts.suspected(conn)) == {"d"}
        assert games.pending(conn, VARIANT) == 1200
        assert games.pending_by_variant(conn) == {VARIANT: 1200}
        (event,) = events.latest(conn, kind=EVENT, limit=9)
        assert "held back from training" in event.message
        assert "ringrift-loop hosts trust d" in event.message
        assert read_overview(conn, fleet.config, "abcd", now=NOW).hosts_suspected == 1
        # A training takes the others' games, and none of that host's, claimed or older.
        run = training.claim(conn, "run", VARIANT, at=NOW)
        assert run.games == 1200
        window = training.window(conn, run, rows=10**7, rows_max=10**7, seen_until=0.0, engine_version="1")
        assert {game.host for game in window} == {"a", "b", "c"}
    findings = [(finding.check, finding.subject) for finding in audit_hosts(fleet, transports=_away)]
    assert findings.count(("suspicion", "d")) == 1
    # Nothing new is told while it stays so, and games that still come in are held back as well.
    later = replace(fleet, clock=lambda: NOW + LOOK_S)
    assert watch_hosts(later) == []
    put(fleet, "d", 250, seed=5)
    with fleet.ledger.begin() as conn:
        assert games.pending(conn, VARIANT) == 0
        hosts.trust(conn, "d", at=NOW)
        assert games.pending(conn, VARIANT) == len(lies) + 250
    assert watch_hosts(later, at_once=True) == [], "what led to the suspicion raises no other one"


def test_a_consumed_game_of_a_host_under_suspicion_leaves_the_windows(fleet: Loop) -> None:
    put(fleet, "a", 20, seed=1)
    put(fleet, "b", 20, seed=2)
    with fleet.ledger.begin() as conn:
        run = training.claim(conn, "run", VARIANT, at=NOW)
        hosts.suspect(conn, "b", "it differs", at=NOW)
        window = training.window(conn, run, rows=10**7, rows_max=10**7, seen_until=0.0, engine_version="1")
        assert (run.games, len(window)) == (40, 20)


def test_honest_hosts_are_left_alone_and_looked_at_every_ten_minutes(fleet: Loop) -> None:
    for seed, host in enumerate("abcd", 10):
        put(fleet, host, 400, seed=seed)
    assert watch_hosts(fleet) == []
    put(fleet, "a", 2000, seed=20, plies=200.0)
    soon = replace(fleet, clock=lambda: NOW + LOOK_S - 1.0)
    assert watch_hosts(soon) == []
    assert [one.host for one in watch_hosts(replace(fleet, clock=lambda: NOW + LOOK_S))] == ["a"]


def test_two_hosts_that_differ_are_told_once_and_lose_nothing(fleet: Loop) -> None:
    put(fleet, "a", 400, seed=1)
    put(fleet, "b", 400, seed=2, plies=160.0)
    for minutes in (0, 10, 20):
        (found,) = watch_hosts(replace(fleet, clock=lambda minutes=minutes: NOW + 60.0 * minutes))  # type: ignore[misc]
        assert not found.decided
    with fleet.ledger.read() as conn:
        assert hosts.suspected(conn) == {}
        (event,) = events.latest(conn, kind=EVENT, limit=9)
    assert event.message.startswith("two hosts differ, nothing is held back: square8_2p by ffffffffffff: ")


def test_the_short_games_that_come_first_are_not_held_against_a_host(fleet: Loop) -> None:
    """A host that began an hour ago has sent only what was short: a thousand games began at once."""
    for seed, host in enumerate("abc", 1):
        put(fleet, host, 800, seed=seed)
    rows = put(fleet, "d", 1000, seed=9, ingested_at=NOW + 10**6)
    begun = NOW - 1200.0
    with fleet.ledger.begin() as conn:
        conn.execute(game_rows.delete().where(game_rows.c.host == "d"))
        ended = [row for row in rows if row.plies < 110]
        times = [begun + 10.0 * row.plies for row in ended]
        games.add(
            conn,
            [
                replace(row, started_at=begun, played_at=at, ingested_at=at + 30.0)
                for row, at in zip(ended, times, strict=True)
            ],
        )
    assert len(ended) > 400
    assert np.mean([row.plies for row in ended]) < 90.0
    assert watch_hosts(fleet) == []
    # Taken all together they would have been.
    with fleet.ledger.begin() as conn:
        conn.execute(game_rows.update().where(game_rows.c.host == "d").values(started_at=NOW - 50_000.0))
        conn.execute(game_rows.update().where(game_rows.c.host == "d").values(played_at=NOW - 49_000.0))
    assert [one.host for one in watch_hosts(fleet, at_once=True)] == ["d"]


@pytest.mark.parametrize("change", [{"started_at": None}, {"search": {"full": 32}}])
def test_games_that_cannot_be_compared_are_not(fleet: Loop, change: dict[str, Any]) -> None:
    for seed, host in enumerate("abc", 1):
        put(fleet, host, 400, seed=seed)
    put(fleet, "d", 400, seed=4, plies=160.0, **change)
    with fleet.ledger.read() as conn:
        keys = {key: set(by_host) for key, by_host in read_samples(conn, now=NOW).items()}
    assert keys[VARIANT, "f" * 64, '{"full": 16}'] == {"a", "b", "c"}
    assert watch_hosts(fleet) == []


@pytest.mark.parametrize("at", [0.0, NOW + 500.0])
def test_times_that_cannot_be_do_not_hide_a_host(fleet: Loop, at: float) -> None:
    for seed, host in enumerate("abc", 1):
        put(fleet, host, 400, seed=seed)
    put(fleet, "d", 400, seed=4, plies=160.0, started_at=at)
    assert [one.host for one in watch_hosts(fleet)] == ["d"]


def test_the_sums_are_those_of_the_games(fleet: Loop) -> None:
    rows = put(fleet, "a", 300, seed=1)
    with fleet.ledger.read() as conn:
        ((_, by_host),) = read_samples(conn, now=NOW).items()
    sums = by_host["a"]
    last = max(row.ingested_at for row in rows) - 900.0 - max(row.played_at - (row.started_at or 0.0) for row in rows)
    counted = [row for row in rows if row.started_at is not None and row.started_at <= last]
    assert 200 < len(counted) < 300
    assert sums.games == sums.value_games == len(counted)
    assert sums.spreads == pytest.approx(sum(row.value_spread or 0.0 for row in counted))
    assert sums.spreads_squared == pytest.approx(sum((row.value_spread or 0.0) ** 2 for row in counted))
    assert sums.wins == tuple(sum(row.winner == seat for row in counted) for seat in (1, 2))
    assert sums.plies == sum(row.plies for row in counted)
    assert sums.plies_squared == sum(row.plies**2 for row in counted)
    assert sums.errors == pytest.approx(sum(row.value_error or 0.0 for row in counted))
    assert sums.errors_squared == pytest.approx(sum((row.value_error or 0.0) ** 2 for row in counted))
