from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from ringrift_loop.cluster.agent.utilization import Utilization
from ringrift_loop.cluster.agent.utilization import utilization as utilization_of
from ringrift_loop.cluster.selfplay.pacing import rebalance_and_tell
from ringrift_loop.cluster.sync.budget import Budget
from ringrift_loop.cluster.sync.cycle import sync_once
from ringrift_loop.errors import HostUnreachable
from ringrift_loop.layout import HostDirectory
from ringrift_loop.ledger import utilization
from ringrift_loop.ledger.utilization import SampleRow
from ringrift_loop.loop import Loop
from ringrift_loop.machine.utilization import GpuUse, disk_percent, read_cpu
from ringrift_loop.metrics.emit import Metrics
from ringrift_loop.selfplay.pace import Allowance, read_allowance

Folder = Callable[[str], HostDirectory]


def half_full(folder: Path) -> float:
    return 50.0


def put(loop: Loop, host: str, cpu: float, told: Allowance | None = None) -> None:
    with loop.ledger.begin() as conn:
        duty, allowance = (1.0, None) if told is None else (told.duty, told.as_json())
        row = SampleRow(host, loop.clock(), "m", 30.0, cpu, cpu / 2, 0.0, 50.0, duty=duty, allowance=allowance)
        utilization.add(conn, row)


def test_a_decision_reaches_the_workers_of_every_host_of_the_machine(loop: Loop, host_dir: Folder) -> None:
    put(loop, "a", 99.0)
    put(loop, "b", 99.0)
    report = rebalance_and_tell(loop, disk=half_full)
    assert report.told == ("a", "b")
    assert (
        read_allowance(host_dir("a")).duty == read_allowance(host_dir("b")).duty == report.rebalance.duties["a"] < 0.8
    )


def test_a_host_that_cannot_be_told_is_told_in_the_next_pass(loop: Loop, fleet: Any, host_dir: Folder) -> None:
    put(loop, "a", 99.0)
    fleet.faults["a"] = {"pace": HostUnreachable("it is off")}
    first = rebalance_and_tell(loop, transports=fleet, disk=half_full)
    assert first.failed == {"a": "it is off"}
    fleet.faults.clear()
    second = rebalance_and_tell(loop, transports=fleet, disk=half_full)
    assert (second.rebalance.decisions, second.told) == ((), ("a",))
    assert read_allowance(host_dir("a")).duty == first.rebalance.duties["a"]


def test_a_host_that_has_what_it_needs_is_left_alone(loop: Loop, fleet: Any) -> None:
    put(loop, "a", 99.0)
    told = rebalance_and_tell(loop, transports=fleet, disk=half_full).rebalance.allowances["a"]
    put(loop, "a", 70.0, told)
    assert rebalance_and_tell(loop, transports=fleet, disk=half_full).told == ()


def test_a_host_with_the_right_duty_for_the_wrong_reasons_is_told(loop: Loop, fleet: Any, host_dir: Folder) -> None:
    put(loop, "a", 99.0)
    right = rebalance_and_tell(loop, transports=fleet, disk=half_full).rebalance.allowances["a"]
    put(loop, "a", 70.0, structs.replace(right, room=None))
    assert rebalance_and_tell(loop, transports=fleet, disk=half_full).told == ("a",)
    assert read_allowance(host_dir("a")) == right


def test_the_second_sync_brings_a_sample_of_this_machine(loop: Loop, host_dir: Folder, trusting: Any) -> None:
    sync_once(loop, replayer=trusting)
    with loop.ledger.read() as conn:
        assert utilization.since(conn, 0.0) == []  # nothing to compare with yet
    earlier = json.loads(host_dir("a").cpu_counters.read_text())
    for name in ("a", "b"):  # as if a minute had passed
        counters = {**earlier, "at": earlier["at"] - 60.0, "busy_s": earlier["busy_s"] - 30.0}
        host_dir(name).cpu_counters.write_text(json.dumps(counters))
    sync_once(loop, replayer=trusting)
    with loop.ledger.read() as conn:
        a, b = sorted(utilization.since(conn, 0.0), key=lambda row: row.host)
    assert (a.host, b.host, a.machine) == ("a", "b", b.machine)
    cpus = read_cpu({}).cpus
    assert a.cpu == pytest.approx(100.0 * 30.0 / 60.0 / cpus, abs=20.0)
    assert a.workers == 0.0
    assert a.duty == 1.0
    assert a.disk == pytest.approx(disk_percent(host_dir("a").root), abs=5.0)
    assert (a.unsynced, a.unsynced_s) == (0, 0.0)


def test_what_a_visit_leaves_behind_stands_in_the_sample(
    loop: Loop, host_dir: Folder, trusting: Any, put_games: Any
) -> None:
    sync_once(loop, replayer=trusting)
    counters = json.loads(host_dir("a").cpu_counters.read_text())
    host_dir("a").cpu_counters.write_text(json.dumps({**counters, "at": counters["at"] - 60.0}))
    names = put_games("a", list(range(6)), list(range(6, 12)), list(range(12, 18)))
    for name in names:
        os.utime(host_dir("a").sealed_segments / name, (0, time.time() - 900.0))
    sync_once(loop, only=["a"], replayer=trusting, budget=Budget(files=1))
    with loop.ledger.read() as conn:
        [sample] = utilization.since(conn, 0.0)
    assert sample.unsynced == 2
    assert sample.unsynced_s == pytest.approx(900.0, abs=60.0)


def test_every_metric_of_resource_control_has_a_sample(loop: Loop) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        udp.settimeout(10)
        metrics = Metrics("127.0.0.1", udp.getsockname()[1], strict=True)
        gpu = GpuUse(0, 70.0, 10_000, 80_000)
        with loop.ledger.begin() as conn:
            row = SampleRow("a", loop.clock(), "m", 30.0, 99.0, 50.0, 0.0, 50.0, gpus=(gpu,), disk=97.0)
            utilization.add(conn, row)
        rebalance_and_tell(replace(loop, metrics=metrics), disk=half_full)
        found: dict[str, str] = {}
        while "ringrift_worker_duty" not in found:
            for line in udp.recv(4096).decode().splitlines():
                name, _, value = line.partition(":")
                found[name.partition(",")[0]] = value.partition("|")[0]
    assert {name: float(value) for name, value in found.items() if name != "ringrift_worker_duty"} == {
        "ringrift_cluster_cpu_utilization_percent": 99.0,
        "ringrift_cpu_in_target_range": 0.0,
        "ringrift_cluster_gpu_utilization_percent": 70.0,
        "ringrift_gpu_in_target_range": 1.0,
        "ringrift_cluster_gpu_memory_utilization": 12.5,
        "ringrift_gpu_memory_status": 0.0,
        "ringrift_optimization_action": -1.0,
        "ringrift_selfplay_rate_per_hour": 0.0,
        "ringrift_config_weight": 1.0,
        "ringrift_cluster_backpressure_factor": 0.5,  # a's disk is full, b's is not
        "ringrift_workers_resting": 1.0,
    }


def test_a_worker_that_ended_costs_one_sample_and_no_more(host_dir: Folder) -> None:
    folder = host_dir("a")
    assert utilization_of(folder, []) is None  # the first
    first = json.loads(folder.cpu_counters.read_text())
    before = {**first, "at": first["at"] - 60.0, "groups": {**first["groups"], "workers": 1e6}}
    folder.cpu_counters.write_text(json.dumps(before))
    assert utilization_of(folder, []) is None
    now = json.loads(folder.cpu_counters.read_text())
    assert now["groups"]["workers"] == 0.0
    folder.cpu_counters.write_text(json.dumps({**now, "at": now["at"] - 60.0}))
    assert utilization_of(folder, []) is not None


@pytest.mark.parametrize(
    "lie", [{"cpu": 101.0}, {"duty": 0.0}, {"machine": "m\x1b[2J"}, {"workers": -1.0}, {"seconds": 1e300}]
)
def test_what_a_host_says_of_its_machine_is_bounded(lie: dict[str, Any]) -> None:
    from ringrift_loop.checked_json import parse
    from ringrift_loop.errors import DataError

    whole = {"machine": "m", "seconds": 30.0, "cpu": 5.0, "workers": 1.0, "jobs": 0.0, "control": 0.0}
    whole |= {"memory": 50.0, "duty": 1.0}
    assert parse(json.dumps(whole), Utilization, "an answer").cpu == 5.0
    with pytest.raises(DataError, match=next(iter(lie))):
        parse(json.dumps({**whole, **lie}), Utilization, "an answer")
