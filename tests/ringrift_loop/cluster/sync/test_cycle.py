"""A cycle over all hosts: nothing lost, nothing doubled, one host's fault is its own."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ledger_rows import rows
from ringrift_loop.cluster.agent.report import SealedFile
from ringrift_loop.cluster.sync import cycle as sync_module
from ringrift_loop.cluster.sync import visit
from ringrift_loop.cluster.sync.audit import audit_hosts
from ringrift_loop.cluster.sync.budget import Account, Budget
from ringrift_loop.cluster.sync.cycle import SyncReport, sync_once
from ringrift_loop.cluster.sync.ingest import CheckedSegment, Replayed
from ringrift_loop.cluster.sync.visit import GRACE_S, worth_a_pull
from ringrift_loop.cluster.transport.local import LocalTransport
from ringrift_loop.cluster.transport.opening import local_directory
from ringrift_loop.config import DataIngestion
from ringrift_loop.errors import ConfigError, HostUnreachable, NoCapacity
from ringrift_loop.hosts.inventory import Host
from ringrift_loop.layout import HostDirectory, RunDirectory
from ringrift_loop.ledger import events, games, hosts, leases, quarantine, segments, state, utilization, workers
from ringrift_loop.ledger.games import GameRow
from ringrift_loop.ledger.quarantine import QuarantineRow
from ringrift_loop.ledger.segments import SegmentRow
from ringrift_loop.ledger.utilization import SampleRow
from ringrift_loop.loop import Loop
from ringrift_loop.metrics.emit import Metrics
from ringrift_loop.selfplay.records import GameRecord
from ringrift_loop.selfplay.segments import SegmentName
from ringrift_loop.status.overview import read_overview
from ringrift_loop.status.verify import verify

PutGames = Callable[..., list[str]]
Folder = Callable[[str], HostDirectory]


def sealed(folder: HostDirectory) -> set[str]:
    return {path.name for path in folder.sealed_segments.iterdir()}


def test_games_of_all_hosts_come_in_once(loop: Loop, put_games: PutGames, sync: Callable[[], SyncReport]) -> None:
    put_games("a", [1, 2, 3], [4, 5, 6])
    put_games("b", [7, 8, 9, 10, 11])
    assert sync().new_by_variant == {"square8_2p": 11}
    assert sync().games_new == 0
    with loop.ledger.read() as conn:
        assert Counter(row.host for row in rows(conn, GameRow)) == {"a": 6, "b": 5}
        assert state.get(conn, state.LAST_CYCLE_AT) == loop.clock()
        assert [event.message for event in events.latest(conn, kind="sync")] == ["11 new games (square8_2p 11)"]
    assert verify(loop, files=True) + audit_hosts(loop) == []


def test_a_host_with_nothing_new_costs_one_round_trip(
    put_games: PutGames, sync: Callable[[], SyncReport], fleet: Any
) -> None:
    put_games("a", [1, 2, 3, 4, 5])
    sync()
    fleet.calls.clear()
    sync()
    assert fleet.calls == {"a": ["report"], "b": ["report"]}


def test_a_failing_host_keeps_its_games_and_is_asked_again_later_and_later(
    loop: Loop, clock: Any, put_games: PutGames, sync: Callable[[], SyncReport], fleet: Any
) -> None:
    put_games("a", [1, 2, 3, 4, 5])
    put_games("b", [6, 7, 8, 9, 10])
    fleet.faults["a"] = {"report": HostUnreachable("no route")}
    pauses = []
    for _ in range(7):
        report = sync()
        assert [host.error for host in report.failed] == ["HostUnreachable: no route"]
        assert sync().resting == ("a",)
        pauses.append(report.failed[0].next_attempt_at - clock.now)
        clock.now += pauses[-1]
    assert pauses == [60, 120, 240, 480, 600, 600, 600]
    with loop.ledger.read() as conn:
        assert Counter(row.host for row in rows(conn, GameRow)) == {"b": 5}
        assert [row.active for row in hosts.all_hosts(conn)] == [False, True]
    fleet.faults.clear()
    assert sync().games_new == 5
    with loop.ledger.read() as conn:
        assert hosts.get(conn, "a").active
        said = [event.message for event in events.latest(conn, kind="host")]
    assert said == ["a is back", "a fails: HostUnreachable: no route"]


def test_a_person_may_have_one_host_visited_while_it_rests(
    loop: Loop, put_games: PutGames, trusting: Any, sync: Callable[[], SyncReport], fleet: Any
) -> None:
    fleet.faults["a"] = {"report": HostUnreachable("no route")}
    sync()
    fleet.faults.clear()
    fleet.calls.clear()
    put_games("a", [1, 2, 3, 4, 5])
    with loop.ledger.begin() as conn:
        state.put(conn, state.LAST_CYCLE_AT, 7.0, at=7.0)
    report = sync_once(loop, only=["a"], replayer=trusting, transports=fleet)
    assert (report.games_new, report.resting, list(fleet.calls)) == (5, (), ["a"])
    with loop.ledger.read() as conn:
        assert state.get(conn, state.LAST_CYCLE_AT) == 7.0
    with pytest.raises(ConfigError, match="no enabled host is named c; the hosts are a, b"):
        sync_once(loop, only=["c"], replayer=trusting, transports=fleet)


def test_a_host_that_is_reset_is_asked_in_the_next_cycle_and_counts_as_failing_until_then(
    loop: Loop, sync: Callable[[], SyncReport], fleet: Any
) -> None:
    fleet.faults["a"] = {"report": HostUnreachable("no route")}
    sync()
    assert sync().resting == ("a",)
    fleet.faults.clear()
    with loop.ledger.begin() as conn:
        hosts.ask_again(conn, "a")
        assert hosts.get(conn, "a").consecutive_failures == 1
    assert sync().resting == ()
    with loop.ledger.read() as conn:
        assert hosts.get(conn, "a").consecutive_failures == 0


def test_games_that_wait_on_a_host_are_known_until_the_next_visit(
    loop: Loop, put_games: PutGames, sync: Callable[[], SyncReport], fleet: Any
) -> None:
    put_games("a", [1, 2])
    sync()
    fleet.faults["a"] = {"report": HostUnreachable("no route")}
    sync()
    with loop.ledger.read() as conn:
        assert state.waiting_games(conn) == {"a": 2, "b": 0}


def test_a_pull_that_breaks_off_moves_nothing_forward(
    loop: Loop, clock: Any, put_games: PutGames, sync: Callable[[], SyncReport], fleet: Any
) -> None:
    put_games("a", [1, 2, 3, 4, 5])
    fleet.faults["a"] = {"pull": OSError(5, "Input/output error")}
    assert "Input/output error" in str(sync().failed[0].error)
    with loop.ledger.read() as conn:
        assert rows(conn, SegmentRow) == []
    fleet.faults.clear()
    clock.now += 600
    assert sync().games_new == 5


def test_what_killed_cycles_left_of_segments_that_nobody_awaits_is_removed(
    loop: Loop, put_games: PutGames, sync: Callable[[], SyncReport]
) -> None:
    put_games("a", [1, 2, 3, 4, 5])
    sync()
    (waiting,) = put_games("a", [6])
    folder = loop.directory.incoming / "a"
    gone = str(SegmentName("0" * 16, 1, 1, "0" * 16))
    for name in (gone, f".{gone}.part", f".{waiting}.part"):
        (folder / name).write_bytes(b"x")
    assert sync().games_new == 0
    assert [path.name for path in folder.iterdir()] == [f".{waiting}.part"]


def test_a_full_disk_here_is_no_failure_of_the_host(
    loop: Loop, put_games: PutGames, sync: Callable[[], SyncReport], fleet: Any
) -> None:
    put_games("a", [1, 2, 3, 4, 5])
    fleet.faults["a"] = {"pull": OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))}
    report = sync()
    assert report.failed == []
    assert report.problems == ("a: the disk of the run directory is full: [Errno 28] No space left on device",)
    fleet.faults.clear()
    assert sync().games_new == 5


def test_few_games_wait_for_more_but_never_two_minutes() -> None:
    config = DataIngestion()  # 5 games, 120 s, a look every 30 s

    def file(records: int, age_s: float) -> SealedFile:
        return SealedFile(str(SegmentName("0" * 16, 1, records, "0" * 16)), 100, age_s)

    assert not worth_a_pull([], config, 15)
    assert not worth_a_pull([file(4, 0)], config, 15)
    assert worth_a_pull([file(2, 0), file(3, 0)], config, 15)
    assert not worth_a_pull([file(1, 74)], config, 15)
    assert worth_a_pull([file(1, 75)], config, 15)  # next look at 105 s, and 15 s in the open segment: 120


def test_waiting_games_are_named_and_come_in_when_they_are_old(
    put_games: PutGames, sync: Callable[[], SyncReport], host_dir: Folder
) -> None:
    (name,) = put_games("a", [1, 2])
    first = sync()
    assert (first.games_new, first.hosts[0].waiting) == (0, 2)
    path = host_dir("a").sealed_segments / name
    os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 100))
    assert sync().games_new == 2


def test_segments_leave_the_host_after_the_grace_time_except_the_last_of_each_epoch(
    loop: Loop, clock: Any, put_games: PutGames, sync: Callable[[], SyncReport], host_dir: Folder
) -> None:
    first, second, third = put_games("a", [1, 2, 3], [4, 5, 6], [7, 8, 9])
    sync()
    clock.now += GRACE_S - 1
    sync()
    assert sealed(host_dir("a")) == {first, second, third}
    clock.now += 1
    sync()
    assert sealed(host_dir("a")) == {third}
    with loop.ledger.read() as conn:
        assert [one.name for one in segments.held(conn, ["a", "b"])["a"]] == [third]
    assert put_games("a", [10, 11, 12, 13, 14])[0][17:25] == "00000004"
    assert sync().games_new == 5
    assert verify(loop) == []


def test_segments_that_are_back_after_a_visit_without_their_disk_are_deleted_after_all(
    loop: Loop, put_games: PutGames, sync: Callable[[], SyncReport], host_dir: Folder, clock: Any
) -> None:
    put_games("a", *([number] for number in range(1, 8)))
    sync()
    folder = host_dir("a").sealed_segments
    away = folder.rename(folder.with_name("unmounted"))
    folder.mkdir()
    sync()
    with loop.ledger.read() as conn:
        assert segments.held(conn, ["a"]) == {}
    folder.rmdir()
    away.rename(folder)
    sync()
    clock.now += GRACE_S + 1.0
    sync()
    sync()
    assert len(sealed(host_dir("a"))) == 1  # the last of its epoch
    assert verify(loop) == []


def test_a_host_set_back_to_an_older_copy_loses_no_game(
    loop: Loop, put_games: PutGames, sync: Callable[[], SyncReport], host_dir: Folder
) -> None:
    put_games("a", [1, 2, 3, 4, 5])
    shutil.copytree(host_dir("a").root, host_dir("a").root.with_name("backup"))
    put_games("a", [6, 7, 8, 9, 10])
    sync()
    shutil.rmtree(host_dir("a").root)
    host_dir("a").root.with_name("backup").rename(host_dir("a").root)
    put_games("a", [11, 12, 13, 14, 15])  # the same epoch and number again, other games
    assert sync().games_new == 5
    with loop.ledger.read() as conn:
        assert games.count(conn) == 15
    assert verify(loop) == []


def test_what_hosts_told_before_the_clock_was_set_back_is_not_the_newest(
    loop: Loop, clock: Any, sync: Callable[[], SyncReport]
) -> None:
    with loop.ledger.begin() as conn:
        hosts.ensure(conn, ["a", "b"])
        for name in "ab":
            utilization.add(conn, SampleRow(name, clock.now + 3600.0, "m", 30.0, 90.0, 0.0, 0.0, 40.0))
            utilization.add(conn, SampleRow(name, clock.now - 30.0, "m", 30.0, 70.0, 0.0, 0.0, 40.0))
    sync()
    with loop.ledger.read() as conn:
        assert {(sample.host, sample.cpu) for sample in utilization.since(conn, 0.0)} == {("a", 70.0), ("b", 70.0)}


def test_damage_on_the_host_is_quarantined_and_later_segments_follow(
    loop: Loop, put_games: PutGames, sync: Callable[[], SyncReport], host_dir: Folder
) -> None:
    first, _ = put_games("a", [1, 2, 3, 4, 5], [6, 7, 8, 9, 10])
    path = host_dir("a").sealed_segments / first
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    report = sync()
    assert (report.games_new, report.hosts[0].games_quarantined, report.failed) == (5, 5, [])
    with loop.ledger.read() as conn:
        assert quarantine.count(conn) == 1
        assert events.latest(conn, kind="quarantine")[0].message.startswith("5 games from a")
    assert verify(loop) == []


def test_strange_names_and_sizes_are_refused_once_and_do_not_keep_the_others_out(
    loop: Loop, put_games: PutGames, sync: Callable[[], SyncReport], host_dir: Folder
) -> None:
    put_games("a", [1, 2, 3, 4, 5])
    folder = host_dir("a").sealed_segments
    (folder / "passwd").symlink_to("/etc/passwd")
    (folder / "notes.txt").write_text("x")
    huge = folder / f"{'e' * 16}-00000001-7-{'0' * 16}.jsonl.zst"
    huge.touch()
    os.truncate(huge, 65 << 20)  # sparse
    empty = folder / f"{'f' * 16}-00000001-3-{'0' * 16}.jsonl.zst"
    empty.touch()
    report = sync()
    assert (report.games_new, report.failed) == (5, [])
    sync()
    with loop.ledger.read() as conn:
        assert {row.segment: row.reason[:20] for row in quarantine.latest(conn)} == {
            huge.name: "it has 68157440 byte",
            empty.name: f"{empty.name} is damaged"[:20],
        }
        messages = [event.message for event in events.latest(conn, kind="quarantine")]
    assert messages == ["10 games from a refused, damaged or not to be replayed; see the quarantine"]


def test_a_symbolic_link_with_a_segments_name_is_not_followed(
    put_games: PutGames, sync: Callable[[], SyncReport], host_dir: Folder
) -> None:
    put_games("a", [1, 2, 3, 4, 5])
    (host_dir("a").sealed_segments / f"{'e' * 16}-00000001-7-{'0' * 16}.jsonl.zst").symlink_to("/etc/passwd")
    report = sync()
    assert (report.games_new, report.hosts[0].games_quarantined) == (5, 0)


def test_a_puller_killed_between_any_two_steps_doubles_and_loses_nothing(
    loop: Loop, clock: Any, put_games: PutGames, sync: Callable[[], SyncReport], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    steps = [
        (visit, "_check"),
        (sync_module, "check_segment"),
        (sync_module, "ingest_checked"),
        (sync_module, "_record"),
        (segments, "release"),
    ]
    for number, (module, step) in enumerate(steps):
        put_games("a", [*range(10 * number, 10 * number + 5)], [*range(10 * number + 5, 10 * number + 10)])

        def die(*_: object, **__: object) -> None:
            raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(module, step, die)
            with pytest.raises(Killed):
                sync()
        clock.now += 60
    sync()
    with loop.ledger.read() as conn:
        assert games.count(conn) == 10 * len(steps)
        assert not any(row.games_known for row in rows(conn, SegmentRow))
    assert verify(loop, files=True) + audit_hosts(loop) == []


def test_two_cycles_do_not_run_at_once(loop: Loop, sync: Callable[[], SyncReport]) -> None:
    with leases.hold(loop.ledger, sync_module.LEASE, clock=loop.clock), pytest.raises(NoCapacity, match="data_sync"):
        sync()


def test_heartbeats_of_assigned_slots_reach_the_ledger(
    loop: Loop, sync: Callable[[], SyncReport], write_heartbeat: Callable[..., None], host_dir: Folder
) -> None:
    with loop.ledger.begin() as conn:
        hosts.ensure(conn, ["a", "b"])
        workers.assign(conn, "a", 0, at=1.0)
        workers.assign(conn, "b", 0, at=1.0)
    write_heartbeat("a", games=77)
    write_heartbeat("b")
    host_dir("b").heartbeat(0).write_text("{")
    os.utime(host_dir("a").heartbeat(0), (0, host_dir("a").heartbeat(0).stat().st_mtime - 40))
    sync()
    with loop.ledger.read() as conn:
        a, b = workers.all_workers(conn)
    assert a.heartbeat is not None
    assert a.heartbeat["games"] == 77
    # By our clock, whatever the host's says: 40 s old.
    assert a.heartbeat_at == pytest.approx(loop.clock() - 40, abs=5)
    assert b.heartbeat is None


def test_a_full_listing_finds_the_same_games(
    loop: Loop, put_games: PutGames, trusting: Callable[[GameRecord], Replayed]
) -> None:
    ingestion = replace(loop.config.data_ingestion, sync_method="full")
    full = replace(loop, config=replace(loop.config, data_ingestion=ingestion))
    put_games("a", [1, 2, 3, 4, 5])
    assert sync_once(full, replayer=trusting).games_new == 5
    put_games("a", [6, 7, 8, 9, 10])
    assert sync_once(full, replayer=trusting).games_new == 5
    assert verify(full) == []


def test_the_audit_of_the_hosts_finds_a_sealed_game_that_never_came_in(
    loop: Loop, put_games: PutGames, sync: Callable[[], SyncReport], host_dir: Folder
) -> None:
    (name,) = put_games("a", [1, 2, 3, 4, 5])
    assert audit_hosts(loop) == []  # just sealed: on its way
    path = host_dir("a").sealed_segments / name
    os.utime(path, (0, path.stat().st_mtime - 500))
    (finding,) = audit_hosts(loop)
    assert finding.check == "waiting"
    assert "5 games" in finding.message


@pytest.mark.timeout(30)
def test_a_visit_ends_with_its_time(loop: Loop, put_games: PutGames, trusting: Any) -> None:
    put_games("b", [1, 2, 3, 4, 5])

    def ways(host: Host, directory: RunDirectory) -> Any:
        class Hanging(LocalTransport):
            async def call(self, action: Any, request: Any) -> Any:
                if host.name == "a":
                    await asyncio.Event().wait()
                return await super().call(action, request)

        return Hanging(local_directory(host, directory))

    report = sync_once(loop, replayer=trusting, transports=ways, budget=Budget(visit_s=0.5))
    assert [host.error for host in report.failed] == ["HostUnreachable: a did not finish within 0.5 s"]
    assert report.games_new == 5


def test_a_segment_damaged_on_its_way_is_pulled_again(loop: Loop, put_games: PutGames, trusting: Any) -> None:
    put_games("a", [1, 2, 3, 4, 5])

    class Noisy(LocalTransport):
        pulls = 0

        async def pull(self, files: Sequence[SealedFile], into: Path) -> None:
            await super().pull(files, into)
            if not Noisy.pulls:
                path = into / str(files[0].name)
                path.write_bytes(b"x" + path.read_bytes()[1:])
            Noisy.pulls += 1

    report = sync_once(loop, replayer=trusting, transports=lambda *host: Noisy(local_directory(*host)))
    assert (report.games_new, report.hosts[0].games_quarantined, Noisy.pulls) == (5, 0, 2)


def test_known_games_are_not_counted_as_synced(
    loop: Loop, put_games: PutGames, sync: Callable[[], SyncReport], trusting: Any
) -> None:
    put_games("a", [1, 2, 3, 4, 5])
    sync()
    put_games("b", [1, 2, 3, 4, 5, 6])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as collector:
        collector.bind(("127.0.0.1", 0))
        collector.settimeout(5)
        address, port = collector.getsockname()
        sync_once(replace(loop, metrics=Metrics(address, port)), only=["b"], replayer=trusting)
        assert collector.recv(512) == b"ringrift_games_synced_total,host=b:1|c"
        assert collector.recv(512) == b"ringrift_games_known_total,host=b:5|c"


def test_the_loop_counts_its_cycles_not_its_visits(loop: Loop, sync: Callable[[], SyncReport], trusting: Any) -> None:
    sync()
    sync()
    sync_once(loop, only=["a"], replayer=trusting)
    with loop.ledger.read() as conn:
        assert read_overview(conn, loop.config, ["a", "b"], now=0.0).data_syncs == 2


def test_hosts_are_checked_one_segment_each_in_turn(loop: Loop) -> None:
    def came(name: str, number: int) -> visit.Visit:
        pulled = [Path(f"{name}{place}") for place in range(number)]
        return visit.Visit(loop.inventory.hosts[name], Account(name), pulled=pulled)

    order = [str(path) for _, path in sync_module._in_turn([came("a", 3), came("b", 2)])]
    assert order == ["a0", "b0", "a1", "b1", "a2"]


def test_refused_games_and_their_texts_fill_a_batch_as_well() -> None:
    def checked(number: int, letters: int) -> CheckedSegment:
        row = QuarantineRow("a", "s", 0, None, "x", "x" * letters, 0.0)
        return CheckedSegment("a", Path("s"), "", 0, (), (row,) * number, number)

    assert sync_module._many([checked(1000, 1)])
    assert sync_module._many([checked(300, 65536)])
    assert not sync_module._many([checked(999, 1)])
