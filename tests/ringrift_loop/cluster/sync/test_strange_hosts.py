"""Whatever a host says or sends: it fails by itself, within its budget, and the others' games come in."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs
from sqlalchemy.exc import OperationalError

from ledger_rows import rows
from ringrift_loop.cluster.agent.actions import REPORT
from ringrift_loop.cluster.agent.report import HostReport, SealedFile, WorkerReport
from ringrift_loop.cluster.selfplay.supervise import reconcile
from ringrift_loop.cluster.sync.audit import audit_hosts
from ringrift_loop.cluster.sync.budget import Budget
from ringrift_loop.cluster.sync.cycle import SyncReport, sync_once
from ringrift_loop.cluster.sync.ingest import Replayed
from ringrift_loop.cluster.transport.local import LocalTransport
from ringrift_loop.cluster.transport.opening import local_directory
from ringrift_loop.errors import RemoteJobFailed
from ringrift_loop.hosts.inventory import Host
from ringrift_loop.layout import HostDirectory, RunDirectory
from ringrift_loop.ledger import events, games, hosts, quarantine, state, workers
from ringrift_loop.ledger.games import GameRow
from ringrift_loop.loop import Loop
from ringrift_loop.selfplay.records import GameRecord
from ringrift_loop.selfplay.segments import SegmentName, segment_path
from ringrift_loop.status.verify import verify

PutGames = Callable[..., list[str]]
Folder = Callable[[str], HostDirectory]


def listed(name: str, size_bytes: int = 100) -> SealedFile:
    return SealedFile(name, size_bytes, 0.0)


class Lying:
    """Ways to hosts whose reports a test has changed."""

    def __init__(self, **lies: Callable[[HostReport], HostReport]) -> None:
        self._lies = lies

    def __call__(self, host: Host, directory: RunDirectory) -> Any:
        lie = self._lies.get(host.name, lambda report: report)

        class Way(LocalTransport):
            async def call(self, action: Any, request: Any) -> Any:
                answer = await super().call(action, request)
                return lie(answer) if action is REPORT else answer

        return Way(local_directory(host, directory))


def with_worker(**fields: Any) -> Callable[[HostReport], HostReport]:
    worker = WorkerReport(0, True, "square8_2p", 1.0, None, None, None)
    return lambda report: structs.replace(report, workers=(structs.replace(worker, **fields),))


def beat(**fields: Any) -> str:
    whole = dict.fromkeys(
        ("pid", "start_time", "slot", "generation", "games", "games_per_hour", "evals_per_s", "net_share", "at"), 0
    )
    texts = {
        "variant": "square8_2p",
        "state": "playing",
        "model": None,
        "last_error": None,
        "version": "1",
        "host": "a",
    }
    return json.dumps({"v": 1, **whole, **texts, **fields})


ABSENT = listed(f"{'e' * 16}-00000001-7-{'0' * 16}.jsonl.zst")


@pytest.mark.parametrize(
    "lie",
    [
        with_worker(heartbeat=beat(), heartbeat_age_s=10**400),
        with_worker(heartbeat=beat(), heartbeat_age_s="old"),
        lambda report: structs.replace(report, gone=frozenset({"\ud800"})),
        lambda report: structs.replace(report, sealed=(ABSENT,)),
        lambda report: structs.replace(report, sealed=(None,)),
        lambda report: 1 // 0,
    ],
    ids=["age", "text", "surrogate", "missing", "nothing", "crash"],
)
def test_an_answer_that_nobody_foresaw_is_its_hosts_failure_and_the_others_games_come_in(
    loop: Loop, put_games: PutGames, trusting: Any, lie: Any
) -> None:
    with loop.ledger.begin() as conn:
        hosts.ensure(conn, ["a", "b"])
        workers.assign(conn, "a", 0, at=1.0)
    put_games("b", [1, 2, 3, 4, 5])
    report = sync_once(loop, replayer=trusting, transports=Lying(a=lie))
    assert ([host.host for host in report.failed], report.games_new) == (["a"], 5)
    with loop.ledger.read() as conn:
        a, b = hosts.all_hosts(conn)
    assert (a.consecutive_failures, a.next_attempt_at > loop.clock(), b.active) == (1, True, True)


def test_an_unforeseen_error_is_logged_with_its_traceback(
    loop: Loop, trusting: Any, caplog: pytest.LogCaptureFixture
) -> None:
    sync_once(loop, replayer=trusting, transports=Lying(a=lambda report: 1 // 0))
    (record,) = (one for one in caplog.records if "unexpected" in one.message)
    assert "ZeroDivisionError" in record.message
    assert "test_strange_hosts.py" in record.message


def test_what_hosts_say_reaches_the_ledger_as_printable_lines(
    loop: Loop, sync: Callable[[], SyncReport], fleet: Any
) -> None:
    fleet.faults["a"] = {"report": RemoteJobFailed("\x1b[2Jno\x00\nroute\ud800 http://u:secret@x/?password=secret")}
    said = "RemoteJobFailed: ?[2Jno?; route? http://u:***@x/?password=***"
    assert sync().failed[0].error == said
    with loop.ledger.read() as conn:
        assert hosts.get(conn, "a").last_error == said
        assert events.latest(conn, kind="host")[0].message == f"a fails: {said}"


def slow(record: GameRecord) -> Replayed:
    """A replay at a high price for the first games."""
    over = time.thread_time() + (0.02 if record.seed < 100 else 0.0)
    while time.thread_time() < over:
        pass
    return Replayed(1)


def test_a_host_with_costly_games_gets_its_share_of_time_and_the_others_all_come_in(
    loop: Loop, put_games: PutGames
) -> None:
    ingestion = replace(loop.config.data_ingestion, min_games_per_sync=1)
    loop = replace(loop, config=replace(loop.config, data_ingestion=ingestion))
    put_games("a", *([[number] for number in range(12)]))
    put_games("b", *([[100 + number] for number in range(6)]))
    first = sync_once(loop, replayer=slow, budget=Budget(cpu_s=0.1))
    a, b = first.hosts
    assert 0 < a.games_new < 12
    assert (b.games_new, b.over, first.failed) == (6, None, [])
    assert a.over == "checking its games took more than 0.1 s of CPU time"
    assert first.as_json()["over_budget"] == {"a": a.over}
    while sync_once(loop, replayer=slow, budget=Budget(cpu_s=0.1)).games_new:
        pass
    with loop.ledger.read() as conn:
        assert Counter(row.host for row in rows(conn, GameRow)) == {"a": 12, "b": 6}


def test_a_segment_that_alone_takes_a_whole_budget_is_refused(loop: Loop, put_games: PutGames) -> None:
    put_games("a", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], [11])
    put_games("b", [121, 122, 123, 124, 125])
    report = sync_once(loop, replayer=slow, budget=Budget(cpu_s=0.1))
    assert [(host.games_new, host.games_quarantined) for host in report.hosts] == [(0, 10), (5, 0)]
    assert "more than 0.1 s of CPU time" in str(report.failed[0].error)
    assert verify(loop) == []


@pytest.mark.parametrize(
    ("budget", "sentence"),
    [
        (Budget(refused=3), "more than 3 of its records were refused"),
        (Budget(quarantine_bytes=1000), "more than 1000 bytes of it went into quarantine"),
    ],
)
def test_a_host_that_sends_rubbish_is_stopped_and_pauses(
    loop: Loop, put_games: PutGames, trusting: Any, budget: Budget, sentence: str
) -> None:
    rubbish = [b"x" * 400] * 2
    put_games("a", *([rubbish] * 5))
    report = sync_once(loop, replayer=trusting, budget=budget)
    assert sentence in str(report.failed[0].error)
    assert report.hosts[0].games_quarantined == 2
    assert report.hosts[0].next_attempt_at > loop.clock()


def test_a_host_that_has_filled_its_quarantine_leaves_a_line_a_segment_and_no_texts(
    loop: Loop, put_games: PutGames, trusting: Any
) -> None:
    budget = Budget(quarantine_total_bytes=2000)
    first, mixed, rubbish = put_games("a", [b"x" * 700] * 2, [1, b"y" * 700, b"y"], [b"z" * 700] * 3)
    put_games("b", [2, b"x" * 700, 3, 4, 5])
    report = sync_once(loop, replayer=trusting, budget=budget)
    assert [(host.games_new, host.games_quarantined) for host in report.hosts] == [(1, 7), (4, 1)]
    with loop.ledger.read() as conn:
        rows = quarantine.latest(conn)
    kept = [(row.segment, row.position, row.payload) for row in rows if row.host == "a"]
    assert kept == [(rubbish, None, None), (mixed, None, None), (first, 1, "x" * 700), (first, 0, "x" * 700)]
    said = "2 records refused and not kept, for a has filled its 2000 bytes of quarantine; the first: a"
    assert next(row.reason for row in rows if row.segment == mixed).startswith(said)
    assert [segment_path(loop.directory, "a", name).exists() for name in (first, mixed, rubbish)] == [True, True, False]
    assert verify(loop, files=True) == []
    put_games("a", *([[b"z" * 300] * 5] * 5))
    sync_once(loop, only=["a"], replayer=trusting, budget=budget)
    with loop.ledger.read() as conn:
        assert all(row.payload is None for row in quarantine.latest(conn, limit=5))


def test_segments_too_large_to_fetch_are_named_only_while_the_quarantine_has_room(loop: Loop) -> None:
    names = [str(SegmentName("0" * 16, seq, 1, "0" * 16)) for seq in (1, 2)]
    for name in names:
        large = Lying(a=lambda report, name=name: structs.replace(report, sealed=(listed(name, 1 << 40),)))
        sync_once(loop, only=["a"], transports=large, budget=Budget(quarantine_total_bytes=50))
    with loop.ledger.read() as conn:
        assert [row.segment for row in quarantine.latest(conn)] == names[:1]


@pytest.mark.parametrize(
    ("budget", "over"),
    [
        (Budget(files=2), "3 segments wait there: 2 segments are fetched in a cycle"),
        (Budget(records=5), "3 segments wait there: 5 records are fetched in a cycle"),
        (Budget(incoming_bytes=1), "4 segments wait there: 1 bytes are fetched in a cycle"),
    ],
)
def test_what_is_over_the_budget_waits_for_the_next_cycles(
    loop: Loop, put_games: PutGames, trusting: Any, budget: Budget, over: str
) -> None:
    put_games("a", [1, 2], [3, 4], [5, 6], [7, 8], [9, 10])
    first = sync_once(loop, replayer=trusting, budget=budget)
    assert (first.hosts[0].over, first.failed) == (over, [])
    assert 0 < first.games_new < 10
    with loop.ledger.read() as conn:
        assert games.count(conn) == first.games_new


def test_no_more_lies_in_a_hosts_incoming_folder_than_one_cycle_fetches(
    loop: Loop, put_games: PutGames, trusting: Any
) -> None:
    first, second = put_games("a", [1, 2, 3, 4, 5], [6, 7, 8, 9, 10])
    folder = loop.directory.incoming / "a"
    folder.mkdir(parents=True)
    for name in (first, second):
        (folder / f".{name}.part").write_bytes(b"x")
    sync_once(loop, replayer=trusting, budget=Budget(files=1))
    assert not (folder / f".{second}.part").exists()


def test_a_host_whose_answer_nobody_foresaw_is_a_finding_of_the_audit_like_any_other(loop: Loop) -> None:
    (finding,) = audit_hosts(loop, transports=Lying(a=lambda report: 1 // 0))
    assert str(finding).startswith("host: a: cannot be audited: unexpected ZeroDivisionError")


def test_a_pipe_or_a_device_in_a_hosts_folder_blocks_nobody(
    loop: Loop, put_games: PutGames, sync: Callable[[], SyncReport], host_dir: Folder
) -> None:
    put_games("a", [1, 2, 3, 4, 5])
    folder = host_dir("a")
    for path in (folder.heartbeat(0), folder.worker_process(0), folder.current_model("square8_2p")):
        path.parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(path)
    os.mkfifo(folder.sealed_segments / str(ABSENT.name))
    folder.heartbeat(1).symlink_to("/dev/zero")
    report = sync()
    assert (report.games_new, report.failed) == (5, [])
    with loop.ledger.begin() as conn:
        state.set_halt(conn, True, at=1.0)  # nothing is started
    assert "is not a plain file" in reconcile(loop).failed["a/0"]


def test_a_segment_that_becomes_a_pipe_after_it_was_listed_is_its_hosts_failure(
    loop: Loop, put_games: PutGames, trusting: Any, host_dir: Folder
) -> None:
    put_games("b", [1, 2, 3, 4, 5])
    host_dir("a").sealed_segments.mkdir(parents=True)
    os.mkfifo(host_dir("a").sealed_segments / str(ABSENT.name))
    report = sync_once(
        loop, replayer=trusting, transports=Lying(a=lambda told: structs.replace(told, sealed=(ABSENT,)))
    )
    assert "is not a plain file" in str(report.failed[0].error)
    assert report.games_new == 5


def test_games_that_the_ledger_cannot_take_are_their_hosts_failure_and_the_others_come_in(
    loop: Loop, put_games: PutGames
) -> None:
    put_games("a", [1, 2, 3, 4, 5])
    put_games("b", [11, 12, 13, 14, 15])
    report = sync_once(loop, replayer=lambda record: Replayed(10**30 if record.seed == 1 else 1))
    assert [(host.host, host.games_new) for host in report.hosts] == [("a", 0), ("b", 5)]
    assert [host.host for host in report.failed] == ["a"]
    clear = sync_once(loop, only=["a"], replayer=lambda record: Replayed(1))
    assert (clear.games_new, clear.failed) == (5, [])
    assert verify(loop, files=True) == []


def test_a_ledger_that_does_not_work_is_no_hosts_failure(
    loop: Loop, sync: Callable[[], SyncReport], fleet: Any
) -> None:
    fleet.faults["a"] = {"report": OperationalError("SELECT 1", {}, Exception("database is locked"))}
    with pytest.raises(OperationalError):
        sync()
    with loop.ledger.read() as conn:
        assert hosts.get(conn, "a").consecutive_failures == 0
