"""Reconcile: what should run runs, with real processes in the workers' place."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from ringrift_loop.cluster.agent.report import WorkerReport
from ringrift_loop.cluster.agent.workers import read_record
from ringrift_loop.cluster.selfplay import supervise
from ringrift_loop.cluster.selfplay.supervise import ReconcileReport, reason_to_kill, reconcile, stop_all
from ringrift_loop.errors import HostUnreachable
from ringrift_loop.hosts.inventory import parse_inventory
from ringrift_loop.layout import HostDirectory
from ringrift_loop.ledger import curriculum, events, hosts, state, utilization, workers
from ringrift_loop.ledger.utilization import SampleRow
from ringrift_loop.loop import Loop
from ringrift_loop.resources.rebalance import rebalance
from ringrift_loop.selfplay.plan import Plan, read_plan

Folder = Callable[[str], HostDirectory]


@pytest.fixture
def run(loop: Loop, stage: Any) -> Callable[[], ReconcileReport]:
    return lambda: reconcile(loop, transports=stage)


def age(folder: HostDirectory, slot: int, *, record_s: float, heartbeat_s: float) -> None:
    """Make the slot's files look older."""
    for path, seconds in ((folder.worker_process(slot), record_s), (folder.heartbeat(slot), heartbeat_s)):
        os.utime(path, (0, path.stat().st_mtime - seconds))


def pid_of(folder: HostDirectory, slot: int = 0) -> int:
    record = read_record(folder, slot)
    assert record is not None
    return record.pid


def test_missing_workers_are_started(loop: Loop, run: Callable[[], ReconcileReport], stage: Any) -> None:
    report = run()
    assert (report.desired, report.playing, sorted(report.started)) == (2, 2, ["a/0", "b/0"])
    assert stage.wait_for(2) == ["a/0", "b/0"]
    again = run()
    assert (again.playing, again.started, again.draining, again.killed) == (2, [], [], [])
    with loop.ledger.read() as conn:
        assert [(row.host, row.slot) for row in workers.all_workers(conn)] == [("a", 0), ("b", 0)]
        assert len(events.latest(conn, kind="worker")) == 2


def test_hosts_are_told_the_weights_when_they_change_and_no_worker_is_restarted(
    loop: Loop, run: Callable[[], ReconcileReport], stage: Any, host_dir: Folder
) -> None:
    assert sorted(run().told) == ["a", "b"]
    stage.wait_for(2)
    assert read_plan(host_dir("a")) == Plan({"square8_2p": 1.0, "hex8_2p": 1.0})
    assert run().told == []
    with loop.ledger.begin() as conn:
        curriculum.replace(conn, {"square8_2p": 1.5, "hex8_2p": 0.5}, at=loop.clock())
    host_dir("b").plan.write_text("torn")
    report = run()
    assert (sorted(report.told), report.started, report.draining) == (["a", "b"], [], [])
    assert read_plan(host_dir("a")) == read_plan(host_dir("b")) == Plan({"square8_2p": 1.5, "hex8_2p": 0.5})


def test_a_dead_worker_is_started_again(run: Callable[[], ReconcileReport], stage: Any, host_dir: Folder) -> None:
    run()
    stage.wait_for(2)
    pid = pid_of(host_dir("a"))
    os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):  # reaped already
        os.waitpid(pid, 0)
    assert run().started == ["a/0"]
    stage.wait_for(1)


def test_a_worker_that_ended_by_an_error_is_started_again_and_the_history_says_why(
    loop: Loop, run: Callable[[], ReconcileReport], stage: Any, host_dir: Folder, write_heartbeat: Callable[..., None]
) -> None:
    run()
    stage.wait_for(2)
    pid = pid_of(host_dir("a"))
    os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):  # reaped already
        os.waitpid(pid, 0)
    write_heartbeat("a", state="failed", last_error="JobOutOfMemory: the worker used 3.2 GiB of its 3.0 GiB")
    said = "a/0, which had failed: JobOutOfMemory: the worker used 3.2 GiB of its 3.0 GiB"
    assert run().started == [said]
    stage.wait_for(1)
    with loop.ledger.read() as conn:
        assert events.latest(conn, kind="worker")[0].message == f"worker {said} started"


def test_a_hung_worker_is_killed_and_replaced_in_one_pass(
    run: Callable[[], ReconcileReport], stage: Any, host_dir: Folder
) -> None:
    stage.manner = "stubborn"
    run()
    stage.wait_for(2)
    pid = pid_of(host_dir("a"))
    age(host_dir("a"), 0, record_s=1000, heartbeat_s=130)
    report = run()
    assert report.killed == ["a/0 (last heartbeat 130 s ago)"]
    assert report.started == ["a/0"]
    stage.wait_for(1)
    assert pid_of(host_dir("a")) != pid


def test_a_halt_drains_all_and_lifting_it_starts_them_again(
    loop: Loop, run: Callable[[], ReconcileReport], stage: Any
) -> None:
    run()
    stage.wait_for(2)
    with loop.ledger.begin() as conn:
        state.set_halt(conn, True, at=1.0)
    report = run()
    assert (report.halted, report.desired, sorted(report.draining)) == (True, 0, ["a/0", "b/0"])
    for pid in stage.pids:
        with contextlib.suppress(ChildProcessError):  # reaped already
            os.waitpid(pid, 0)
    assert report.killed == []
    assert run().draining == []
    with loop.ledger.begin() as conn:
        state.set_halt(conn, False, at=2.0)
    assert len(run().started) == 2
    stage.wait_for(2)


def test_a_share_of_the_slots_plays_the_others_are_drained_and_come_back(
    loop: Loop, run: Callable[[], ReconcileReport], stage: Any, host_dir: Folder
) -> None:
    run()
    stage.wait_for(2)
    with loop.ledger.begin() as conn:
        state.set_selfplay_share(conn, 0.5, at=1.0)
    report = run()
    assert (report.desired, report.playing, report.draining) == (1, 1, ["b/0"])
    give_up = time.monotonic() + 10
    while (record := read_record(host_dir("b"), 0)) and record.alive and time.monotonic() < give_up:
        time.sleep(0.01)
    assert (run().draining, run().started) == ([], [])
    with loop.ledger.begin() as conn:
        assert [row.host for row in workers.all_workers(conn)] == ["a"]
        state.set_selfplay_share(conn, 1.0, at=2.0)
    assert run().started == ["b/0"]
    stage.wait_for(1)


def test_where_a_disk_is_full_the_workers_are_drained_and_come_back_by_themselves(
    loop: Loop, run: Callable[[], ReconcileReport], stage: Any, host_dir: Folder
) -> None:
    def look(disk: float) -> None:
        loop.clock.now += 30.0  # type: ignore[attr-defined]
        with loop.ledger.begin() as conn:
            row = SampleRow("b", loop.clock(), "m", 30.0, 70.0, 70.0, 0.0, 50.0, disk=disk)
            utilization.add(conn, row)
        rebalance(loop, disk=lambda folder: 50.0)

    run()
    stage.wait_for(2)
    look(97.0)
    report = run()
    assert (report.desired, report.draining, report.killed) == (1, ["b/0"], [])
    give_up = time.monotonic() + 10
    while (record := read_record(host_dir("b"), 0)) and record.alive and time.monotonic() < give_up:
        time.sleep(0.01)
    look(90.0)
    assert run().started == []
    look(70.0)
    assert [slot.partition(" ")[0] for slot in run().started] == ["b/0"]
    stage.wait_for(1)


def test_a_worker_of_a_version_before_plans_is_drained_and_its_successor_starts_in_the_same_pass(
    run: Callable[[], ReconcileReport], stage: Any, host_dir: Folder
) -> None:
    run()
    stage.wait_for(2)
    path = host_dir("a").worker_process(0)
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"variant": "square8_2p"}))
    report = run()
    assert (report.draining, report.started, report.playing) == (["a/0"], ["a/0"], 2)
    assert stage.wait_for(1) == ["a/0"]


def test_a_host_that_is_disabled_or_loses_slots_is_drained(
    loop: Loop, run: Callable[[], ReconcileReport], stage: Any
) -> None:
    run()
    stage.wait_for(2)
    text = "standard_hosts:\n  a: {transport: local, role: training}\n  b: {transport: local, enabled: false}"
    report = reconcile(replace(loop, inventory=parse_inventory(text, "hosts.yaml")), transports=stage)
    assert sorted(report.draining) == ["a/0", "b/0"]
    assert report.desired == 0
    with loop.ledger.read() as conn:
        assert workers.all_workers(conn) == []


@pytest.mark.parametrize(("ago", "drained"), [(3600.0, ["b/0"]), (90_000.0, []), (None, [])])
def test_what_plays_on_a_disabled_host_that_was_there_lately_is_drained(
    loop: Loop, run: Callable[[], ReconcileReport], stage: Any, ago: float | None, drained: list[str]
) -> None:
    run()
    stage.wait_for(2)
    elsewhere = replace(loop.inventory.hosts["b"], transport="ssh", enabled=False)
    inventory = replace(loop.inventory, hosts={**loop.inventory.hosts, "b": elsewhere})
    if ago is not None:
        with loop.ledger.begin() as conn:
            hosts.succeeded(conn, "b", at=loop.clock() - ago)
    assert reconcile(replace(loop, inventory=inventory), transports=stage).draining == drained


def test_a_disabled_host_that_does_not_answer_is_no_failure(loop: Loop, stage: Any) -> None:
    def transports(host: Any, directory: Any) -> object:
        if host.name == "b":
            raise HostUnreachable("no route")
        return stage(host, directory)

    elsewhere = replace(loop.inventory.hosts["b"], transport="ssh", enabled=False)
    inventory = replace(loop.inventory, hosts={**loop.inventory.hosts, "b": elsewhere})
    with loop.ledger.begin() as conn:
        hosts.ensure(conn, ["b"])
        hosts.succeeded(conn, "b", at=loop.clock())
    assert reconcile(replace(loop, inventory=inventory), transports=transports).failed == {}


def test_a_host_whose_answer_nobody_foresaw_does_not_end_the_pass(loop: Loop, stage: Any) -> None:
    def transports(host: Any, directory: Any) -> object:
        if host.name == "a":
            raise OverflowError("int too large\x1b[2J")
        return stage(host, directory)

    report = reconcile(loop, transports=transports)
    assert report.failed == {"a": "unexpected OverflowError: int too large?[2J; the log has the traceback"}
    assert stage.wait_for(1) == ["b/0"]


def test_a_host_that_fails_or_rests_does_not_disturb_the_others(loop: Loop, stage: Any, clock: Any) -> None:
    def transports(host: Any, directory: Any) -> object:
        if host.name == "a":
            raise HostUnreachable("no route")
        return stage(host, directory)

    report = reconcile(loop, transports=transports)
    assert report.failed == {"a": "no route"}
    assert report.started == ["b/0"]
    stage.wait_for(1)
    with loop.ledger.begin() as conn:
        hosts.failed(conn, "a", "no route", at=loop.clock(), poll_s=30, max_backoff_s=600)
    assert reconcile(loop, transports=transports).resting == ["a"]
    clock.now -= 86_400.0  # the clock is set back
    assert reconcile(loop, transports=transports).resting == []


def test_a_worker_that_runs_unseen_is_not_doubled(
    run: Callable[[], ReconcileReport], host_dir: Folder, stage: Any
) -> None:
    path = host_dir("a").worker_process(0)
    path.parent.mkdir(parents=True)
    path.write_text("{")
    report = run()
    assert "not a process record" in report.failed["a/0"]
    assert report.started == ["b/0"]
    stage.wait_for(1)


def test_stop_all_lets_workers_finish_and_kills_those_that_do_not(
    loop: Loop, run: Callable[[], ReconcileReport], stage: Any, host_dir: Folder
) -> None:
    run()
    stage.wait_for(2)
    os.kill(pid_of(host_dir("b")), signal.SIGKILL)
    stage.manner = "stubborn"
    with contextlib.suppress(ChildProcessError):  # reaped already, by the start of another process
        os.waitpid(pid_of(host_dir("b")), 0)
    run()
    stage.wait_for(1)
    assert stop_all(loop, wait_s=0.5) == ["b/0"]
    record = read_record(host_dir("b"), 0)
    assert record is not None and not record.alive
    assert stop_all(loop, wait_s=0.5) == []


def test_stop_all_finds_workers_of_hosts_that_the_inventory_no_longer_names(
    loop: Loop, run: Callable[[], ReconcileReport], stage: Any
) -> None:
    run()
    stage.wait_for(2)
    only_c = parse_inventory("standard_hosts:\n  c: {transport: local}", "hosts.yaml")
    assert stop_all(replace(loop, inventory=only_c), wait_s=5) == []
    assert not any(os.path.exists(f"/proc/{pid}") for pid in stage.pids)  # noqa: PTH110


WELL = WorkerReport(0, True, None, 1000.0, None, "{}", 4.0)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"heartbeat_age_s": 119.0}, None),
        ({"heartbeat_age_s": 121.0}, "last heartbeat 121 s ago"),
        ({"age_s": 250.0, "heartbeat_age_s": 5000.0}, None),  # its predecessor's: it may still compile
        ({"age_s": 301.0, "heartbeat_age_s": None}, "no heartbeat in the 301 s since its start"),
        ({"stop_requested_s": 59.0, "heartbeat_age_s": 500.0}, None),
        ({"stop_requested_s": 61.0}, "asked to finish 61 s ago"),
    ],
)
def test_only_a_worker_that_will_not_end_by_itself_is_killed(changes: dict[str, float], reason: str | None) -> None:
    assert reason_to_kill(structs.replace(WELL, **changes)) == reason


def test_the_time_that_stop_all_may_take_fits_into_the_launchers() -> None:
    assert supervise._STOP_WAIT_S < 10
